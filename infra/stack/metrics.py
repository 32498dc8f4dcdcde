"""The supervisor's own metrics, for Prometheus."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from infra.settings import Settings
from infra.stack.supervisor import Supervisor

if TYPE_CHECKING:
    from prometheus_client import Metric


class ProcessCollector:
    """fleetlog_process_up (1 when healthy or done), fleetlog_process_restarts_total, both by process."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def collect(self) -> Iterator["Metric"]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        up = GaugeMetricFamily("fleetlog_process_up", "1 when the process is healthy.", labels=["process"])
        restarts = CounterMetricFamily(
            "fleetlog_process_restarts", "Restarts since the stack was started.", labels=["process"]
        )
        for name, child in self._supervisor.children.items():
            up.add_metric([name], float(child.state in ("healthy", "done")))
            restarts.add_metric([name], child.restarts)
        yield up
        yield restarts


@contextmanager
def served(supervisor: Supervisor, settings: Settings) -> Iterator[None]:
    """Answer GET /metrics on the supervisor's metrics port until the end."""
    from prometheus_client import CollectorRegistry, start_http_server

    registry = CollectorRegistry()
    registry.register(ProcessCollector(supervisor))
    server, thread = start_http_server(settings.supervisor_metrics_port, settings.host, registry)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
