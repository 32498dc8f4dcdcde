"""ClickHouse's native TCP protocol: a thread per connection, one statement at a time on each."""

import logging
import socket
import socketserver
import sys
import threading
from typing import Any

from infra.chserver.answers import Answers
from infra.chserver.channel import Channel
from infra.chserver.codec import METHOD_OF_SETTING, Method
from infra.chserver.engine import Engine
from infra.chserver.errors import Code, EngineError, ProtocolError, broken, failure
from infra.chserver.native_statement import Statement
from infra.chserver.requests import Packet, read_hello, read_query
from infra.chserver.session import Session, quote_name

HANDSHAKE_SECONDS = 10.0
PACKET_SECONDS = 300.0  # between two parts of a packet, and for a client to take what is sent to it
IDLE_SECONDS = 3600.0  # between two packets
MAX_CONNECTIONS = 256

log = logging.getLogger(__name__)


class Handler(socketserver.BaseRequestHandler):
    """One connection."""

    server: "Server"
    request: socket.socket

    def setup(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request.settimeout(HANDSHAKE_SECONDS)
        self.channel = Channel(self.request)
        self.answers = Answers(self.request.sendall)
        self.session: Session | None = None

    def handle(self) -> None:
        """Serve the connection until the client leaves, falls silent, or sends what cannot be followed."""
        try:
            session = self._hello()
            while True:
                self.request.settimeout(IDLE_SECONDS)
                self.channel.raw.forget()
                packet = self.channel.raw.varint()
                self.request.settimeout(PACKET_SECONDS)
                self._packet(session, packet)
        except (EOFError, OSError):
            pass  # the client left or fell silent; what it had not been told of, it must ask for again
        except EngineError as error:
            context = {"client": self.client_address, "code": int(error.code), "error": error.text}
            log.info("a connection ends for what the client sent", extra={"context": context})
            self._tell(error)

    def finish(self) -> None:
        if self.session is not None:
            self.session.close()

    def _hello(self) -> Session:
        hello = read_hello(self.channel.raw)
        self.server.engine.credentials.check(hello.user, hello.password)
        if not self.server.room():
            raise failure(Code.TOO_MANY_SIMULTANEOUS_QUERIES, f"There are {MAX_CONNECTIONS} connections already")
        self.session = self.server.engine.session()
        if hello.database:
            self.session.use(hello.database)
        self.answers.revision = hello.revision
        self.channel.welcome()
        self.answers.hello(self.server.engine)
        return self.session

    def _packet(self, session: Session, packet: int) -> None:
        if packet == Packet.PING:
            self.answers.pong()
        elif packet == Packet.QUERY:
            self._query(session)
        elif packet == Packet.DATA:
            self.channel.block()  # rows of an INSERT that was refused
        elif packet != Packet.CANCEL:  # a cancel may come when the statement has just ended
            raise broken(Code.UNKNOWN_PACKET_FROM_CLIENT, f"Unknown packet {packet} from client")

    def _query(self, session: Session) -> None:
        query = read_query(self.channel.raw, self.answers.revision)
        self.channel.is_compressed = query.is_compressed
        method = METHOD_OF_SETTING.get(query.setting("network_compression_method", "LZ4").upper(), Method.LZ4)
        self.answers.method = method if query.is_compressed else None
        statement = Statement(session, self.channel, self.answers)
        try:
            with self.server.engine.statement():
                unknown = session.apply(query.settings)
                if unknown:
                    log.info("unknown settings were left out: %s", ", ".join(unknown))
                statement.external_tables()
                statement.execute(query.sql)
        except ProtocolError:
            raise
        except EngineError as error:
            log.info("a statement failed", extra={"context": {"code": int(error.code), "error": error.text}})
            self.answers.exception(error)
        finally:
            for table in statement.temporary:
                session.run(f"DROP TEMPORARY TABLE IF EXISTS {quote_name(table)}")

    def _tell(self, error: EngineError) -> None:
        """Send the error that ends the connection, if the client still listens."""
        try:
            self.answers.exception(error)
            # Closing with unread bytes would reset the connection, and the client would lose the error.
            self.request.shutdown(socket.SHUT_WR)
            self.request.settimeout(1.0)
            for _ in range(1000):
                if not self.request.recv(1 << 18):
                    break
        except OSError as lost:
            log.info("connection from %s was lost: %s", self.client_address, lost)


class Server(socketserver.ThreadingTCPServer):
    """Listens when made; serves in `serve_forever`."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    engine: Engine  # set before serve_forever

    def __init__(self, address: tuple[str, int]) -> None:
        """
        Raises:
            OSError: the address cannot be listened on.
        """
        self._connections = 0
        self._counting = threading.Lock()
        super().__init__(address, Handler)

    def room(self) -> bool:
        """Is there room for the connection that asks?"""
        with self._counting:
            return self._connections <= MAX_CONNECTIONS

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        with self._counting:
            self._connections += 1
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._counting:
                self._connections -= 1

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.error("a fault in the server ended the connection from %s", client_address, exc_info=sys.exc_info())
