"""Lists a page at a time: which page is asked for, and where the next one is."""

from base64 import b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Iterable, Mapping
from urllib.parse import quote, urlencode

from connectors.alerting.port import Asked, Page
from connectors.http.request import Fault, Request

MOST, USUAL = 1_000, 100
PAGED = ("limit", "after")


def page(keys: Iterable[str], asked: Asked) -> tuple[list[str], str | None]:
    """The keys of a page, ascending, and the last of them where there are more."""
    following = sorted(key for key in keys if asked.after is None or key > asked.after)
    shown = following[: asked.limit]
    return shown, shown[-1] if len(following) > len(shown) else None


def asked(given: Mapping[str, str]) -> Asked:
    """
    Raises:
        Fault: 400 a parameter is not understood.
    """
    limit, after = given.get("limit", str(USUAL)), given.get("after")
    if not (limit.isascii() and limit.isdecimal() and len(limit) < 6 and 1 <= int(limit) <= MOST):
        raise _refused("limit", f"is {limit[:50]!r}, not a number from 1 to {MOST:,}")
    if after is None:
        return Asked(int(limit))
    try:
        return Asked(int(limit), b64decode(after, b"-_", validate=True).decode("utf-8"))
    except (Error, ValueError):
        raise _refused("after", "is not what the page before has named") from None


def following(request: Request, given: Mapping[str, str], found: Page) -> str | None:
    """The address of the next page."""
    if found.after is None:
        return None
    kept = {**given, "after": urlsafe_b64encode(found.after.encode()).decode()}
    return f"{quote(request.raw_path.decode('ascii'), safe='/%')}?{urlencode(kept)}"


def _refused(name: str, message: str) -> Fault:
    return Fault(400, "INVALID_QUERY", f"{name}: {message}", [(f"query {name}", message)])
