"""What an operator asks of the proof of views: a verification, a signed statement, its check against the log."""

import json
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from connectors.chunks import Chunks
from connectors.leaves import Leaves
from connectors.ports import KeyedStore, LogReader, RowStore, Superseded
from infra import attest_keys, compose
from infra.code import running
from infra.drift import Reports, operator
from infra.settings import Settings
from infra.view_status import VERIFIED
from projections.attestation import Attestation
from projections.catalogue import find
from projections.projection import KeyedProjection, Projection
from schemas import contract as contracts
from schemas.corrections import made_with
from schemas.record_columns import BatchDecoder
from streams.heal import heal
from streams.implied import implied_roots
from streams.prove import Documents, prove_documents, sample_documents
from streams.refold import Source
from streams.roots import Roots, document_cut, roots_of
from streams.row_proof import Rows, prove_rows, row_roots, sample_rows
from streams.schema_ids import Met, met
from streams.settled import SettledLeaves
from streams.verify import Verdict

NAMED = 20  # differing keys that the fact `verified` names
SCHEMAS = "schemas"
"""The fact that says which schema ids were met, and how far the log was read for that."""


Decoders = dict[str, BatchDecoder]


@dataclass(frozen=True, slots=True)
class Parts:
    """The live version of a view and what it is proven with. `hashes` is its Leaves or its Chunks."""

    projection: Projection
    store: compose.Store
    hashes: Leaves | Chunks
    log: LogReader
    decoders: Decoders
    version: int
    facts: dict[str, str]

    @property
    def documents(self) -> Documents:
        keyed: KeyedStore = self.store  # type: ignore[assignment]
        source = Source(self.projection, self.log, self.decoders)  # type: ignore[arg-type]
        return Documents(source, keyed, self.hashes, self.version)  # type: ignore[arg-type]

    @property
    def rows(self) -> Rows:
        store: RowStore = self.store  # type: ignore[assignment]
        return Rows(self.projection, store, self.hashes, self.log, self.decoders, self.version)  # type: ignore[arg-type]


def decoders_of(settings: Settings, projection: Projection) -> Decoders:
    """For one thread at a time. They take a twentieth of a second to make."""
    return compose.decoders(projection, contracts.load(), compose.registry(settings))


@contextmanager
def parts_of(settings: Settings, projection: Projection, decoders: Decoders | None = None) -> Iterator[Parts]:
    """Opened, and closed at the end. The log's records count as they did when the live version was made. `decoders`: made if
    not given."""
    store = compose.store(settings, projection)
    try:
        version = store.live()
        facts = store.facts(version)
        corrections = made_with(facts)
        hashes = compose.hashes(settings, projection)
        if isinstance(projection, KeyedProjection):
            hashes = SettledLeaves(hashes, store, corrections)  # type: ignore[arg-type]
        log = compose.log_reader(settings, corrections)
        try:
            decoders = decoders or decoders_of(settings, projection)
            yield Parts(projection, store, hashes, log, decoders, version, facts)
        finally:
            log.close()
            hashes.close()
    finally:
        store.close()


def verify(settings: Settings, projection: Projection, sample: int | None = None) -> Verdict:
    """Compare a view with the log, or only a random sample of its keys. A whole verification is noted in the version's
    facts as `verified`.

    Raises:
        ValueError: the log no longer reaches back to its beginning.
    """
    with parts_of(settings, projection) as parts:
        if sample is not None:
            if isinstance(projection, KeyedProjection):
                return sample_documents(parts.documents, sample, random.Random())
            return sample_rows(parts.rows, sample)
        if isinstance(projection, KeyedProjection):
            verdict = prove_documents(parts.documents)
        else:
            make_runner = compose.runner_maker(settings, projection, parts.store, parts.decoders)
            verdict = prove_rows(parts.rows, make_runner)
        _note(parts, verdict)
        return verdict


def _note(parts: Parts, verdict: Verdict) -> None:
    said = {
        "at": _now(),
        "equal": verdict.equal,
        "keys": verdict.keys,
        "differing": len(verdict.differing),
        "named": list(verdict.differing[:NAMED]),
        "root": None if verdict.roots is None else verdict.roots.root.hex(),
        "positions": {} if verdict.roots is None else _texts(verdict.roots),
    }
    if parts.version not in parts.store.versions():
        return  # no worker has ever run the view: there is no version to say it of
    try:
        parts.store.note(parts.version, {VERIFIED: json.dumps(said)})
    except Superseded:
        return  # it was dropped meanwhile: nobody will ask


def heal_keys(settings: Settings, projection: Projection, keys: Sequence[str]) -> dict[str, bytes | None]:
    """Make documents again from the log; without `keys` those that a verification finds wrong. Returns what `heal` does, and
    says it on the topic of drift.

    Raises:
        Unproven: the view has no documents, or they have no hashes.
        As streams.heal.
    """
    if not isinstance(projection, KeyedProjection):
        raise Unproven(f"{projection.name} is a view of rows: rebuild it, or a part of it (--from, --to), to heal it")
    with parts_of(settings, projection) as parts:
        if not parts.documents.leaves.complete(parts.version):
            raise Unproven(f"{projection.name}: the documents of version {parts.version} have no hashes: rebuild it")
        wrong = keys or prove_documents(parts.documents).differing
        healed = heal(parts.documents, wrong) if wrong else {}
        reports = Reports(settings, operator())
        for key, leaf in healed.items():
            reports.healed(projection.name, parts.version, key, leaf)
    return healed


class Unproven(Exception):
    """A view can't be attested as it is; the text says why."""


def attest(settings: Settings, projection: Projection) -> str:
    """A signed note that says what the live version of a view holds now.

    Raises:
        Unproven: its documents have no hashes, or it stands nowhere yet.
        SettingError: the key can't be used.
    """
    signer = attest_keys.signer(settings)
    with parts_of(settings, projection) as parts:
        roots = _live_roots(parts)
        ids = _schema_ids(parts, roots)
        statement = Attestation(
            projection.name,
            parts.version,
            projection.revision,
            running(),
            _now(),
            made_with(parts.facts),
            roots.partitions,
            roots.positions,
            ids,
        )
    return signer.note(statement.text(signer.key.name))


def _live_roots(parts: Parts) -> Roots:
    projection = parts.projection
    if not isinstance(projection, KeyedProjection):
        roots = row_roots(parts.rows.store, parts.rows.chunks, parts.version)
    else:
        leaves = parts.documents.leaves
        if not leaves.complete(parts.version) and parts.version in parts.store.versions():
            raise Unproven(
                f"{projection.name}: version {parts.version} was made before documents had hashes; rebuild it first"
            )
        roots = roots_of(document_cut(leaves, parts.version, projection.partitions), projection.partitions)
    if not roots.positions:
        raise Unproven(f"{projection.name}: version {parts.version} has folded nothing yet")
    return roots


def _schema_ids(parts: Parts, roots: Roots) -> dict[str, tuple[int, ...]]:
    """The ids that occur in what was folded. How far the log was read for them is noted, so that the next time only what
    came since is read."""
    known = Met.parse(parts.facts.get(SCHEMAS))
    found = met(parts.log, roots.positions, known)
    if found != known:
        parts.store.note(parts.version, {SCHEMAS: found.text})
    return found.ids


def check(settings: Settings, attestation: Attestation) -> list[str]:
    """What of an attestation the log, and the live view as far as it can be compared, do not bear out.

    Raises:
        UnknownView: there is no such view.
        ValueError: the log no longer reaches back to its beginning.
    """
    projection = find(attestation.view)
    if attestation.revision != projection.revision:
        return [
            f"{projection.name} was revision {attestation.revision}, this program has revision {projection.revision}: "
            "it can't say what the log implied then"
        ]
    log = compose.log_reader(settings, attestation.corrections)
    try:
        ends = {source: end for source, (_, end) in log.bounds(projection.topics).items()}
        beyond = [source for source, position in attestation.positions.items() if position > ends.get(source, 0)]
        if beyond:
            return [f"{source}: the log ends at {ends.get(source, 0)}, before the attested position" for source in beyond]
        decoders = compose.decoders(projection, contracts.load(), compose.registry(settings))
        implied = implied_roots(projection, log, decoders, attestation.positions)
    finally:
        log.close()
    problems = _different(attestation, implied, "the log implies another root")
    with parts_of(settings, projection) as parts:
        try:
            live = _live_roots(parts)
        except Unproven:
            return problems
    if parts.version == attestation.version and dict(live.positions) == dict(attestation.positions):
        problems += _different(attestation, live, "the live view has another root")
    return problems


def _different(attestation: Attestation, roots: Roots, what: str) -> list[str]:
    names = sorted(attestation.partitions.keys() | roots.partitions.keys())
    return [f"partition {name}: {what}" for name in names if attestation.partitions.get(name) != roots.partitions.get(name)]


def _texts(roots: Roots) -> dict[str, int]:
    return {str(source): position for source, position in sorted(roots.positions.items())}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
