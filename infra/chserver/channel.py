"""The reading side of a native connection: raw packets, blocks (packed or plain), and a look at what has come."""

import select
import socket

from infra.chserver.codec import read_frame
from infra.chserver.columns import Block, step_block
from infra.chserver.errors import Code, broken
from infra.chserver.requests import Packet
from infra.chserver.wire import Reader

MAX_BLOCK = 256 << 20  # bytes of one block; clients send at most about a million rows in one
_MAX_HELLO = 64 << 10  # bytes taken before the client has said who it is
_RECEIVE = 1 << 18
_INFO_IS_OVERFLOWS, _INFO_BUCKET = 1, 2  # fields of the info before a block


class Channel:
    """What the client sends. `is_compressed` says whether the blocks of the statement in hand are packed."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self.raw = Reader(lambda: connection.recv(_RECEIVE), _MAX_HELLO)
        self._unpacked = Reader(lambda: read_frame(self.raw), MAX_BLOCK)
        self.is_compressed = False

    def welcome(self) -> None:
        """The client is known: take as much as blocks need."""
        self.raw.limit = MAX_BLOCK

    def table_block(self) -> tuple[str, Block]:
        """A Data packet after its kind: (the external table's name or an empty text, the block)"""
        table = self.raw.string()
        reader = self._unpacked if self.is_compressed else self.raw
        while field := reader.varint():
            if field not in (_INFO_IS_OVERFLOWS, _INFO_BUCKET):
                raise broken(Code.INCORRECT_DATA, f"A block has the unknown info field {field}")
            reader.skip(1 if field == _INFO_IS_OVERFLOWS else 4)
        block = step_block(reader)
        if self.is_compressed and reader.pending:
            raise broken(Code.INCORRECT_DATA, f"{reader.pending} bytes follow a block in its compressed frame")
        reader.forget()
        return table, block

    def block(self) -> Block:
        return self.table_block()[1]

    def data_packet(self) -> bool:
        """The kind of the next packet, where only a block or a cancel may come: is it a block?"""
        packet = self.raw.varint()
        if packet not in (Packet.DATA, Packet.CANCEL):
            raise broken(Code.UNEXPECTED_PACKET_FROM_CLIENT, f"Unexpected packet {packet} from client")
        return packet == Packet.DATA

    def gave_up(self) -> bool:
        """Has the client, which waits for a result, sent a cancel or left? Does not wait; takes the cancel."""
        if not self.raw.pending:
            if not select.select([self._socket], [], [], 0)[0]:
                return False
            try:
                self.raw.more()
            except (EOFError, OSError):
                return True
        if self.raw.buffer[self.raw.position] != Packet.CANCEL:
            return False  # the next statement, sent early
        self.raw.skip(1)
        self.raw.forget()
        return True
