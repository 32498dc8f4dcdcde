"""Reading what the log says of registrations."""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from connectors.ports import LogReader
from infra.reconcile.registration_check import RECORDED_ROWS, RegistrationVerdict, check_registrations
from infra.simulator.journal import registrations
from schemas.contract import Contract, Schema
from schemas.record_columns import RECORD, decoder_of

EVENTS, LEDGER = "fleet.registration.events", "fleet.certificates"
FIRST = "registration"  # the purpose of a device's first certificate


def reconcile_registrations(
    log: LogReader, contract: Contract, schema_of: Callable[[int], Schema], journal: Path
) -> RegistrationVerdict:
    """Compare the journal of devices that registered themselves with the log.

    Raises:
        Away: the broker or the registry does not answer.
        JournalError: the journal is not readable.
    """
    _, done = registrations(journal)
    recorded = certificates(log, contract, schema_of, EVENTS, "CertificateRecorded")
    issued = certificates(log, contract, schema_of, LEDGER, "CertificateIssued")
    begun, _ = registrations(journal)
    return check_registrations(begun, done, recorded, issued)


def certificates(
    log: LogReader, contract: Contract, schema_of: Callable[[int], Schema], topic: str, record: str
) -> pl.DataFrame:
    """RECORDED_ROWS of a topic's records of one type that are of a device's registration.

    Raises:
        Away: the broker or the registry does not answer.
    """
    decoder = decoder_of(contract.topics[topic], schema_of)
    found = [pl.DataFrame(schema=RECORDED_ROWS)]
    for source, (first, end) in log.bounds([topic]).items():
        for batch in log.read(source, first, end):
            frame = decoder.decode(batch.values).frame
            wanted = (pl.col(RECORD) == record) & (pl.col("purpose") == FIRST)
            found.append(frame.filter(wanted).select(pl.col(name).cast(kind) for name, kind in RECORDED_ROWS.items()))
    return pl.concat(found)
