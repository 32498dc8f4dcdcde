"""Documents are made again from the log as it counts in their version. While a redrive brings other corrections into the
version, what it has made anew already is not what the version says of itself, and must not be taken for drift, let alone be
made again as it was.

A redrive says so before its first change (the fact REDRIVING), and that it is done in one step with what the version has
then. So whoever reads a document with its revision, sees after that that the version is settled, and replaces the document
on the condition of the revision, undoes no redrive.
"""

from connectors.leaves import Leaves
from connectors.ports import Document, Leaf, Superseded, ViewStore
from schemas.corrections import REDRIVING, made_with


class Unsettled(Superseded):
    """Other corrections are brought into the version than the log was read with; the message says which."""


def demand_settled(store: ViewStore, version: int, corrections: int) -> None:
    """
    Raises:
        Unsettled: the version has not, or not only, the corrections before the offset `corrections`.
    """
    facts = store.facts(version)
    if REDRIVING in facts:
        raise Unsettled(
            f"corrections up to {facts[REDRIVING]} are being brought into version {version}; if nobody does any more, "
            "`fleetlog dlq redrive --all` goes on with it"
        )
    if made_with(facts) != corrections:
        raise Unsettled(f"corrections up to {made_with(facts)} were brought into version {version} meanwhile")


class SettledLeaves:
    """Leaves that replace documents of a settled version only: `replace` raises Unsettled, too."""

    def __init__(self, leaves: Leaves, store: ViewStore, corrections: int) -> None:
        self._leaves, self._store, self._corrections = leaves, store, corrections
        self.complete, self.unsealed, self.seal, self.cut = leaves.complete, leaves.unsealed, leaves.seal, leaves.cut
        self.kept, self.looked_up, self.strangers = leaves.kept, leaves.looked_up, leaves.strangers
        self.close = leaves.close

    def replace(self, version: int, key: str, revision: int, document: Document, leaf: Leaf) -> None:
        demand_settled(self._store, version, self._corrections)
        self._leaves.replace(version, key, revision, document, leaf)
