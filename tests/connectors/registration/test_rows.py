"""Rows out of a body that comes in parts."""

import base64
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.http.body import BodyReader
from connectors.registration.reading import Reader
from connectors.registration.rows import MOST_LINE, BadLine, CsvRows, Row, Rows
from tests.connectors.ingress.served import options
from tests.streams.registration.keyring import key

KEY = base64.b64encode(key().public).decode()
PEM = "-----BEGIN PUBLIC KEY-----\n" + KEY + "\n-----END PUBLIC KEY-----\n"
HEADER = b"serial_number,public_key,owner,model\n"
READER = Reader(BodyReader(options(Path("."))))
FIELDS = st.text(st.characters(codec="utf-8", exclude_characters='",\r\n'), max_size=12)
LINES = st.lists(
    st.sampled_from([b"a,b,c,d", b'"a', b'b"', b"", b"\r", b'a,"b\nc",,', b"x" * (MOST_LINE + 1), b'{"a": 1}', b"\xff"])
)


def rows_of(rows: Rows | CsvRows, parts: Sequence[bytes]) -> list[Row | BadLine]:
    found = [row for part in parts for row in rows.feed(part)]
    return [*found, *rows.finish()]


@given(LINES, st.lists(st.integers(0, 200)))
def test_how_a_body_is_cut_changes_nothing(lines: list[bytes], cuts: list[int]) -> None:
    body = HEADER + b"\n".join(lines)
    places = sorted({min(cut, len(body)) for cut in cuts})
    parts = [body[start:stop] for start, stop in zip([0, *places], [*places, len(body)], strict=True)]
    assert rows_of(CsvRows(), parts) == rows_of(CsvRows(), [body])
    assert rows_of(Rows(READER), parts) == rows_of(Rows(READER), [body])


@given(st.lists(st.tuples(FIELDS, FIELDS), max_size=6))
def test_every_row_is_told_once_by_its_line(given_rows: list[tuple[str, str]]) -> None:
    body = HEADER + b"".join(f"S,{KEY},{owner},{model}\n".encode() for owner, model in given_rows)
    assert [row.line for row in rows_of(CsvRows(), [body])] == list(range(2, len(given_rows) + 2))


def test_rows_of_csv() -> None:
    body = HEADER + f'S-1,{KEY},,\nS-2,"{PEM}",alice,"M, 1"\n\nS-3,{KEY}\n,{KEY},,\nS-4,{KEY},al ice,\nS-5,"{KEY}\n'.encode()
    one, two, short, nameless, owner, unclosed = rows_of(CsvRows(), [body])
    assert isinstance(one, Row)
    assert (one.line, one.asked.serial_number, one.asked.owner, one.asked.model) == (2, "S-1", None, None)
    assert isinstance(two, Row)
    assert (two.line, two.asked.public_key, two.asked.owner, two.asked.model) == (3, PEM, "alice", "M, 1")
    assert [(bad.line, bad.code) for bad in (short, nameless, owner, unclosed) if isinstance(bad, BadLine)] == [
        (8, "BAD_ROW"),
        (9, "INVALID_BODY"),
        (10, "INVALID_BODY"),
        (11, "BAD_ROW"),
    ]


def test_columns_may_stand_in_any_order() -> None:
    (row,) = rows_of(CsvRows(), [f"\ufeffpublic_key,serial_number\r\n{KEY},S-1\r\n".encode()])
    assert isinstance(row, Row)
    assert row.asked.serial_number == "S-1"


@pytest.mark.parametrize(
    "header", ["serial_number", "serial_number,public_key,colour", "serial_number,public_key,owner,owner"]
)
def test_other_columns_are_refused_once(header: str) -> None:
    (bad,) = rows_of(CsvRows(), [f"{header}\nS,{KEY}\nS,{KEY}\n".encode()])
    assert isinstance(bad, BadLine)
    assert (bad.line, bad.code) == (1, "BAD_HEADER")


def test_lines_of_json() -> None:
    good = b'{"serial_number": "S-1", "public_key": "%s"}' % KEY.encode()
    found = rows_of(Rows(READER), [good + b"\r\n\n", b"{}\n{\n" + b"x" * 9_000 + b"\n" + good])
    assert [(row.line, getattr(row, "code", "")) for row in found] == [
        (1, ""),
        (3, "INVALID_BODY"),
        (4, "MALFORMED_JSON"),
        (5, "ROW_TOO_LONG"),
        (6, ""),
    ]
