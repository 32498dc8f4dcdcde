"""Reports on a process's own health. Without infra.compose: an ingress has no need of the 50 MB that it brings."""

from functools import partial

from prometheus_client import CollectorRegistry

from connectors.registry import ConfluentRegistry
from connectors.service_health import TOPIC, KafkaReports, ServiceHealth, encoder
from infra.settings import Settings
from schemas import contract as contracts


def service_health(settings: Settings, service: str, instance: str, registry: CollectorRegistry) -> ServiceHealth:
    """Not started yet."""
    make_encode = partial(encoder, contracts.load().topics[TOPIC], ConfluentRegistry(settings.registry))
    return ServiceHealth(service, instance, registry, make_encode, KafkaReports(settings.kafka))
