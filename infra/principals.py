"""The file of principals, changed: one is added with a new key, or taken out. The rest stays as it was written."""

import fcntl
import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from connectors.ingress.access import BadPrincipals, Principal, Rights, principals

KEY_BYTES = 32


class CannotChange(ValueError):
    """The file can't be changed as asked; the message says why."""


def read(file: Path) -> list[Principal]:
    """The principals of a file, by name; none if it is not there.

    Raises:
        BadPrincipals: the message names the file and the place.
    """
    return sorted(_parsed(file, _text(file)).values(), key=lambda one: one.name)


def add(file: Path, name: str, rights: Rights) -> str:
    """Add a principal; returns its key, which is kept nowhere else.

    Raises:
        CannotChange: there is one of this name, or the name or a pattern can't be.
        BadPrincipals: the file is not what it must be.
    """
    key = secrets.token_urlsafe(KEY_BYTES)
    made = Principal(name, hashlib.sha256(key.encode()).hexdigest(), rights)

    def added(text: str) -> str:
        if name in _parsed(file, text):
            raise CannotChange(f"there is a principal {name} already: remove it first, or choose another name")
        return f"{text.rstrip()}\n\n{_table(made)}".lstrip()

    _change(file, added, lambda before: before | {name: made})
    return key


def remove(file: Path, name: str) -> None:
    """Take a principal out: its key opens nothing a second later.

    Raises:
        CannotChange: there is none of this name, or it is written in a way that only a person can take out.
        BadPrincipals: the file is not what it must be.
    """

    def removed(text: str) -> str:
        if name not in _parsed(file, text):
            raise CannotChange(f"there is no principal {name}")
        return _without(text, name)

    _change(file, removed, lambda before: {other: one for other, one in before.items() if other != name})


def _change(
    file: Path, edit: Callable[[str], str], expected: Callable[[dict[str, Principal]], dict[str, Principal]]
) -> None:
    """Edit the file's text; it is written only if it then says what is expected."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with _alone(file):
        text = _text(file)
        edited = edit(text)
        try:
            after = {one.name: one for one in principals(edited).values()}
        except BadPrincipals as error:
            raise CannotChange(str(error)) from None
        if after != expected(_parsed(file, text)):
            raise CannotChange(f"{file} is written in a way that this command does not change: edit it by hand")
        _write(file, edited)


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise BadPrincipals(f"{file} can't be read: {error}") from None


def _parsed(file: Path, text: str) -> dict[str, Principal]:
    try:
        return {one.name: one for one in principals(text).values()}
    except BadPrincipals as error:
        raise BadPrincipals(f"{file} {error}") from None


def _table(principal: Principal) -> str:
    rights = principal.rights
    lines = [f"[principals.{json.dumps(principal.name)}]", f'key_sha256 = "{principal.key_digest}"']
    for right, patterns in (("write", rights.write), ("read", rights.read), ("manage", rights.manage)):
        if patterns:
            lines.append(f"{right} = {json.dumps(patterns)}")
    if rights.fleet:
        lines.append(f"fleet = {json.dumps(rights.fleet)}")
    if not rights.devices:
        lines.append("devices = false")
    return "\n".join(lines) + "\n"


def _without(text: str, name: str) -> str:
    """The text without a principal's table: from its header to the next."""
    own = re.compile(rf"""\s*\[\s*principals\s*\.\s*(["']?){re.escape(name)}\1\s*\]""")
    kept, inside = [], False
    for line in text.splitlines(keepends=True):
        if line.lstrip().startswith("["):
            inside = own.match(line) is not None
        if not inside:
            kept.append(line)
    return "".join(kept)


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """One change at a time."""
    with open(os.open(file.with_name(f"{file.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600), "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _write(file: Path, text: str) -> None:
    """Whole or not at all, and readable by its owner only."""
    partial = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as opened:
            opened.write(text)
            opened.flush()
            os.fsync(opened.fileno())
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
