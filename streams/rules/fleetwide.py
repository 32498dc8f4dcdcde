"""Rules about the fleet in a run: what its rows add to their measures, and what they say when a window ends."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from uuid import uuid5

import polars as pl

from schemas.rule_records import NamedValue, PartialAggregated
from streams.rules.active import Active, Slot
from streams.rules.aggregation import CLEARED, NEITHER, RAISED, Aggregation, home_key
from streams.rules.cells import Row, Step, turned
from streams.rules.clock import Kind, Timer
from streams.rules.counting import GRACE
from streams.rules.cuts import AGGREGATES, CUTS, RANK, Layout
from streams.rules.intake import cuts_of
from streams.rules.ports import AT, KEY, RECEIVED, Added, Input, Place, RuleFailed
from streams.rules.reading import Slices, of_topic
from streams.rules.rows import TOPICS
from streams.rules.run import Asked, Run
from streams.rules.state import NAMESPACE, State, ordered

ASK, TELL = "ask", "tell"
"""What a timer at the end of a window is for."""

Say = Callable[[Active, str, Sequence[Step]], None]
"""Told what came of a rule's condition on a home key."""


def count(state: State, run: Run, name: Input, frame: pl.DataFrame, layout: Layout) -> None:
    """Take what the rows of an input add to the rules that are about it."""
    counting = [one for one in state.active.values() if one.counter and one.counter.of == name and not one.broken]
    if not counting or frame.is_empty():
        return
    known = state.fleet.columns(frame)
    cuts = pl.Series(cuts_of(TOPICS[name], frame, layout))
    for active in ordered(counting):
        inside = state.in_scope(active, known[KEY].unique().to_list())
        mask = known[KEY].is_in(inside)
        for added in _added(state, active, known.filter(mask), cuts.filter(mask)):
            run.put_count((added.cut, RANK[TOPICS[name]], added.source, added.offset, 0), active, added)


def _added(state: State, active: Active, frame: pl.DataFrame, cuts: pl.Series) -> Iterator[Added]:
    assert active.counter is not None
    for added in active.counter.added(frame, cuts):
        if not active.counter.direct or state.is_home(home_key(active.slot.rule_id, added.group)):
            yield added


def take(state: State, run: Run, cut: int, active: Active, added: Added) -> None:
    """What rows add is known from now on; when the window that they are visible in has ended the rule is asked, or, where
    they were counted for others, these are told."""
    assert active.aggregation is not None
    assert active.counter is not None
    if active.broken:
        return
    direct, clock = active.counter.direct, run.cuts[cut].at
    try:
        until = active.aggregation.add(added, clock) if direct else active.aggregation.count(added, clock)
    except RuleFailed as failed:
        fail(state, run, active, cut, str(failed))
        return
    if until is not None and direct:
        _time(state, active, until)
    elif until is not None:
        state.timers.put(Timer(until, "bucket", str(active.slot), TELL))


def _time(state: State, active: Active, until: int) -> None:
    state.timers.put(Timer(until + GRACE, "bucket", str(active.slot), ASK))


# --- what partitions tell each other ----------------------------------------------------------------------------------


def partials(state: State, run: Run, slices: Slices, layout: Layout) -> None:
    """What partitions have counted for the groups that are at home here."""
    for source, batches in of_topic(slices, AGGREGATES).items():
        for batch in batches:
            read = state.readers.columns[AGGREGATES].rows(batch.values)
            run.counts.unreadable += len(read.faults)
            for index, record in read.rows:
                offset = batch.offsets[index]
                run.put_partial((layout.cut_of(source, offset), RANK[AGGREGATES], source.partition, offset, 0), record)


def hear(state: State, run: Run, cut: int, record: Mapping[str, Any]) -> None:
    """A partition's count: of the version that is in force, or of no meaning any more."""
    active = state.active.get(Slot(record["rule_id"], record["mode"]))
    if active is None or active.aggregation is None or active.counter is None or active.broken:
        return
    if active.evaluator.version != record["version"] or active.counter.length != record["bucket_length"]:
        return
    named = {one["name"]: one["value"] for one in record["values"]}
    values = [named.get(name) for name in active.counter.names]
    try:
        until = active.aggregation.hear(record["group"], record["bucket_start"], record["source"], values, run.cuts[cut].at)
    except RuleFailed as failed:
        fail(state, run, active, cut, str(failed))
        return
    if until is not None:
        _time(state, active, until)


def due(state: State, run: Run, cut: int, timer: Timer, say: Say) -> None:
    """The end of a window has come, or the time to ask about it."""
    active = state.active_of(timer.rule_id)
    if active is None or active.aggregation is None or active.broken:
        return
    if timer.key == TELL:
        run.partials[cut].extend(_told(state, active, active.aggregation, timer.due))
    else:
        ask(state, run, cut, timer, say)


def _told(state: State, active: Active, aggregation: Aggregation, until: int) -> Iterator[tuple[str, PartialAggregated]]:
    slot, version, names = active.slot, active.evaluator.version, aggregation.counter.names
    for group, begins, revision, values in aggregation.tell(until):
        known = [(name, value) for name, value in zip(names, values, strict=True) if value is not None]
        if not known:
            continue
        home = home_key(slot.rule_id, group)
        identity = f"partial/{slot}/{version}/{home}/{state.partition}/{begins}/{revision}"
        yield (
            home,
            PartialAggregated(
                event_id=str(uuid5(NAMESPACE, identity)),
                rule_id=slot.rule_id,
                version=version,
                mode=slot.mode,
                group=group,
                source=state.partition,
                bucket_start=begins,
                bucket_length=aggregation.counter.length,
                revision=revision,
                values=tuple(NamedValue(name=name, value=value) for name, value in known),
            ),
        )


# --- asking -----------------------------------------------------------------------------------------------------------


def ask(state: State, run: Run, cut: int, timer: Timer, say: Say) -> None:
    """A window has ended, and what belongs into it has been waited for: the rule is asked about every group."""
    active, until = state.active_of(timer.rule_id), timer.due - GRACE
    if active is None or active.aggregation is None or active.broken or until <= active.aggregation.asked:
        return
    try:
        for group, code, value in _asked(active, active.aggregation, until):
            key = home_key(active.slot.rule_id, group)
            run.asked.append(Asked(cut, active.slot, key, until, code, value))
            effective = active.aggregation.turned(group, code, active.timing.repeat)
            if effective is not None:
                _turned(state, active, key, Row(effective, until, timer.due, None, value), say)
    except RuleFailed as failed:
        fail(state, run, active, cut, str(failed))
        return
    if (following := active.aggregation.following) is not None:
        _time(state, active, following)


def _asked(active: Active, aggregation: Aggregation, until: int) -> Iterator[tuple[str, int, float | None]]:
    """Groups, verdicts and values of a window; a group of which the rule says nothing is left out."""
    windows = list(aggregation.windows(until))
    if not windows:
        return
    assert active.counter is not None
    measures = {name: [values[name] for _, values in windows] for name in active.counter.names}
    keys = [home_key(active.slot.rule_id, group) for group, _ in windows]
    frame = pl.DataFrame(
        {KEY: keys, AT: [until] * len(keys), RECEIVED: [until] * len(keys), **measures},
        schema={KEY: pl.String, AT: pl.Int64, RECEIVED: pl.Int64, **dict.fromkeys(measures, pl.Float64)},
    )
    found = active.evaluator.evaluate(frame)
    for (group, _), raised, cleared, value in zip(windows, found.raised, found.cleared, found.value, strict=True):
        if raised is not None and cleared is not None:
            yield group, RAISED if raised else CLEARED if cleared else NEITHER, value


def _turned(state: State, active: Active, key: str, row: Row, say: Say) -> None:
    before = active.cells.get(key)
    cell, steps = turned(before, active.timing, row)
    if cell is None:
        active.cells.pop(key, None)
    else:
        active.cells[key] = cell
        if cell is not before and cell.phase != "firing":
            kind: Kind = "hold" if cell.phase == "pending" else "keep"
            state.timers.put(Timer(cell.clock, kind, str(active.slot), key))
    say(active, key, steps)


def fail(state: State, run: Run, active: Active, cut: int, why: str) -> None:
    """A rule that can't be evaluated is asked no more, and its suspension is asked for."""
    active.broken = True
    place = Place(CUTS, state.partition, run.cuts[cut].sequence)
    command = state.suspension(active.slot, active.evaluator.version, why, place, run.cuts[cut].at)
    run.commands[cut].append(command)
