"""Which events answer which command, and where they are written."""

from collections.abc import Mapping
from typing import NamedTuple

from schemas import certificate_messages as ledger
from schemas import registration_commands as commands
from schemas import registration_events as events
from schemas.messages import Command, Event

REGISTRATION_COMMANDS, REGISTRATION_EVENTS = "fleet.registration.commands", "fleet.registration.events"
LEDGER_COMMANDS, LEDGER_EVENTS = "fleet.certificates.commands", "fleet.certificates"
LEDGER_KEY = "ledger"
TOPICS = (REGISTRATION_COMMANDS, REGISTRATION_EVENTS, LEDGER_COMMANDS, LEDGER_EVENTS)


class Asked(NamedTuple):
    """What becomes of a command of one type.

    Attributes:
        topic: where the command goes.
        answers: the events that are its end.
        refusers: the commands that follow from it, itself among them, of which a refusal is its end too.
    """

    topic: str
    answers: tuple[type[Event], ...]
    refusers: frozenset[str]


def _registration(command: type[Command], *answers: type[Event], then: tuple[type[Command], ...] = ()) -> tuple[str, Asked]:
    names = frozenset(one.__name__ for one in (command, *then))
    return command.__name__, Asked(REGISTRATION_COMMANDS, answers, names)


def _ledger(command: type[Command], answer: type[Event]) -> tuple[str, Asked]:
    return command.__name__, Asked(LEDGER_COMMANDS, (answer,), frozenset({command.__name__}))


_ISSUE = (ledger.IssueCertificate, commands.RecordCertificate)

ASKED: Mapping[str, Asked] = dict(
    (
        _registration(commands.PreRegisterDevice, events.DevicePreRegistered),
        _registration(commands.IssueClaimToken, events.ClaimTokenIssued),
        _registration(commands.OpenSession, events.SessionOpened),
        _registration(
            commands.SpendClaim,
            *(events.ChallengeIssued, events.ClaimAttemptFailed, events.ClaimLocked),
            then=(commands.AdmitClaim,),
        ),
        _registration(commands.ProvePossession, events.ChallengeIssued, events.ChallengeFailed),
        _registration(
            commands.ConfirmChallenge,
            *(events.CertificateRecorded, events.CertificateFailed, events.ChallengeFailed),
            then=_ISSUE,
        ),
        _registration(commands.RequestRenewal, events.CertificateRecorded, events.CertificateFailed, then=_ISSUE),
        _registration(commands.ActivateDevice, events.DeviceActivated),
        _registration(commands.ReportState, events.DeviceStateChanged),
        _registration(commands.ResetDevice, events.DeviceReset),
        _ledger(ledger.RevokeCertificate, ledger.CertificateRevoked),
        _ledger(ledger.GrantException, ledger.ExceptionGranted),
        _ledger(ledger.RequestMassRevocation, ledger.MassRevocationRequested),
        _ledger(ledger.ConfirmMassRevocation, ledger.MassRevocationConfirmed),
    )
)
"""By the name of the command's record type."""


def key_of(command: Command) -> str:
    """The key of a command's record: its aggregate."""
    if ASKED[type(command).__name__].topic == LEDGER_COMMANDS:
        return LEDGER_KEY
    claim = getattr(command, "claim_id", None)
    return str(claim if claim is not None else command.hardware_id)  # type: ignore[attr-defined]
