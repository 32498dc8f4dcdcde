"""Rules in files: read, checked as a whole, and named where something is wrong."""

from collections.abc import Callable, Iterable
from pathlib import Path

from schemas.rules.document import Rule
from schemas.rules.reading import BadRule, read

Check = Callable[[Rule], object]
"""Raises BadRule: the rule's expressions or templates are wrong."""


class BadFiles(ValueError):
    """What is wrong, a line each: the file, the place, the fault."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(self.faults))


def rules_of(files: Iterable[Path], check: Check) -> list[Rule]:
    """The rules of files, and of the .yaml, .yml and .json files of folders, in the order of their names.

    Raises:
        BadFiles: of any of them; none is used then.
    """
    rules: list[Rule] = []
    faults: list[str] = []
    named: dict[str, Path] = {}
    for file in _files(files, faults):
        try:
            rule = read(file.read_bytes())
            check(rule)
        except BadRule as error:
            faults += [f"{file}: {fault}" for fault in error.errors]
            continue
        except OSError as error:
            faults.append(f"{file}: {error.strerror}")
            continue
        if rule.id in named:
            faults.append(f"{file}: id: {rule.id} is the id of {named[rule.id]} too")
        named[rule.id] = file
        rules.append(rule)
    if faults:
        raise BadFiles(faults)
    return rules


def _files(given: Iterable[Path], faults: list[str]) -> Iterable[Path]:
    for path in given:
        if path.is_dir():
            found = sorted(file for file in path.iterdir() if file.suffix in (".yaml", ".yml", ".json"))
            if not found:
                faults.append(f"{path}: holds no .yaml, .yml or .json file")
            yield from found
        else:
            yield path
