"""Errors as ClickHouse numbers them: a code, and a text that ends with the code's name in brackets."""

import re
from enum import IntEnum

_OF_ENGINE = re.compile(
    r"Code:\s*(\d+)\.\s*DB::\w*Exception:\s*(?:Code:\s*\d+\.\s*DB::\w*Exception:\s*)*(.*)",  # some are told twice
    re.S,
)
_VERSION = re.compile(r"\s*\(version [\d.]+\)\.?")
_TWICE = re.compile(r"(\([A-Z][A-Z0-9_]+\))(?:[\s.]*\1)+")
_NAME = re.compile(r"\(([A-Z][A-Z0-9_]{3,})\)(?!.*\([A-Z][A-Z0-9_]{3,}\))", re.S)  # the last of its kind

ENGINE_ERRORS = (RuntimeError, UnicodeDecodeError)
"""What chDB raises; the second for a text that is not UTF-8."""


class Code(IntEnum):
    """The codes that this server gives itself; the engine gives many more. The names are ClickHouse's."""

    THERE_IS_NO_COLUMN = 8
    CHECKSUM_DOESNT_MATCH = 40
    NOT_IMPLEMENTED = 48
    UNKNOWN_COMPRESSION_METHOD = 89
    UNKNOWN_PACKET_FROM_CLIENT = 99
    UNEXPECTED_PACKET_FROM_CLIENT = 101
    UNKNOWN_SETTING = 115
    INCORRECT_DATA = 117
    TOO_LARGE_STRING_SIZE = 131
    READONLY = 164
    TOO_MANY_SIMULTANEOUS_QUERIES = 202
    ABORTED = 236
    NOT_ENOUGH_SPACE = 243
    CANNOT_DECOMPRESS = 271
    SESSION_NOT_FOUND = 372
    SESSION_IS_LOCKED = 373
    AUTHENTICATION_FAILED = 516
    UNKNOWN_EXCEPTION = 1002


class EngineError(Exception):
    """A statement failed; the connection can go on. `text` starts with `DB::Exception: `."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text

    @property
    def name(self) -> str:
        """The code's name, such as UNKNOWN_TABLE; empty when the text holds none."""
        found = _NAME.search(self.text)
        return found[1] if found else ""

    @classmethod
    def of_engine(cls, error: RuntimeError | UnicodeDecodeError) -> "EngineError":
        """The error that chDB raised, with its code."""
        # A text that is not UTF-8 (it repeats the statement's) fails to become a RuntimeError, but is kept whole.
        text = error.object.decode("utf-8", "surrogateescape") if isinstance(error, UnicodeDecodeError) else str(error)
        found = _OF_ENGINE.search(text)
        if found is None:
            return cls(Code.UNKNOWN_EXCEPTION, f"DB::Exception: {text}")
        return cls(int(found[1]), "DB::Exception: " + _TWICE.sub(r"\1", _VERSION.sub("", found[2])).strip())


class ProtocolError(EngineError):
    """What the client sent cannot be followed any further: the connection must end after the error is told."""


def failure(code: Code, what: str) -> EngineError:
    return EngineError(code, f"DB::Exception: {what}. ({code.name})")


def broken(code: Code, what: str) -> ProtocolError:
    return ProtocolError(code, f"DB::Exception: {what}. ({code.name})")
