"""What a client sends over the native protocol, besides blocks: the hello and queries.

The order of the fields is ClickHouse's (src/Server/TCPHandler.cpp); most came with a protocol revision.
"""

from dataclasses import dataclass
from enum import IntEnum

from infra.chserver.errors import Code, broken
from infra.chserver.session import Setting
from infra.chserver.wire import Reader

SERVER_REVISION = 54453
"""The newest revision at which a block on the wire is block info and what chDB writes as FORMAT Native: result blocks go
out as the engine made them, and rows of an INSERT go in as the client sent them."""

_SETTINGS_AS_STRINGS, _CLIENT_INFO, _SECRET = 54429, 54032, 54441
_QUOTA_KEY, _PATCH, _TRACE, _DEPTH, _START_TIME, _PARALLEL_REPLICAS = 54060, 54401, 54442, 54448, 54449, 54453
_IMPORTANT = 1
_INTERFACE_TCP = 1
_MOST_SETTINGS = 10_000
MAX_STATEMENT = 64 << 20  # bytes of a statement's text


class Packet(IntEnum):
    """Kinds of packets that clients send."""

    HELLO = 0
    QUERY = 1
    DATA = 2
    CANCEL = 3
    PING = 4


@dataclass(frozen=True, slots=True)
class Hello:
    revision: int  # the lower of the client's and SERVER_REVISION
    database: str
    user: str
    password: str


@dataclass(frozen=True, slots=True)
class Query:
    settings: tuple[Setting, ...]
    is_compressed: bool
    sql: str

    def setting(self, name: str, default: str) -> str:
        return next((setting.value for setting in self.settings if setting.name == name), default)


def read_hello(raw: Reader) -> Hello:
    """The first packet of a connection.

    Raises:
        ProtocolError: it is something else, or from a client too old to send settings as text (before 2019).
    """
    if raw.varint() != Packet.HELLO:
        raise broken(Code.UNEXPECTED_PACKET_FROM_CLIENT, "Unexpected packet from client: expected Hello")
    raw.string()  # the client's name
    raw.varint(), raw.varint()  # its version
    revision = raw.varint()
    hello = Hello(min(revision, SERVER_REVISION), raw.string(), raw.string(), raw.string())
    if revision < _SETTINGS_AS_STRINGS:
        raise broken(Code.NOT_IMPLEMENTED, f"Clients of protocol revision {revision} are too old")
    return hello


def read_query(raw: Reader, revision: int) -> Query:
    """A Query packet after its kind."""
    raw.string()  # the query's id
    _skip_client_info(raw, revision)
    settings: list[Setting] = []
    while name := raw.string():
        if len(settings) == _MOST_SETTINGS:
            raise broken(Code.INCORRECT_DATA, f"A query has more than {_MOST_SETTINGS} settings")
        flags = raw.varint()
        settings.append(Setting(name, raw.string(), bool(flags & _IMPORTANT)))
    if revision >= _SECRET:
        raw.string()  # between servers only
    raw.varint()  # the stage up to which to run: clients want the whole
    is_compressed = bool(raw.varint())
    return Query(tuple(settings), is_compressed, raw.string(MAX_STATEMENT))


def _skip_client_info(raw: Reader, revision: int) -> None:
    if revision < _CLIENT_INFO or not raw.byte():
        return
    for _ in range(3):  # initial user, query id, address
        raw.string()
    if revision >= _START_TIME:
        raw.skip(8)
    if raw.byte() == _INTERFACE_TCP:
        for _ in range(3):  # system user, host, client's name
            raw.string()
        for _ in range(3):  # its version and revision
            raw.varint()
    later = ((_QUOTA_KEY, raw.string), (_DEPTH, raw.varint), (_PATCH, raw.varint))
    for since, read in later:
        if revision >= since:
            read()
    if revision >= _TRACE and raw.byte():
        raw.skip(24)  # trace and span
        raw.string()
        raw.skip(1)
    if revision >= _PARALLEL_REPLICAS:
        for _ in range(3):
            raw.varint()
