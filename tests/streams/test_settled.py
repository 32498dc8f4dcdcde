"""Whatever comes between a redrive and a healing, corrected documents stay corrected."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from connectors.corrections import CorrectedLog
from connectors.memory import MemoryKeyedStore, MemoryLog
from connectors.memory_leaves import MemoryLeaves
from projections.catalogue import DEVICE_STATE
from schemas.correction_messages import Correction
from schemas.corrections import REDRIVING
from streams.heal import heal
from streams.partial import refold
from streams.prove import Documents, prove_documents
from streams.refold import Source
from streams.settled import SettledLeaves, Unsettled, demand_settled
from tests.streams.test_corrected_views import Damage, damaged, damaged_logs, index
from tests.streams.test_rebuild_and_verify import DECODERS, damage, fold
from tests.streams.test_redrive import redrive
from tests.streams.test_runner import Log


class Died(BaseException):
    """As `kill -9`."""


class Between(MemoryLeaves):
    """Does something just before one of the calls."""

    def __init__(self, store: MemoryKeyedStore, at: int, work: Callable[[], None]) -> None:
        super().__init__(store)
        self._work, self._left = work, at

    def _maybe(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._work()

    def looked_up(self, *arguments: Any) -> Any:
        self._maybe()
        return super().looked_up(*arguments)

    def replace(self, *arguments: Any) -> None:
        self._maybe()
        super().replace(*arguments)


def documents(store: MemoryKeyedStore, log: Any, leaves: Any, corrections: int) -> Documents:
    return Documents(Source(DEVICE_STATE, log, DECODERS), store, SettledLeaves(leaves, store, corrections), 1)


def corrected(log: MemoryLog, corrections: list[Correction]) -> CorrectedLog:
    return CorrectedLog(log, index(corrections, len(corrections)))


@settings(max_examples=80, deadline=None)
@given(damaged_logs(), st.integers(1, 4), st.integers(0, 2**32), st.booleans())
def test_what_a_redrive_corrected_is_not_healed_back(made: tuple[Log, Damage], at: int, seed: int, whole_part: bool) -> None:
    _, log, corrections = damaged(*made)
    store, chance = MemoryKeyedStore(), random.Random(seed)
    fold(DEVICE_STATE, store, log)
    held = sorted(dict(store.scan(1)).items())
    assume(held and corrections)
    key, document = chance.choice(held)
    damage(store, key, document, chance)
    leaves = Between(store, at, lambda: redrive(DEVICE_STATE, store, log, corrections) and None)
    refused = False
    try:
        if whole_part:
            guarded = SettledLeaves(leaves, store, 0)
            refold(DEVICE_STATE, store, guarded, log, DECODERS, [key for key, _ in held])
        else:
            heal(documents(store, log, leaves, 0), [key for key, _ in held])
    except Unsettled:
        assert store.facts(1)["corrections"] == str(len(corrections))
        refused = True
    redrive(DEVICE_STATE, store, log, corrections)
    now = documents(store, corrected(log, corrections), MemoryLeaves(store), len(corrections))
    if refused:
        heal(now, [key])
    assert prove_documents(now).differing == ()


@settings(max_examples=40, deadline=None)
@given(damaged_logs(), st.integers(1, 5))
def test_while_a_redrive_that_died_waits_nothing_is_healed(made: tuple[Log, Damage], at: int) -> None:
    _, log, corrections = damaged(*made)
    store = MemoryKeyedStore()
    fold(DEVICE_STATE, store, log)
    keys = sorted(dict(store.scan(1)))
    try:
        for _ in dying(store, at):
            redrive(DEVICE_STATE, store, log, corrections)
    except Died:
        assert REDRIVING in store.facts(1)
        before = dict(store.scan(1))
        with pytest.raises(Unsettled, match="dlq redrive --all"):
            demand_settled(store, 1, 0)
        for key in sorted(before):  # a document that only a bad record had made may be gone already
            damage(store, key, before[key], random.Random(at))
            with pytest.raises(Unsettled):
                heal(documents(store, log, MemoryLeaves(store), 0), [key])
    redrive(DEVICE_STATE, store, log, corrections)
    assert REDRIVING not in store.facts(1)
    now = documents(store, corrected(log, corrections), MemoryLeaves(store), len(corrections))
    heal(now, keys)
    assert prove_documents(now).differing == ()


def dying(store: MemoryKeyedStore, at: int) -> Iterator[None]:
    """The store's user dies at its document number `at`."""
    write, left = store._written, [at]

    def mortal(version: int) -> Any:
        left[0] -= 1
        if left[0] < 0 and REDRIVING in store.facts(version):
            raise Died
        return write(version)

    store._written = mortal  # type: ignore[method-assign]
    try:
        yield
    finally:
        store._written = write  # type: ignore[method-assign]
