"""Random pairs of a writer's and a reader's schema: the reader's is the writer's, changed in a few places."""

from dataclasses import replace

from tests.schemas.avro_java.types import (
    FIELDS,
    LOGICAL,
    NAMES,
    PRIMITIVES,
    SPACES,
    SYMBOLS,
    Member,
    Random,
    Type,
    default_of,
)

WIDER = {"int": ("long", "float", "double"), "long": ("float", "double"), "float": ("double",), "string": ("bytes",)}


class Maker:
    """Makes types. `names` are those still free; `closed` are named types that may be used again."""

    def __init__(self, draw: Random) -> None:
        self.draw, self.closed = draw, list[Type]()
        self.open: list[Type] = []
        self.free = [(space, name) for name in NAMES for space in SPACES]

    def record(self, depth: int) -> Type:
        made = self.named("record")
        self.open.append(made)
        for name in FIELDS[: 1 + self.draw.randrange(4)]:
            made.fields.append(self.member(name, depth))
        self.open.remove(made)
        self.closed.append(made)
        return made

    def named(self, kind: str) -> Type:
        space, name = self.free.pop(self.draw.randrange(len(self.free)))
        return Type(kind, space=space, name=name)

    def member(self, name: str, depth: int) -> Member:
        type_ = self.type(depth + 1)
        return Member(name, type_)  # a writer's defaults mean nothing

    def type(self, depth: int) -> Type:
        draw = self.draw
        if depth > 3 or draw.random() < 0.4 or len(self.free) < 3:
            return self.leaf()
        kinds = ["record", "enum", "fixed", "array", "map", "union", "union", "self", "again"]
        kind = draw.choice(kinds)
        if kind == "record":
            return self.record(depth)
        if kind in ("array", "map"):
            return Type(kind, inner=[self.takes_bytes(depth + 1)])
        if kind == "union":
            return self.union(depth)
        if kind == "self" and self.open:
            return Type("union", inner=[Type("null"), draw.choice(self.open)])
        if kind == "again" and self.closed:
            return draw.choice(self.closed)
        made = self.named("enum" if kind == "enum" else "fixed")
        made.symbols, made.size = list(SYMBOLS[: 1 + draw.randrange(3)]), 1 + draw.randrange(3)
        self.closed.append(made)
        return made

    def takes_bytes(self, depth: int) -> Type:
        """A type whose values take bytes, as an array's items must."""
        made = self.type(depth)
        return Type("int") if made.kind in ("null", "record") else made

    def leaf(self) -> Type:
        if self.draw.random() < 0.15:
            chosen = self.draw.choice(LOGICAL)
            return Type(chosen["type"], {name: value for name, value in chosen.items() if name != "type"})
        return Type(self.draw.choice(PRIMITIVES))

    def union(self, depth: int) -> Type:
        branches = [Type("null")] if self.draw.random() < 0.7 else []
        for _ in range(1 + self.draw.randrange(3)):
            add_branch(branches, self.type(depth + 1))
        return Type("union", inner=branches) if branches else self.leaf()


def add_branch(branches: list[Type], made: Type) -> None:
    """Add a branch, where a union may hold it."""
    if made.kind != "union" and all(made.kind != one.kind or (made.name and made.full != one.full) for one in branches):
        branches.append(made)


class Changer:
    """Copies a graph of types and changes it on the way, each place with probability `often`."""

    def __init__(self, draw: Random, maker: Maker, often: float) -> None:
        self.draw, self.maker, self.often = draw, maker, often
        self.copies: dict[int, Type] = {}
        self.open: list[Type] = []

    def hit(self, weight: float = 1.0) -> bool:
        return self.draw.random() < self.often * weight

    def type(self, old: Type) -> Type:
        if id(old) in self.copies:
            return self.copies[id(old)]
        made = replace(old, aliases=list(old.aliases), symbols=list(old.symbols), fields=[], inner=[])
        if old.name:
            self.copies[id(old)] = made
            self._rename(made)
        match old.kind:
            case "union":
                return self._union(old, made)
            case "record":
                self._record(old, made)
            case "enum":
                self._enum(made)
            case "fixed":
                made.size += self.hit(0.3)
            case "array" | "map":
                made.inner = [self.type(old.inner[0])]
            case _:
                return self._primitive(made)
        if made.name:
            self.maker.closed.append(made)
        return self._wrapped(made)

    def _wrapped(self, made: Type) -> Type:
        if self.hit(0.3):
            branches = [made]
            add_branch(branches, self.maker.leaf())
            if self.draw.random() < 0.5:
                branches.reverse()
            return Type("union", inner=branches)
        return made

    def _rename(self, made: Type) -> None:
        if self.hit(0.5) and self.maker.free:
            old = made.full
            space, name = self.maker.free.pop(self.draw.randrange(len(self.maker.free)))
            made.space, made.name = space, made.name if self.draw.random() < 0.3 else name
            if made.name != name and (space, made.name) in self.taken():
                made.name = name
            if self.draw.random() < 0.6:
                made.aliases = [old]

    def taken(self) -> set[tuple[str, str]]:
        return {(one.space, one.name) for one in self.copies.values()}

    def _primitive(self, made: Type) -> Type:
        if self.hit():
            wider = WIDER.get(made.kind, ())
            made = Type(self.draw.choice(wider if wider and self.draw.random() < 0.7 else PRIMITIVES))
        return self._wrapped(made)

    def _union(self, old: Type, made: Type) -> Type:
        branches: list[Type] = []
        for branch in old.inner:
            if not self.hit(0.4):
                changed = self.type(branch)
                for one in changed.inner if changed.kind == "union" else [changed]:
                    add_branch(branches, one)
        if self.hit():
            add_branch(branches, self.maker.leaf())
        if self.hit() and len(branches) > 1:
            branches.append(branches.pop(0))
        if not branches:
            return self.maker.leaf()
        if len(branches) == 1 and self.hit():
            return branches[0]
        made.inner = branches
        return made

    def _enum(self, made: Type) -> None:
        if self.hit():
            made.symbols = list(SYMBOLS[self.draw.randrange(2) : 2 + self.draw.randrange(3)])
        if self.hit():
            made.symbols.reverse()
        if self.hit():
            made.default = self.draw.choice(made.symbols)

    def _record(self, old: Type, made: Type) -> None:
        self.open.append(made)
        aliased = made.full == old.full or bool(made.aliases)  # see test_java_forgets_...
        for member in old.fields:
            if self.hit(0.4):
                continue
            name, aliases = member.name, list(member.aliases)
            if self.hit(0.5):
                name = f"{name}_new"
                aliases = [member.name] if aliased and self.draw.random() < 0.7 else []
            made.fields.append(Member(name, self.type(member.type), aliases))
        if self.hit():
            made.fields.append(Member("added", self.maker.type(2)))
        if self.hit() and made.fields:
            made.fields.append(made.fields.pop(0))
        for member in made.fields:
            if self.draw.random() < (0.8 if member.name == "added" else 0.4):
                member.default = default_of(member.type, self.draw, self.open)
        self.open.remove(made)


def pair(draw: Random) -> tuple[Type, Type]:
    """(reader, writer)."""
    maker = Maker(draw)
    writer = maker.record(0)
    maker.closed.clear()  # what is added to the reader's refers to types of the reader's
    reader = Changer(draw, maker, draw.choice((0.03, 0.1, 0.3))).type(writer)
    return reader, writer
