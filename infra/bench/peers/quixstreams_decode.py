"""quixstreams, decoding: see quixstreams_count."""

from infra.bench.peers.quixstreams_count import TelemetryDeserializer, run

if __name__ == "__main__":
    run(TelemetryDeserializer())
