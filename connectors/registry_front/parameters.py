"""What a request's path and query say: subjects, versions, ids, flags, numbers."""

import re
from urllib.parse import unquote

from connectors.http.request import Request
from connectors.registry_front.faults import INVALID_SUBJECT, INVALID_VERSION, refusal

LATEST = "latest"
LARGEST = 2**31 - 1
ALL_CONTEXTS = ":*:"
_CONTEXT = re.compile(r":\.([^:]*):(.*)", re.DOTALL)
# "." and ".." are steps in a path: what is between here and the registry would take them as such.
_SUBJECT = re.compile(r"(?!\.{1,2}\Z)[^\x00-\x1f\x7f]{1,512}")
_DIGITS = re.compile(r"[0-9]{1,10}")


def subject_of(request: Request) -> str:
    """The subject that the path names; the default context's name is no part of it.

    Raises:
        Fault: 42208 it is no name of a subject.
    """
    return subject(request.arguments[0])


def subject(name: str) -> str:
    """As subject_of."""
    plain = _without_context(name)
    if not is_subject(plain):
        what = "a subject is 1 to 512 letters, none of them a control character, and not . or .."
        raise refusal(INVALID_SUBJECT, f"{name[:100]!r} is no subject: {what}")
    return plain


def is_subject(name: str) -> bool:
    """Whether a name can be a subject's here. A registry whose front this is not may have others, too."""
    return _SUBJECT.fullmatch(name) is not None and _CONTEXT.fullmatch(name) is None


def subject_prefix(request: Request) -> str:
    """The beginning of the subjects that are asked for; empty for all."""
    given = request.query("subjectPrefix") or ""
    return "" if given == ALL_CONTEXTS else _without_context(given)


def version_of(request: Request) -> str:
    """The version that the path names: "latest" or a number.

    Raises:
        Fault: 42202 it is none.
    """
    text = request.arguments[1]
    if text in (LATEST, "-1"):
        return LATEST
    if _DIGITS.fullmatch(text) and 1 <= int(text) <= LARGEST:
        return str(int(text))
    raise refusal(
        INVALID_VERSION,
        f"The specified version '{text[:100]}' is not a valid version id. Allowed values are between [1, 2^31-1] and the "
        'string "latest"',
    )


def id_of(request: Request) -> int:
    """The id that the path names.

    Raises:
        Fault: 404 it is no number.
    """
    return _number(request.arguments[0], request)


def flag(request: Request, name: str) -> bool:
    return (request.query(name) or "").lower() == "true"


def number(request: Request, name: str, otherwise: int) -> int:
    """A number in the query, `otherwise` if it is not given or negative.

    Raises:
        Fault: 404 it is no number.
    """
    text = request.query(name) or ""
    if not text or (text.startswith("-") and _DIGITS.fullmatch(text[1:])):
        return otherwise
    return _number(text, request)


def _number(text: str, request: Request) -> int:
    if _DIGITS.fullmatch(text) and int(text) <= LARGEST:
        return int(text)
    path = unquote(request.raw_path[:200].decode("ascii", "replace"))
    raise refusal(404, f"there is no {path}: {text[:100]!r} is no number up to 2^31-1")


def _without_context(name: str) -> str:
    qualified = _CONTEXT.fullmatch(name)
    if qualified is None:
        return name
    context, plain = qualified.groups()
    if context:
        raise refusal(
            INVALID_SUBJECT, f"{name[:100]!r} is in the context .{context[:100]}: there is the default context only"
        )
    return plain
