"""Whole registrations per second, beside the bare cost of their cryptography.

Broker, registry, Redis, ingress, authority and one worker run on free ports. Devices claim with tokens: a user asks for a
token, the device opens a session, shows the token, signs the challenge and gets its certificate, which the ledger shows.
Everything is written to the log by deciders in transactions. Afterwards the log is read: who was told to be registered
is, and nobody twice.
"""

import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from infra import compose
from infra.api_key import api_key
from infra.bench import bare_cryptography
from infra.bench.registration_load import Load, LoadOptions, load
from infra.bench.report import Figures
from infra.reconcile.registration_facts import EVENTS, LEDGER, certificates
from infra.settings import Settings
from infra.stack.harness import Stack, running_stack
from schemas import contract

CONNECTIONS = 50
CROWD = 300  # devices at a time by which the server is always busy
WARM_UP = 90.0  # the broker's JVM compiles for so long: it takes three times as much at first
BARE_SHARE, CROWD_SHARE = 0.2, 0.4  # of the time
STORM_CONNECTIONS = 200
STORM_SECONDS = 1_800.0
FLEET = 100_000
TOKEN_MS, CHALLENGE_MS = 100.0, 200.0
PARTS = ("broker", "redis", "registry", "topics", "schemas", "authority", "ingress", "workers")
UNLIMITED = Settings(limit_registrations=0, limit_heartbeats=0, limit_uploads=0, limit_addresses=0)

ABOUT = f"""\
Whole registrations by claim token (token, session, challenge, certificate in the ledger: four requests) with one worker
(deciders, and the views in Redis that the ingress asks), all on this machine, the devices' own signatures and TLS too.
Registrations/s are of {CROWD} devices at a time; times of steps, and the rate at {CONNECTIONS}, of {CONNECTIONS} devices
at a time. All after {WARM_UP:.0f} s of load in which nothing is measured.
- cryptography (limit): the server's cryptography of a registration by itself, in one thread: keys read, fingerprints and
  tokens hashed, the challenge's signature and the request checked, certificate signed, entered in the Merkle tree, its
  head signed, its inclusion proven. Same functions, same run, no HTTP, no log, no transactions;
- target: a token below {TOKEN_MS:.0f} ms, a challenge (validate) below {CHALLENGE_MS:.0f} ms (p99)."""


@dataclass(frozen=True)
class Stormed:
    """So many devices that registered as fast as they could."""

    devices: int
    load: Load

    def detail(self) -> dict[str, Any]:
        """
        Raises:
            RuntimeError: not every one of them is registered, once.
        """
        registered = self.load.registered
        if len(registered) != self.devices or len(set(dict(registered))) != self.devices:
            raise RuntimeError(f"of {self.devices} devices {len(registered)} are registered: {self.load.failures}")
        return {
            "storm_devices": self.devices,
            "storm_registered": len(registered),
            "storm_twice": len(registered) - len(set(dict(registered))),
            "storm_seconds": self.load.seconds,
            "storm_rate": self.load.rate,
            "minutes_for_100000_at_that_rate": FLEET / self.load.rate / 60,
        }


def run(seconds: float, storm: int = 0) -> dict[str, Any]:
    """Measure for about `seconds`; then, with `storm`, let so many pre-registered devices register as fast as they can.

    Raises:
        StackError: a part of the stack can't be started.
        RuntimeError: the load generator failed, or the log does not say what the devices were told.
    """
    with (
        tempfile.TemporaryDirectory(prefix="fleetlog-bench-") as directory,
        running_stack(Path(directory) / "stack", only=PARTS, settings=UNLIMITED) as stack,
    ):
        bare = bare_cryptography.rate(stack.settings, max(1.0, BARE_SHARE * seconds))
        load(_options(stack.settings, min(WARM_UP, 5 * seconds), CROWD))
        crowd = load(_options(stack.settings, max(1.0, CROWD_SHARE * seconds), CROWD))
        measured = load(_options(stack.settings, max(1.0, (1 - BARE_SHARE - CROWD_SHARE) * seconds)))
        check_log(stack, crowd)
        check_log(stack, measured)
        stormed = None
        if storm:
            stormed = Stormed(storm, load(_options(stack.settings, STORM_SECONDS, STORM_CONNECTIONS, storm)))
            check_log(stack, stormed.load)
    return figures(bare, crowd, measured, stormed).result()


def _options(settings: Settings, seconds: float, connections: int = CONNECTIONS, devices: int = 0) -> LoadOptions:
    door = f"https://{settings.host}:{settings.registration_port}"
    roots = str(settings.data / "pki" / "ca.pem")
    return LoadOptions(settings.ingress, door, api_key(settings), roots, connections, seconds, devices)


def check_log(stack: Stack, done: Load) -> None:
    """
    Raises:
        RuntimeError: a device that was told to be registered isn't, or one is twice.
    """
    log = compose.log_reader(stack.settings)
    try:
        schema_of, declared = compose.registry(stack.settings).schema, contract.load()
        issued = certificates(log, declared, schema_of, LEDGER, "CertificateIssued")
        recorded = certificates(log, declared, schema_of, EVENTS, "CertificateRecorded")
    finally:
        log.close()
    told = pl.DataFrame(done.registered, {"hardware_id": pl.String(), "serial": pl.String()}, orient="row")
    for name, rows in (("ledger", issued), ("registration events", recorded)):
        missing = told.join(rows, on=("hardware_id", "serial"), how="anti")
        twice = rows.filter(pl.col("hardware_id").is_duplicated())["hardware_id"].n_unique()
        if len(missing) or twice:
            raise RuntimeError(
                f"in the {name} {len(missing)} registrations of {len(told)} are missing, {twice} are there twice"
            )


def figures(bare: float, crowd: Load, measured: Load, stormed: Stormed | None) -> Figures:
    """
    Raises:
        RuntimeError: not every device of the storm is registered.
    """
    failed = Counter(measured.failures) + Counter(crowd.failures)
    detail: dict[str, Any] = {f"rate_at_{CONNECTIONS}": measured.rate}
    for step, (p50, p99) in measured.steps.items():
        detail |= {f"{step}_p50_ms": p50, f"{step}_p99_ms": p99}
    for name, step, most in (("token", "token", TOKEN_MS), ("challenge", "validate", CHALLENGE_MS)):
        detail[f"{name}_target"] = f"p99 below {most:.0f} ms: {'met' if measured.steps[step][1] < most else 'missed'}"
    detail |= {"registrations": len(measured.registered), "failures": failed.total(), "failed": dict(failed)}
    if stormed is not None:
        detail |= stormed.detail()
    return replace(
        Figures("registration", crowd.rate),
        unit="registrations/s",
        limits={"cryptography": bare},
        targets={"cryptography": 1 / 3},
        about=ABOUT,
        detail=detail,
    )
