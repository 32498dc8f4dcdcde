"""bytewax, decoding: see bytewax_count."""

from infra.bench.peers.bytewax_count import decoding, run

if __name__ == "__main__":
    run(decoding())
