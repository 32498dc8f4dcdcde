"""Pictures of a series: what is strange is seen, in text and as SVG; a name that can't be one asks nobody."""

import math
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from infra import trends_show
from infra.settings import Settings

MINUTE = 60_000_000
BEGIN = 1_780_000_000_000_000 // MINUTE * MINUTE
SPIKE = 150
ROWS = [(BEGIN + number * MINUTE, 6, 40.0 if number == SPIKE else 20 + math.sin(number * 1.7) / 5) for number in range(160)]


def test_the_spike_is_marked_and_said() -> None:
    drawn = trends_show.text(trends_show.judged(ROWS)[-60:])
    lines = drawn.splitlines()
    assert drawn.count("!") == 1
    assert lines[0].split("|")[1].index("!") == SPIKE - 100  # in its column, at the top
    assert lines[0].split()[0] == "40"
    assert sum(line.count("*") for line in lines[: trends_show.STEPS]) == 59
    assert "  spike  mean 40, expected " in lines[-1]


def test_an_svg_shows_the_same_and_escapes_names() -> None:
    series = trends_show.judged(ROWS)[-60:]
    root = ElementTree.fromstring(trends_show.svg(series, "a<b temperature"))
    found = {name: [part for part in root if part.tag.endswith(name)] for name in ("circle", "polyline", "polygon", "text")}
    assert len(found["circle"]) == 1
    assert len(found["polyline"][0].attrib["points"].split()) == 60
    assert len(found["polygon"][0].attrib["points"].split()) == 120
    assert found["text"][0].text is not None
    assert found["text"][0].text.startswith("a<b temperature: ")


def test_a_series_that_stands_still_can_be_drawn() -> None:
    still = trends_show.judged([(BEGIN, 1, 5.0)])
    assert trends_show.text(still).count("*") == 1
    assert "<polyline" in trends_show.svg(still, "one")


@pytest.mark.parametrize("name", ["", "a'; DROP TABLE x", "a\\", "é"])
def test_a_name_that_can_t_be_one_is_refused(name: str) -> None:
    nobody = replace(Settings(), clickhouse_port=1)
    with pytest.raises(ValueError, match="is not a name"):
        trends_show.points(nobody, name, "temperature", "1m", 10)
