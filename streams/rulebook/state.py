"""What is remembered of rules and silences: what a later command is decided by, and nothing else.

All rules are one aggregate, so that several change together or not at all. A rule takes some 150 bytes.
"""

import msgspec

from schemas.rule_messages import Matcher, RuleMode

KEPT_SILENCE_MICROSECONDS = 30 * 86_400_000_000
"""For so long a silence that is over is remembered, by the times of commands."""


class Standing(msgspec.Struct, frozen=True, array_like=True):
    """The version of a rule in one mode. `ended`: disabled or suspended; the document may be applied again."""

    version: int
    digest: bytes
    ended: bool = False


class KnownRule(msgspec.Struct, frozen=True, array_like=True):
    """`version` is the newest of all modes; `standing` has those that were applied last."""

    version: int
    standing: dict[RuleMode, Standing]

    def version_of(self, digest: bytes) -> int:
        """The version that a document gets when it is applied: the one that it has, or a new one."""
        known = [one.version for one in self.standing.values() if one.digest == digest and one.version == self.version]
        return known[0] if known else self.version + 1


class KnownSilence(msgspec.Struct, frozen=True, array_like=True):
    matchers: tuple[Matcher, ...]
    starts_at: int
    ends_at: int
    comment: str


class Book(msgspec.Struct, frozen=True, array_like=True):
    """Rules and silences by their ids."""

    rules: dict[str, KnownRule] = {}
    silences: dict[str, KnownSilence] = {}
