"""Random records, as the log may hold them."""

from hypothesis import strategies as st

from schemas.archive.records import Headers, Records
from schemas.log import TopicPartition, offsets_of

SOURCE = TopicPartition("fleet.toy", 3)

texts = st.text(st.characters(codec="utf-8"), max_size=8)
contents = st.one_of(st.none(), st.binary(max_size=24), st.builds(lambda n: b"\0" + n.to_bytes(4) + b"x", st.integers(1, 9)))
headers: st.SearchStrategy[Headers] = st.lists(st.tuples(texts, contents), max_size=2).map(tuple)


@st.composite
def records(draw: st.DrawFn, source: TopicPartition = SOURCE) -> Records:
    """Records with holes, from anywhere to anywhere."""
    begins = draw(st.integers(0, 2**40))
    steps = draw(st.lists(st.integers(1, 3), max_size=30))
    offsets, at = [], begins - 1
    for step in steps:
        at += step
        offsets.append(at)
    ends = at + 1 + draw(st.integers(0 if steps else 1, 3))
    count = len(offsets)
    several = st.lists(contents, min_size=count, max_size=count)
    return Records(
        source,
        offsets_of(offsets) if offsets else range(begins, begins),
        draw(st.lists(st.integers(-1, 2**42), min_size=count, max_size=count)),
        draw(several),
        draw(st.lists(headers, min_size=count, max_size=count)),
        draw(several),
        begins,
        ends,
    )


def rows(of: Records) -> list[tuple[object, ...]]:
    """The records, one by one."""
    columns: tuple[list[object], ...] = tuple(
        list(column) for column in (of.offsets, of.timestamps, of.keys, of.headers, of.values)
    )
    return list(zip(*columns, strict=True))
