"""A witness: remembers the newest head of a ledger that it has seen, and cosigns a head only if it continues that one.

So a ledger that shows one history to some and another to others, or that takes back what it has shown, can't have both
cosigned. Pure but for the heads' store and the tiles that are fetched.
"""

from dataclasses import asdict, dataclass
from typing import Literal, Protocol

from schemas.transparency.merkle import EMPTY_ROOT, OutOfRange, consistent
from schemas.transparency.notes import (
    BadNote,
    Head,
    NoteKey,
    Signer,
    Unsigned,
    opened,
    parse_note,
    with_signatures,
)
from schemas.transparency.tiles import BadTile, Fetch, TiledTree

Kind = Literal["unsigned", "rolled_back", "forked", "bad_tiles"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why a head was refused. `seen` is the checkpoint that was cosigned before, `shown` the one that is refused; two good
    signatures of the ledger's key under heads that don't fit together prove that it cheats. `proof`: what the tiles gave,
    hexadecimal."""

    kind: Kind
    detail: str
    seen: str
    shown: str
    proof: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        return asdict(self)


class Refused(Exception):
    """A head that is not cosigned."""

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(evidence.detail)
        self.evidence = evidence


class Heads(Protocol):
    """Where a witness keeps the newest head it has cosigned."""

    def newest(self) -> str | None:
        """The cosigned checkpoint; None: nothing was cosigned yet."""

    def keep(self, cosigned: str) -> None:
        """Returns when it is on disk."""


class Witness:
    """Of one ledger, whose `key` it was given beforehand."""

    def __init__(self, key: NoteKey, signer: Signer, heads: Heads) -> None:
        self._key, self._signer, self._heads = key, signer, heads

    def consider(self, checkpoint: str, fetch: Fetch, seconds: int) -> str:
        """Cosign a checkpoint at this second since 1970; returns it cosigned, when it is kept.

        Args:
            fetch: gives the ledger's tiles. What it raises (the ledger is away) leaves this method.

        Raises:
            Refused: it is not to be cosigned.
        """
        seen = self._heads.newest() or ""
        try:
            head = opened(checkpoint, self._key)
        except (BadNote, Unsigned) as bad:
            raise Refused(Evidence("unsigned", str(bad), seen, checkpoint)) from None
        self._check(head, seen, checkpoint, fetch)
        note = parse_note(checkpoint)
        alone = note._replace(signatures=tuple(s for s in note.signatures if s.key_id == self._key.id)).whole
        cosigned = with_signatures(alone, [self._signer.cosignature(note.text, seconds)])
        self._heads.keep(cosigned)
        return cosigned

    def _check(self, head: Head, seen: str, shown: str, fetch: Fetch) -> None:
        before = opened(seen, self._key) if seen else Head(head.origin, 0, EMPTY_ROOT)
        if head.size < before.size:
            detail = f"a head of {head.size} leaves was shown after one of {before.size}"
            raise Refused(Evidence("rolled_back", detail, seen, shown))
        if head.size == before.size:
            if head.root != before.root:
                detail = f"two heads of {head.size} leaves have different roots"
                raise Refused(Evidence("forked", detail, seen, shown))
            return
        tree = TiledTree(head.size, fetch)
        try:
            root, proof = tree.root(), tree.consistency(before.size)
        except (BadTile, OutOfRange) as bad:
            raise Refused(Evidence("bad_tiles", str(bad), seen, shown)) from None
        if root != head.root:
            detail = f"the tiles of the tree of {head.size} leaves are not those of its signed root"
            raise Refused(Evidence("bad_tiles", detail, seen, shown))
        if not consistent(before.size, before.root, head.size, head.root, proof):
            detail = f"the head of {head.size} leaves does not continue that of {before.size}"
            raise Refused(Evidence("forked", detail, seen, shown, tuple(step.hex() for step in proof)))
