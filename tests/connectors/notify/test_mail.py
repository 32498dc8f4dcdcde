"""Mail, against a real SMTP server (aiosmtpd)."""

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from connectors.notify.channel import Undelivered
from connectors.notify.mail import Mail, MailServer
from connectors.notify.sending import Patience, send
from tests.connectors.notify.notices import ID, alert, notice


class Mailbox:
    """The handler of a server: keeps mails, answers as told."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers) or ["250 taken"]
        self.mails: list[Message] = []
        self.refused: dict[str, str] = {}
        self.users: list[bytes] = []

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.mails.append(message_from_bytes(envelope.content))
        return self.answers[min(len(self.mails), len(self.answers)) - 1]


@contextmanager
def serving(mailbox: Mailbox, **options: Any) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(mailbox, hostname="127.0.0.1", port=port, **options)
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


def mail(port: int, *recipients: str, **server: Any) -> Mail:
    told = {"tls": "none", **server}
    return Mail(MailServer("127.0.0.1", port, **told), "fleetlog@example.com", recipients or ("ops@example.com",))


def test_a_mail_says_what_there_is() -> None:
    mailbox = Mailbox()
    with serving(mailbox) as port:
        assert mail(port).deliver(notice(alert(1), alert(2, annotations={"summary": "zwei: größer"})), 5) == "taken"
    (came,) = mailbox.mails
    assert came["Subject"] == "[FIRING] device-offline (critical): greenhouse-1 and 1 more"
    assert came["Message-ID"] == f"<{ID}@example.com>"
    assert came["To"] == "ops@example.com"
    assert came["Auto-Submitted"] == "auto-generated"
    text = came.get_payload(decode=True)
    assert isinstance(text, bytes)
    assert "zwei: größer" in text.decode()


def test_each_try_is_the_same_mail() -> None:
    mailbox = Mailbox("451 later", "250 taken")
    with serving(mailbox) as port:
        outcome = send(mail(port), notice(), Patience(3, 5), lambda seconds: False)
    assert outcome is not None
    assert (outcome.attempts, outcome.why) == (2, None)
    assert mailbox.mails[0].as_bytes() == mailbox.mails[1].as_bytes()


def test_a_label_makes_no_header() -> None:
    mailbox = Mailbox()
    with serving(mailbox) as port:
        mail(port).deliver(notice(alert(rule_id="x\r\nBcc: all@example.com")), 5)
    assert mailbox.mails[0]["Bcc"] is None
    assert "Bcc: all@example.com" in mailbox.mails[0]["Subject"]


def test_a_refused_recipient_is_named_and_the_others_have_it() -> None:
    mailbox = Mailbox()
    mailbox.refused = {"gone@example.com": "550 no such user"}
    with serving(mailbox) as port:
        assert mail(port, "gone@example.com", "ops@example.com").deliver(notice(), 5).endswith("not for gone@example.com")
        with pytest.raises(Undelivered, match="550 no such user") as caught:
            mail(port, "gone@example.com").deliver(notice(), 5)
    assert not caught.value.again
    assert len(mailbox.mails) == 1


def test_a_refused_mail() -> None:
    mailbox = Mailbox("554 spam")
    with serving(mailbox) as port, pytest.raises(Undelivered, match="554 spam") as caught:
        mail(port).deliver(notice(), 5)
    assert (caught.value.why, caught.value.again, caught.value.doubtful) == ("refused", False, False)


def test_nobody_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(Undelivered) as caught:
            mail(taken.getsockname()[1]).deliver(notice(), 1)
    assert (caught.value.why, caught.value.again, caught.value.doubtful) == ("unreachable", True, False)


def test_tls_that_is_not_offered_is_not_done_without() -> None:
    mailbox = Mailbox()
    with serving(mailbox) as port, pytest.raises(Undelivered, match="STARTTLS"):
        mail(port, tls="starttls").deliver(notice(), 5)
    assert mailbox.mails == []


def loopback_certificate() -> bytes:
    """A certificate of 127.0.0.1 by itself, with its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 7, now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    return made.public_bytes(pem) + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    file.write_bytes(loopback_certificate())
    return file


def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_starttls_and_a_password(certificate: Path) -> None:
    mailbox = Mailbox()

    def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        mailbox.users.append(data.login)
        return AuthResult(success=data.password == b"right", handled=False)

    options = {"tls_context": server_tls(certificate), "require_starttls": True, "authenticator": authenticate}
    told = {"tls": "starttls", "user": "fleetlog", "authorities": str(certificate)}
    with serving(mailbox, **options, auth_required=True) as port:
        mail(port, **told, password="right").deliver(notice(), 5)
        with pytest.raises(Undelivered, match="535"):
            mail(port, **told, password="wrong").deliver(notice(), 5)
        with pytest.raises(Undelivered, match="TLS"):  # of no authority that is trusted
            mail(port, tls="starttls", user="fleetlog", password="right").deliver(notice(), 5)
    assert mailbox.users[0] == b"fleetlog"
    assert len(mailbox.mails) == 1


def test_tls_from_the_first_byte(certificate: Path) -> None:
    mailbox = Mailbox()
    with serving(mailbox, ssl_context=server_tls(certificate)) as port:
        assert mail(port, tls="tls", authorities=str(certificate)).deliver(notice(), 5) == "taken"


@pytest.mark.parametrize("greeting", [b"", b"220-hello\r\n"], ids=["hangs", "drips"])
def test_a_server_that_never_ends_is_bounded(greeting: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            made, _ = server.accept()
            with made:
                for _ in range(60):
                    try:
                        made.sendall(greeting)
                    except OSError:
                        return
                    time.sleep(0.05)

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        started = time.monotonic()
        with pytest.raises(Undelivered):
            mail(server.getsockname()[1]).deliver(notice(), 0.5)
        assert time.monotonic() - started < 2
        thread.join()
