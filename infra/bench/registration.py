"""Whole registrations per second, beside the bare cost of their cryptography.

Broker, registry, Redis, ingress, authority and one worker run on free ports. Devices claim with tokens: a user asks for a
token, the device opens a session, shows the token, signs the challenge and gets its certificate, which the ledger shows.
Everything is written to the log by deciders in transactions. Afterwards the log is read: who was told to be registered
is, and nobody twice.
"""

import tempfile
from dataclasses import replace
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
WARM_UP = 20.0  # the broker's JVM still compiles for so long: half of what it takes then
BARE_SHARE = 0.2  # of the time
STORM_CONNECTIONS = 200
STORM_SECONDS = 1_800.0
FLEET = 100_000
TOKEN_MS, CHALLENGE_MS = 100.0, 200.0
PARTS = ("broker", "redis", "registry", "topics", "schemas", "authority", "ingress", "workers")
UNLIMITED = Settings(limit_registrations=0, limit_heartbeats=0, limit_uploads=0, limit_addresses=0)

ABOUT = f"""\
Whole registrations by claim token (token, session, challenge, certificate in the ledger: four requests), {CONNECTIONS}
devices at a time, with one worker (deciders, and the views in Redis that the ingress asks), all on this machine, the
devices' own signatures and TLS too. It is measured after {WARM_UP:.0f} s of the same load.
- cryptography (limit): the server's cryptography of a registration by itself, in one thread: keys read, fingerprints and
  tokens hashed, the challenge's signature and the request checked, certificate signed, entered in the Merkle tree, its
  head signed, its inclusion proven. Same functions, same run, no HTTP, no log, no transactions;
- target: a token below {TOKEN_MS:.0f} ms, a challenge (validate) below {CHALLENGE_MS:.0f} ms (p99)."""


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
        load(_options(stack.settings, min(WARM_UP, seconds)))
        measured = load(_options(stack.settings, max(1.0, (1 - BARE_SHARE) * seconds)))
        check_log(stack, measured)
        stormed = None
        if storm:
            stormed = load(_options(stack.settings, STORM_SECONDS, STORM_CONNECTIONS, storm))
            check_log(stack, stormed)
    return figures(bare, measured, stormed, storm).result()


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


def figures(bare: float, measured: Load, stormed: Load | None, storm: int) -> Figures:
    """
    Raises:
        RuntimeError: not every device of the storm is registered.
    """
    detail: dict[str, Any] = {}
    for step, (p50, p99) in measured.steps.items():
        detail |= {f"{step}_p50_ms": p50, f"{step}_p99_ms": p99}
    for name, step, most in (("token", "token", TOKEN_MS), ("challenge", "validate", CHALLENGE_MS)):
        detail[f"{name}_target"] = f"p99 below {most:.0f} ms: {'met' if measured.steps[step][1] < most else 'missed'}"
    detail |= {"registrations": len(measured.registered), "failures": sum(measured.failures.values())}
    detail["failed"] = measured.failures
    if stormed is not None:
        if len(stormed.registered) != storm or len(set(dict(stormed.registered))) != storm:
            raise RuntimeError(f"of {storm} devices {len(stormed.registered)} are registered: {stormed.failures}")
        detail |= {
            "storm_devices": storm,
            "storm_registered": len(stormed.registered),
            "storm_twice": 0,
            "storm_seconds": stormed.seconds,
            "storm_rate": stormed.rate,
            "minutes_for_100000_at_that_rate": FLEET / stormed.rate / 60,
        }
    return replace(
        Figures("registration", measured.rate),
        unit="registrations/s",
        limits={"cryptography": bare},
        targets={"cryptography": 1 / 3},
        about=ABOUT,
        detail=detail,
    )
