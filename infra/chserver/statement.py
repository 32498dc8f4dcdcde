"""What has to be known of a statement's text: is it an INSERT whose rows come separately, a SELECT, is there a FORMAT.

Only tokens are looked at; everything else about SQL is the engine's.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<space>\s+|--[^\n]*|\#[!\ ][^\n]*|/\*.*?(?:\*/|\Z))
    |(?P<quoted>'(?:[^'\\]|\\.)*(?:'|\Z)|`(?:[^`\\]|\\.)*(?:`|\Z)|"(?:[^"\\]|\\.)*(?:"|\Z)|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
    |(?P<word>[^\W\d]\w*)
    |(?P<other>.)""",
    re.S | re.X,
)
_MAYBE_FORMAT = re.compile(r"\bFORMAT\s", re.I)
_BEFORE_DATA = re.compile(r"[ \t\f]*;?[ \t\f]*\r?\n?")  # what ClickHouse skips between a format's name and its data
_ROWS_OF_A_QUERY = ("SELECT", "WITH", "FROM", "WATCH", "EXPLAIN")
_END = ("end", "", 0, 0)


@dataclass(frozen=True, slots=True)
class Insert:
    """An INSERT without SELECT. `inline` is what stands in the text after VALUES or the format's name."""

    target: str
    is_function: bool = False
    columns: str = ""  # with its brackets, or empty
    settings: str = ""  # without the word SETTINGS
    format: str = ""  # Values for VALUES; empty when none is named
    inline: str = ""

    def from_file(self, path: str, format_name: str) -> str:
        """The statement with its rows in a file, in a format."""
        function = "FUNCTION " if self.is_function else ""
        settings = f" SETTINGS {self.settings}" if self.settings else ""
        return f"INSERT INTO {function}{self.target} {self.columns} FROM INFILE '{path}'{settings} FORMAT {format_name}"

    @property
    def relation(self) -> str:
        """A SELECT with the columns that the rows must have."""
        return f"(SELECT {self.columns[1:-1] or '*'} FROM {self.target})"


class _Tokens:
    """The tokens of a statement, one ahead."""

    def __init__(self, sql: str) -> None:
        self.sql = sql
        self._rest = _tokens(sql)
        self.end = 0  # where the last token that was passed ends
        self.kind, self.text, self.start, self._next_end = next(self._rest, _END)

    def step(self) -> None:
        self.end = self._next_end
        self.kind, self.text, self.start, self._next_end = next(self._rest, ("end", "", len(self.sql), len(self.sql)))

    def word(self, *words: str) -> bool:
        """Step over the token if it is one of `words`."""
        if not self.at_word(*words):
            return False
        self.step()
        return True

    def at_word(self, *words: str) -> bool:
        return self.kind == "word" and self.text.upper() in words

    def name(self) -> bool:
        """Step over an identifier."""
        if self.kind != "word" and not (self.kind == "quoted" and self.text[0] in '`"'):
            return False
        self.step()
        return True

    def brackets(self) -> str | None:
        """Step over a bracketed expression; returns its text, None when there is none or it does not end."""
        if self.text != "(":
            return None
        start, depth = self.start, 0
        while self.kind != "end":
            depth += (self.text == "(") - (self.text == ")")
            self.step()
            if not depth:
                return self.sql[start : self.end]
        return None


def _tokens(sql: str) -> Iterator[tuple[str, str, int, int]]:
    for match in _TOKEN.finditer(sql):
        if match.lastgroup != "space":
            yield match.lastgroup or "", match[0], match.start(), match.end()


def parse_insert(sql: str) -> Insert | None:
    """The INSERT that `sql` is; None for other statements, and for those whose rows come from a query."""
    tokens = _Tokens(sql)
    if not tokens.word("INSERT"):
        return None
    tokens.word("INTO")
    tokens.word("TABLE")
    is_function = tokens.word("FUNCTION")
    target = _target(tokens, is_function)
    columns = _columns(tokens) if target else None
    if not target or columns is None:
        return None
    settings = _settings(tokens)
    format_name = inline = ""
    if tokens.word("VALUES"):
        format_name, inline = "Values", sql[tokens.end :]
    elif tokens.word("FORMAT"):
        format_name, start = tokens.text, tokens._next_end
        inline = sql[_BEFORE_DATA.match(sql, start).end() :]  # type: ignore[union-attr]  # it also matches nothing
    elif tokens.kind != "end" and tokens.text != ";":
        return None
    return Insert(target, is_function, columns, settings, format_name, inline if inline.strip(" \t\r\n\f;") else "")


def _target(tokens: _Tokens, is_function: bool) -> str:
    start = tokens.start
    if not tokens.name():
        return ""
    if is_function:
        return tokens.sql[start : tokens.end] + (tokens.brackets() or "()")
    if tokens.text == ".":
        tokens.step()
        tokens.name()
    return tokens.sql[start : tokens.end]


def _columns(tokens: _Tokens) -> str | None:
    """The bracketed column list, empty when there is none; None when the brackets hold a query."""
    if tokens.text != "(":
        return ""
    found = tokens.brackets()
    if found is None or _Tokens(found[1:]).at_word(*_ROWS_OF_A_QUERY) or found[1:].lstrip().startswith("("):
        return None
    return found


def _settings(tokens: _Tokens) -> str:
    if not tokens.word("SETTINGS"):
        return ""
    start = tokens.start
    while tokens.kind != "end" and tokens.text != ";" and not tokens.at_word("VALUES", "FORMAT", *_ROWS_OF_A_QUERY):
        tokens.step()
    return tokens.sql[start : tokens.end]


def split_format(sql: str) -> tuple[str, str]:
    """(the statement without its FORMAT clause, the format or an empty text)"""
    if not _MAYBE_FORMAT.search(sql):
        return sql, ""
    depth = 0
    found = list(_tokens(sql))
    for at, (kind, text, start, _) in enumerate(found):
        depth += (text == "(") - (text == ")")
        if kind == "word" and not depth and text.upper() == "FORMAT" and at + 1 < len(found):
            name = found[at + 1]
            following = found[at + 2][1].upper() if at + 2 < len(found) else ""
            if name[0] == "word" and following in ("", ";", "SETTINGS"):
                return sql[:start] + sql[name[3] :], name[1]
    return sql, ""


def is_query(sql: str) -> bool:
    """Does the statement give rows that can be streamed?"""
    tokens = _Tokens(sql)
    while tokens.text == "(":
        tokens.step()
    return tokens.at_word("SELECT", "WITH", "FROM")
