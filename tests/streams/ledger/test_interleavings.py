"""Whatever commands come, in whatever batches, with crashes between: what the ledger promises holds."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import certificate_messages as messages
from schemas.messages import Command
from schemas.registration_commands import RecordCertificate
from schemas.transparency.entries import Certified, as_leaf, canonical
from schemas.transparency.merkle import Tree, consistent, included, leaf_hash
from schemas.transparency.notes import opened
from streams.machine import Keyed
from tests.streams.ledger.world import DAY, SIGNER, World

DEVICES = st.integers(0, 2)
KEYS = st.integers(0, 4)
SESSIONS = st.one_of(st.none(), st.integers(0, 3))
ACTIONS = st.one_of(
    st.tuples(st.just("issue"), DEVICES, KEYS, SESSIONS),
    st.tuples(st.sampled_from(("renewal", "rotation")), DEVICES, KEYS, st.integers(0, 5)),
    st.tuples(st.just("revoke"), st.integers(0, 5)),
    st.tuples(st.just("except"), st.integers(0, 5), st.integers(0, 100)),
    st.tuples(st.just("ask"), st.sampled_from(("all", "owner"))),
    st.tuples(st.just("confirm"), st.integers(0, 2), st.integers(0, 3)),
    st.tuples(st.just("head")),
    st.tuples(st.just("again"), st.integers(0, 30)),
    st.tuples(st.just("wait"), st.integers(1, 70)),
)
FATES = st.sampled_from(("keep", "keep", "keep", "drop", "restart", "snapshot"))
BATCHES = st.lists(st.tuples(st.lists(ACTIONS, min_size=1, max_size=4), FATES), max_size=12)


class Story:
    """A world and what was asked of it."""

    def __init__(self) -> None:
        self.world = World()
        self.asked: list[Command] = []

    def serial(self, number: int) -> str:
        signed = self.world.authority.signed
        return signed[number % len(signed)] if signed else "abc"

    def previous(self, device: int, number: int) -> str:
        """Mostly the device's newest certificate, else any."""
        held = self.world.machine.state.held.get(f"SN-{device}")
        return held[-1] if held and number else self.serial(number)

    def revocation(self, number: int) -> tuple[str, int]:
        asked = [event for event in self.world.log.values() if isinstance(event, messages.MassRevocationRequested)]
        if not asked:
            return str(self.world.names()["command_id"]), 0
        return asked[number % len(asked)].revocation_id, asked[number % len(asked)].certificates

    def command(self, action: tuple) -> Command | None:
        world = self.world
        match action:
            case ("issue", device, key, session):
                return world.issue(device, key, session)
            case ("renewal" | "rotation" as purpose, device, key, number):
                return world.issue(device, key, purpose=purpose, previous_serial=self.previous(device, number))
            case ("revoke", number):
                return world.revoke(self.serial(number))
            case ("except", number, days):
                until = world.now + days * DAY
                return messages.GrantException(**world.names(), serial=self.serial(number), until=until, detail="x")
            case ("ask", selector):
                names = world.names()
                chosen = {"selector": selector, "value": None if selector == "all" else "owner-0", "reason": "unspecified"}
                return messages.RequestMassRevocation(**names, revocation_id=names["command_id"], **chosen)
            case ("confirm", number, off):
                revocation_id, count = self.revocation(number)
                names = {**world.names(), "revocation_id": revocation_id}
                return messages.ConfirmMassRevocation(**names, expected=count if off else count + 1)
            case ("head",):
                return messages.SignTreeHead(**world.names())
            case ("again", number):
                return self.asked[number % len(self.asked)] if self.asked else None
            case ("wait", days):
                world.now += days * DAY
        return None

    def batch(self, actions: list[tuple], fate: str) -> None:
        commands = {command.command_id: command for action in actions if (command := self.command(action)) is not None}
        keyed = [Keyed("ledger", command) for command in commands.values()]
        before = self.world.machine.state.tree.root()
        if fate in ("drop", "restart"):
            self.world.machine.work(keyed)
            self.world.machine.drop()
            assert self.world.machine.state.tree.root() == before
            if fate == "restart":
                self.world.restart()
            assert self.world.machine.state.tree.root() == before
        self.world.commit(self.world.machine.work(keyed))
        self.asked.extend(commands.values())
        if fate == "snapshot":
            self.world.take_snapshot()


@settings(max_examples=150, deadline=None)
@given(BATCHES)
def test_what_the_ledger_promises(batches: list[tuple[list[tuple], str]]) -> None:
    story = Story()
    for actions, fate in batches:
        story.batch(actions, fate)
        check_validity(story.world)
    check_log(story.world)
    check_sent(story.world)
    root = story.world.machine.state.tree.root()
    story.world.restart()
    assert story.world.machine.state.tree.root() == root
    story.world.snapshot = None
    kept = story.world.machine.snapshot()
    story.world.restart()
    assert story.world.machine.snapshot() == kept, "a fold of the whole log is the snapshot and the tail"


def check_validity(world: World) -> None:
    """No key is two devices', and no device has two keys that are good."""
    certificates = [certificate for _, certificate in world.machine.state.certificates.items()]
    devices: dict[bytes, str] = {}
    keys: dict[str, bytes] = {}
    for certificate in certificates:
        assert devices.setdefault(certificate.key_hash, certificate.hardware_id) == certificate.hardware_id
        if certificate.valid(world.now):
            assert keys.setdefault(certificate.hardware_id, certificate.key_hash) == certificate.key_hash


def check_log(world: World) -> None:
    """Leaves are dense, serials and event ids single, and every head continues the one before."""
    tree = Tree()
    serials: set[str] = set()
    heads: list[messages.TreeHeadSigned] = []
    for event in world.log.values():
        leaf = as_leaf(event)
        if leaf is not None:
            assert leaf.leaf_index == tree.append(leaf_hash(canonical(leaf)))
        if isinstance(leaf, Certified):
            assert leaf.serial not in serials
            serials.add(leaf.serial)
        if isinstance(event, messages.TreeHeadSigned):
            heads.append(event)
            assert opened(event.checkpoint, SIGNER.key)[1:] == (event.tree_size, event.root_hash) == (tree.size, tree.root())
    for first, second in pairwise(heads):
        proof = tree.consistency(first.tree_size, second.tree_size)
        assert consistent(first.tree_size, first.root_hash, second.tree_size, second.root_hash, proof)
    assert len({event.event_id for event in world.log.values()}) == len(world.log)
    assert not heads or heads[-1].tree_size == tree.size, "no leaf stands without a head"


def check_sent(world: World) -> None:
    """Every certificate that was sent on is entered, and its proof leads to a head that was signed."""
    entered = {event.serial: event for event in world.log.values() if isinstance(event, Certified)}
    for record in world.sent:
        sent = record.message
        if isinstance(sent, RecordCertificate):
            head = opened(sent.checkpoint, SIGNER.key)
            leaf = leaf_hash(canonical(entered[sent.serial]))
            assert included(leaf, sent.leaf_index, head.size, head.root, sent.inclusion_proof)
