"""A process that runs the tests' decider: `python -m tests.streams.toy_worker INDEX`, set up by FLEETLOG_ variables."""

import logging
import sys
from pathlib import Path

import faust

from connectors.kafka_log import KafkaLog
from connectors.memory import MemoryDeadLetters
from connectors.prometheus import PrometheusMonitor, serve
from infra import deciders, settings
from streams.aggregate_decider import aggregate_decider
from streams.live import make_app
from streams.live_decider import attach_decider
from tests.streams.toy import EVENTS, Accounts, codecs


def main(index: int) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    chosen, written = settings.load(), codecs()
    app = make_app(f"toy-{index}", str(Path(chosen.data) / f"faust-toy-{index}"))
    decider = aggregate_decider(Accounts(), KafkaLog(chosen.kafka), written[EVENTS])
    runner = deciders.runner(chosen, index, decider, written, MemoryDeadLetters())
    monitor = PrometheusMonitor()
    live = attach_decider(app, runner, deciders.reader_maker(chosen, index, decider), monitor)
    serve(chosen.host, chosen.worker_metrics_port + index, monitor.registry, lambda: (live.reader.alive, {}))
    worker = faust.Worker(app, loglevel=None, override_logging=False, redirect_stdouts=False, quiet=True)
    worker.spinner = None
    worker.execute_from_commandline()


if __name__ == "__main__":
    main(int(sys.argv[1]))
