"""Upcasters: what a record of an older version means today, where Avro's resolution can't say it.

Avro fills in defaults, renames and widens. That a number now counts milliseconds, or that one field has become two, it
does not know: both schemas are compatible, and the values wrong. An upcaster is a pure function for such a change, from
the values of one released version to those of a later one. Records that were written under a version from which a step
leads are decoded with that version, go through the steps, and are then resolved to the present schema as if they had
been written under the version that the last step led to. All others never meet an upcaster.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import fastavro
from fastavro.schema import to_parsing_canonical_form

from schemas.codec import ENCODING_FAULTS, Decoder, Undecodable, named, parsed
from schemas.compatibility import incompatibilities, record_in
from schemas.contract import HERE, ContractError, RecordType, Schema
from schemas.released import versions

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Upcaster:
    """One step: values of `record` (its short name) of version `before`, to values of version `after`.

    Values are plain, as `codec.Decoder` gives them; timestamps are integers of microseconds. `upcast` must not change
    what it is given, and raises ValueError for values it can make nothing of: that record is then set aside.
    """

    record: str
    before: int
    after: int
    why: str
    upcast: Callable[[Values], Values]


UPCASTERS: tuple[Upcaster, ...] = ()
"""Every step there is; `fleetlog schema check` proves that they join up."""

FAULTS = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError)


class Upcasting:
    """The steps of one record type. Needs its released versions only where there are steps.

    Attributes:
        written: the versions that records may have been written under, ascending.
    """

    def __init__(self, record: RecordType, released: Mapping[int, Schema], steps: Sequence[Upcaster]) -> None:
        """
        Raises:
            ContractError: a step starts where another does, leads nowhere forward, or names a version that is not there.
        """
        self._record, self._steps = record, {step.before: step for step in steps if step.record == record.name}
        self.written = written_versions(record, released)
        faults = broken_steps(record, released, steps)
        if faults:
            raise ContractError(f"{record.name}: {faults[0]}")
        self._layouts = {version: to_parsing_canonical_form(parsed(schema)) for version, schema in self.written.items()}

    def version(self, schema: Schema) -> int | None:
        """Which version a writer's schema is: the one that is equal but for words and aliases (in which schemas of one id
        may differ), else the newest of the same layout: a producer that brings its own schema, without the contract's
        attributes, is taken to mean today's units."""
        written = _wordless(named(schema))
        equal = [version for version, known in self.written.items() if _wordless(named(known)) == written]
        layout = to_parsing_canonical_form(parsed(schema))
        alike = [version for version, known in self._layouts.items() if known == layout]
        return max(equal or alike, default=None)

    def chain(self, schema: Schema) -> tuple[Upcaster, ...]:
        """The steps that records written under `schema` go through, in order; nearly always none."""
        version = self.version(schema) if self._steps else None
        return () if version is None else self.chain_from(version)

    def chain_from(self, version: int) -> tuple[Upcaster, ...]:
        """The first step is the one that starts at `version`, or at the first later version that has one."""
        found = []
        while (start := min((before for before in self._steps if before >= version), default=None)) is not None:
            found.append(self._steps[start])
            version = self._steps[start].after
        return tuple(found)

    def decoder(self, schema: Schema, version: int | None = None) -> "Decoder | UpcastingDecoder":
        """What decodes bodies written under `schema` (of a `version` that is known, or found out) into values of the
        present one. Raises BadSchema."""
        chain = self.chain(schema) if version is None else self.chain_from(version)
        if not chain:
            return Decoder(schema, self._record.schema)
        return UpcastingDecoder(schema, chain, self.written, self._record.schema)


def _wordless(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {name: _wordless(part) for name, part in schema.items() if name not in ("doc", "aliases")}
    return [_wordless(part) for part in schema] if isinstance(schema, list) else schema


def upcasting(record: RecordType) -> Upcasting:
    """The steps that are declared for a record type of the contract."""
    declared = any(step.record == record.name for step in UPCASTERS)
    return Upcasting(record, versions(HERE, record.name) if declared else {}, UPCASTERS)


def written_versions(record: RecordType, released: Mapping[int, Schema]) -> dict[int, Schema]:
    """The released versions, and the present schema as the next one where it is not released yet."""
    newest = max(released, default=0)
    is_released = released.get(newest) == record.schema
    return dict(released) if is_released else {**released, newest + 1: record.schema}


class UpcastingDecoder:
    """Decodes bodies of one writer's schema through a chain of upcasters. Holds no state between calls."""

    def __init__(self, schema: Schema, chain: Sequence[Upcaster], written: Mapping[int, Schema], present: Schema) -> None:
        self._read = Decoder(schema, written[chain[0].before])
        self._steps = []
        for step, following in zip(chain, [*(one.before for one in chain[1:]), None], strict=True):
            reader = present if following is None else written[following]
            self._steps.append((step, parsed(written[step.after]), Decoder(written[step.after], reader)))

    def decode(self, body: bytes) -> Values:
        """The values of one body, under the present schema.

        Raises:
            Undecodable: it is none of the writer's schema, or a step can make nothing of it or makes no record.
        """
        values = self._read.decode(body)
        for step, schema, resolve in self._steps:
            try:
                out = io.BytesIO()
                fastavro.schemaless_writer(out, schema, step.upcast(values), strict=True)
            except (*FAULTS, *ENCODING_FAULTS) as error:
                raise Undecodable(f"the upcaster from version {step.before} to {step.after} fails: {error!r}") from None
            values = resolve.decode(out.getvalue())
        return values


# --- what is wrong with the steps themselves


def broken_steps(record: RecordType, released: Mapping[int, Schema], steps: Sequence[Upcaster]) -> list[str]:
    """Steps of a record type that can't be taken: two from one version, backwards or in a circle, or of no version."""
    own = [step for step in steps if step.record == record.name]
    written = written_versions(record, released)
    found = []
    for step in own:
        if step.after == step.before:
            found.append(f"the upcaster from version {step.before} leads to itself")
        elif step.after < step.before:
            back = _leads(own, step.after, step.before)
            found.append(
                f"the upcaster from version {step.before} to {step.after} leads back{', in a circle' if back else ''}"
            )
        found += [
            f"an upcaster names version {at}, which is not there" for at in (step.before, step.after) if at not in written
        ]
    starts = [step.before for step in own]
    found += [f"{starts.count(at)} upcasters start at version {at}" for at in sorted(set(starts)) if starts.count(at) > 1]
    return found


def _leads(steps: Sequence[Upcaster], start: int, goal: int) -> bool:
    seen: set[int] = set()
    reached = {start}
    while reached - seen:
        seen |= reached
        reached |= {step.after for step in steps if step.before in seen}
    return goal in reached


def gaps(record: RecordType, released: Mapping[int, Schema], steps: Sequence[Upcaster]) -> list[str]:
    """Pairs of neighbouring versions between which values change their meaning, and no step says how.

    Their meaning changes where a field's declared `unit` does. From the first version that a step starts at, Avro's
    resolution must also be able to bridge what no step does.
    """
    own = [step for step in steps if step.record == record.name]
    written = written_versions(record, released)
    first = min((step.before for step in own), default=None)
    found = []
    for old, new in zip(list(written), list(written)[1:], strict=False):
        if any(step.before <= old and step.after >= new for step in own):
            continue
        for path, was, now in changed_units(written[new], written[old]):
            found.append(f"{path} is in {now}, was in {was}, between the versions {old} and {new}: no upcaster says so")
        if first is not None and old >= first:
            faults = _incompatible(written[new], written[old])
            found += [f"there is a gap between the versions {old} and {new}: {fault}" for fault in faults[:1]]
    return found


def _incompatible(new: Schema, old: Schema) -> list[str]:
    return [f"{path}: {message}" if path else message for path, message in incompatibilities(named(new), named(old))]


def changed_units(new: Any, old: Any, path: str = "") -> list[tuple[str, str, str]]:
    """(path, old unit, new unit) of the fields, by name or alias, whose attribute `unit` differs; one that is declared
    for the first time is no change."""
    after, before = record_in(new), record_in(old)
    if after is None or before is None:
        return []
    known = {field["name"]: field for field in before["fields"]}
    found = []
    for field in after["fields"]:
        was = next((known[name] for name in (field["name"], *field.get("aliases", ())) if name in known), None)
        if was is None:
            continue
        inner = f"{path}.{field['name']}" if path else field["name"]
        units = was.get("unit"), field.get("unit")
        if units[0] is not None and units[0] != units[1]:
            found.append((inner, str(units[0]), str(units[1])))
        found += changed_units(field["type"], was["type"], inner)
    return found
