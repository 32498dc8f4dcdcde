"""Which certificate a device has, at each cut of a run of many."""

from typing import Any, cast

import numpy as np
import polars as pl

from streams.rules.certificates import Certificates
from streams.rules.intake import Intake
from streams.rules.ports import Place

CUTS = 50
END = 1_800_000_000_000_000


class Rows:
    """What is asked of an intake: serials and ends (None: it was revoked) of one device, each taken by a cut."""

    def __init__(self, *rows: tuple[int, str, int | None]) -> None:
        self.cuts = np.array([cut for cut, _, _ in rows])
        self._rows = rows
        self.frame = pl.DataFrame(schema={"_key": pl.String, "serial": pl.String, "not_after": pl.Int64})

    def __len__(self) -> int:
        return len(self._rows)

    def fields(self, row: int) -> dict[str, Any]:
        _, serial, end = self._rows[row]
        return {"_key": "dev-1", "serial": serial, "not_after": end}

    def place(self, row: int) -> Place:
        return Place("fleet.certificates", 0, row)


def taken(*rows: tuple[int, str, int | None]) -> tuple[list[bool], list[str | None]]:
    """Which rows are about what the device has then, and the serial that it has after each cut."""
    certificates = Certificates()
    about = certificates.take(cast(Intake, Rows(*rows)))
    held = [certificates.at("dev-1", cut) for cut in range(CUTS)]
    certificates.settle()
    assert certificates.held.get("dev-1") == held[-1]
    return about.tolist(), [None if one is None else one.serial for one in held]


def test_one_that_is_revoked_is_not_held_any_more() -> None:
    about, held = taken((40, "a", END), (45, "a", None))
    assert about == [True, True]
    assert held == [None] * 40 + ["a"] * 5 + [None] * 5


def test_the_end_of_one_that_was_replaced_says_nothing_of_the_device() -> None:
    about, held = taken((10, "a", END), (20, "b", END), (30, "a", None))
    assert about == [True, True, False]
    assert held == [None] * 10 + ["a"] * 10 + ["b"] * 30
