"""Mail by SMTP. Each try is the same message, with the same Message-ID, so that a mailbox may tell a repeat; most don't."""

import re
import smtplib
import socket
import ssl
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Literal

from connectors.notify.channel import Notice, Undelivered
from connectors.notify.words import lines, title

IDENTITY = re.compile(r"[^A-Za-z0-9.-]")


@dataclass(frozen=True, slots=True)
class MailServer:
    """`tls`: starttls (after a greeting in the clear; refused where the server offers none), tls from the first byte, or
    none. `authorities`: as Poster's."""

    host: str
    port: int
    tls: Literal["starttls", "tls", "none"]
    user: str = ""
    password: str = ""
    authorities: str | None = None


class Mail:
    """Mail to some recipients."""

    kind = "smtp"

    def __init__(
        self,
        server: MailServer,
        sender: str,
        recipients: Sequence[str],
        knows_repeats: bool = False,
        tells_resolved: bool = True,
    ) -> None:
        self._server, self._sender, self._recipients = server, sender, list(recipients)
        self.knows_repeats, self.tells_resolved = knows_repeats, tells_resolved

    def message(self, notice: Notice) -> EmailMessage:
        """What is sent of a notice, always the same."""
        made = EmailMessage()
        domain = IDENTITY.sub("", self._sender.rpartition("@")[2].rstrip(">")) or "fleetlog"
        made["Subject"] = title(notice.content)
        made["From"], made["To"] = self._sender, ", ".join(self._recipients)
        made["Date"] = format_datetime(datetime.fromisoformat(notice.content["at"]).astimezone(UTC))
        made["Message-ID"] = f"<{notice.id}@{domain}>"
        made["Auto-Submitted"] = "auto-generated"  # so that nobody's answering machine replies
        made["X-Fleetlog-Group"] = " ".join(notice.content["group_key"].split())[:900]
        made.set_content("\n".join([title(notice.content), "", *lines(notice.content), ""]))
        return made

    def deliver(self, notice: Notice, seconds: float) -> str:
        handed_over = False
        server = self._made(seconds)
        watchdog = _watchdog(server, seconds)
        try:
            self._refused(*server.connect(self._server.host, self._server.port))
            self._greet(server)
            self._refused(*server.mail(self._sender))
            left_out = self._address(server)
            handed_over = True
            self._refused(*server.data(self.message(notice).as_bytes()))
        except smtplib.SMTPResponseException as error:
            raise self._answer(error.smtp_code, error.smtp_error) from None
        except smtplib.SMTPNotSupportedError as error:
            raise Undelivered("refused", str(error), again=False) from None
        except ssl.SSLError as error:
            raise Undelivered("unreachable", f"TLS: {error}", again=False) from None
        except TimeoutError:
            raise Undelivered("timeout", f"no answer within {seconds:g} s", again=True, doubtful=handed_over) from None
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise Undelivered("unreachable", str(error) or type(error).__name__, True, handed_over) from None
        finally:
            watchdog.cancel()
            server.close()
        return "taken" + (f", but not for {', '.join(left_out)}" if left_out else "")

    def _made(self, seconds: float) -> smtplib.SMTP:
        """A client that is not connected yet, so that the watchdog sees the greeting too."""
        if self._server.tls == "tls":
            context = ssl.create_default_context(cafile=self._server.authorities)
            made: smtplib.SMTP = smtplib.SMTP_SSL(timeout=seconds, context=context)
        else:
            made = smtplib.SMTP(timeout=seconds)
        made._host = self._server.host  # type: ignore[attr-defined]  # whose certificate it is to be: else set by connecting at once
        return made

    def _greet(self, server: smtplib.SMTP) -> None:
        server.ehlo_or_helo_if_needed()
        if self._server.tls == "starttls":
            server.starttls(context=ssl.create_default_context(cafile=self._server.authorities))
            server.ehlo_or_helo_if_needed()
        if self._server.user:
            server.login(self._server.user, self._server.password)

    def _address(self, server: smtplib.SMTP) -> list[str]:
        """Tell the recipients; returns those that the server does not take, unless it takes none."""
        refused = [(one, *server.rcpt(one)) for one in self._recipients]
        refused = [(one, code, text) for one, code, text in refused if code not in (250, 251)]
        if len(refused) == len(self._recipients):
            self._refused(*refused[0][1:])
        return [one for one, _, _ in refused]

    def _refused(self, code: int, text: bytes) -> None:
        """Raises Undelivered unless the server agrees."""
        if not 200 <= code < 300:
            raise self._answer(code, text)

    def _answer(self, code: int, text: bytes | str) -> Undelivered:
        said = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        return Undelivered("refused", f"{code} {said}", again=400 <= code < 500)


def _watchdog(server: smtplib.SMTP, seconds: float) -> threading.Timer:
    """Ends a connection on which a byte comes now and then, which no time-out of a single read would."""

    def end() -> None:
        sock = server.sock
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # it has ended by itself

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    return timer
