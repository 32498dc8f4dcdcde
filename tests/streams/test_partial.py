"""Documents folded anew one by one are what a whole rebuild makes, also while the view goes on; versions are compared key by
key, and what only one of them has come to is told from what they make of it."""

import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.memory import MemoryKeyedStore, MemoryRowStore
from connectors.memory_leaves import MemoryLeaves
from connectors.ports import Document, Loaded
from projections.catalogue import CATALOGUE, DEVICE_STATE, find
from projections.projection import KeyedProjection
from streams.difference import diff_documents, diff_rows
from streams.partial import Asked, TooBusy, keys_of, refold
from streams.versions import Refused
from tests.projections.records import logs
from tests.streams.rebuilding import renewed
from tests.streams.test_rebuild_and_verify import DECODERS, filled, fold, maker
from tests.streams.test_runner import EVENTS, ROWS, Log


class LivelyStore(MemoryKeyedStore):
    """Goes on folding a batch whenever documents are loaded or positions read, as a live view does."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Iterator[Callable[[], None]] = iter(())
        self._busy = False

    def load(self, version: int, keys: Any) -> list[Loaded]:
        found = super().load(version, keys)
        self._go_on()
        return found

    def positions(self, version: int) -> Any:
        self._go_on()
        return super().positions(version)

    def _go_on(self) -> None:
        if not self._busy:  # folding loads and reads positions itself
            self._busy = True
            next(self.meanwhile, lambda: None)()
            self._busy = False


def living(store: LivelyStore, kept: Any) -> Iterator[Callable[[], None]]:
    """The rest of the log, a batch at each step."""
    runner = maker(DEVICE_STATE, store)(1)
    bounds = kept.bounds(DEVICE_STATE.topics)
    starts = runner.start(bounds)
    for source, (_, end) in bounds.items():
        for batch in kept.read(source, starts[source], end):
            yield partial(runner.handle, batch)  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(logs(), st.randoms(use_true_random=False))
def test_whatever_became_of_a_document_it_is_made_what_the_log_implies(log: Log, chance: random.Random) -> None:
    kept, store = filled(log), LivelyStore()
    fold(DEVICE_STATE, store, kept, chance)
    leaves = MemoryLeaves(store)
    documents = dict(store.scan(1))
    keys = sorted(documents)
    chosen = [key for key in keys if chance.random() < 0.7]
    for key in chosen:
        damage(leaves, store, key, chance)
    if chance.random() < 0.5:
        chosen.append("nobody")
        leaves.replace(1, "nobody", 0, {"count.telemetry": "3"}, LEAF)
    store.meanwhile = living(store, kept)
    done = refold(DEVICE_STATE, store, leaves, kept, DECODERS, chosen)
    assert {*done.unchanged, *done.replaced, *done.removed} == set(chosen)
    store.meanwhile = iter(())
    fold(DEVICE_STATE, store, kept)
    version, _ = renewed(DEVICE_STATE, store, kept, maker(DEVICE_STATE, store))
    assert dict(store.scan(1)) == dict(store.scan(version))
    assert "nobody" not in dict(store.scan(1))
    found = diff_documents(store, 1, version)
    assert (found.same, found.explained, found.equal) == (True, 0, len(dict(store.scan(1))))


LEAF: Any = type("L", (), {"bucket": 0, "hash": b"0" * 32})()


def damage(leaves: MemoryLeaves, store: MemoryKeyedStore, key: str, chance: random.Random) -> None:
    """A field lost, another one's value, a stamp that lies, or all gone."""
    (loaded,) = MemoryKeyedStore.load(store, 1, [key])
    document: Document = dict(loaded.document)
    match chance.randrange(4):
        case 0:
            document.pop(chance.choice(sorted(document)))
        case 1:
            document["count.readings"] = "987654321"
        case 2:
            document[next(name for name in document if name.startswith("position."))] = str(chance.randrange(10**6))
        case 3:
            document = {}
    leaves.replace(1, key, loaded.revision, document, LEAF)


class RestlessStore(MemoryKeyedStore):
    """Every document has another revision whenever it is looked for again."""

    def load(self, version: int, keys: Any) -> list[Loaded]:
        return [Loaded(one.document, one.revision + 7) for one in super().load(version, keys)]


def test_documents_that_change_at_every_try_are_named() -> None:
    store = RestlessStore()
    store.prepare(1)
    MemoryLeaves(store).replace(1, "dev-x", 0, {"count.telemetry": "3"}, LEAF)
    with pytest.raises(TooBusy, match="dev-x"):
        refold(DEVICE_STATE, store, MemoryLeaves(store), filled([]), DECODERS, ["dev-x"])


@pytest.mark.parametrize(
    ("view", "asked", "why"),
    [
        ("device_state", Asked(tenant="ada"), "records name no tenant"),
        ("telemetry", Asked(tenant="ada"), "records name no tenant"),
        ("telemetry", Asked(devices=("d",)), "telemetry: a row is of its record"),
        ("telemetry", Asked(devices=("d",), ranged=True), "telemetry: a row is of its record"),
        ("device_state", Asked(ranged=True), "device_state: a document is made of all its records"),
        (
            "certificates",
            Asked(devices=("d",)),
            "of a certificate's serial number, not of a device",
        ),
        ("registrations", Asked(devices=("d",)), "not of a device; name it with --key"),
    ],
)
def test_a_part_that_can_t_be_made_by_itself_is_refused_with_the_reason(view: str, asked: Asked, why: str) -> None:
    with pytest.raises(Refused) as refused:
        keys_of(find(view), asked)
    assert why in str(refused.value)


def test_documents_are_named_by_device_or_by_key() -> None:
    assert keys_of(find("device_state"), Asked(keys=("b",), devices=("a", "b"))) == ("a", "b")
    assert keys_of(find("telemetry"), Asked(ranged=True)) == ()
    assert keys_of(find("certificates"), Asked(keys=("a1",))) == ("a1",)
    assert all(view.key for view in CATALOGUE if isinstance(view, KeyedProjection))


@settings(max_examples=60, deadline=None)
@given(logs(), st.randoms(use_true_random=False))
def test_versions_that_stand_apart_differ_in_nothing_that_is_not_explained(log: Log, chance: random.Random) -> None:
    kept, store, rows = filled(log), MemoryKeyedStore(), MemoryRowStore(EVENTS)
    for projection, held in ((DEVICE_STATE, store), (ROWS, rows)):
        fold(projection, held, kept, chance)
        held.prepare(2)
        runner = maker(projection, held)(2)
        bounds = kept.bounds(projection.topics)
        runner.start(bounds)
        for source, (low, end) in bounds.items():
            for batch in kept.read(source, low, chance.randint(low, end)):
                runner.handle(batch)
    for found in (diff_documents(store, 1, 2), diff_documents(store, 2, 1), diff_rows(rows, 1, 2)):
        assert found.same
        assert found.differing == {}


def test_a_difference_is_named_with_its_fields() -> None:
    store = MemoryKeyedStore()
    for version in (1, 2):
        store.prepare(version)
    leaves, stamped = MemoryLeaves(store), {"position.fleet.telemetry/0": "7"}
    for version, key, document in (
        (1, "same", {**stamped, "n": "1"}),
        (2, "same", {**stamped, "n": "1"}),
        (1, "other", {**stamped, "n": "1", "gone": "x"}),
        (2, "other", {**stamped, "n": "2"}),
        (1, "alone", {"n": "1"}),
        (2, "late", {**stamped, "n": "1"}),
    ):
        leaves.replace(version, key, 0, document, LEAF)
    found = diff_documents(store, 1, 2)
    assert (found.equal, found.differ, found.explained) == (1, 2, 1)
    assert found.differing == {"other": ["gone", "n"], "alone": ["only in version 1"]}
