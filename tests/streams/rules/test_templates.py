"""Templates fill in what is known, and what is filled in stays text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.rules.templates import MOST_TEXT, MOST_VALUE, BadTemplate, Template

VALUES = {"value": 101.25, "device.id": "d-1", "device.labels.site": "7", "labels.team": "cooling", "group": ""}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{{ device.id }} is at {{value}}", "d-1 is at 101.25"),
        ("{{ value | .1f }} and {{ value|% }}", "101.2 and 10125.0 %"),
        ("{{ labels.team }} at {{ device.labels.site }}", "cooling at 7"),
        ("{{ device.model }}", "?"),
        ("100 %, { not one }, $HOME, %s, {0}", "100 %, { not one }, $HOME, %s, {0}"),
        ("", ""),
    ],
)
def test_placeholders_are_filled(text: str, filled: str) -> None:
    assert Template(text).fill(VALUES) == filled


@pytest.mark.parametrize(
    "text",
    [
        "{{ }}",
        "{{ value",
        "value }}",
        "{{ {{ value }} }}",
        "{{ device }}",
        "{{ device.id | .1f }}",
        "{{ value | .99f }}",
        "{{ value | 1000000000d }}",
        "{{ value.__class__ }}",
        "{{ labels.__init__.__globals__ }}",
        "{{ ''.join(x) }}",
        "{{ labels['a'] }}",
        "{{ 7*7 }}",
    ],
)
def test_anything_else_in_braces_is_refused(text: str) -> None:
    with pytest.raises(BadTemplate):
        Template(text)


@given(st.text(max_size=300))
def test_what_a_device_says_is_no_template(text: str) -> None:
    hostile = "{{ device.id }}" + text
    filled = Template("<{{ device.labels.site }}|{{ device.id }}>").fill(
        {"device.labels.site": hostile, "device.id": "secret"}
    )
    assert filled.endswith("|secret>")
    assert filled.count("secret") == 1 + text[: MOST_VALUE - 15].count("secret")
    assert len(filled) <= MOST_VALUE + 9


def test_values_are_cut_and_lose_what_controls_terminals() -> None:
    assert Template("{{ device.id }}").fill({"device.id": "a\x1b[2J\r\n\u202eb"}) == "a [2J   b"
    assert len(Template("{{ value | .9f }}").fill({"value": 1e308})) == MOST_VALUE
    assert len(Template("{{ device.id }}" * 200).fill({"device.id": "x" * 1_000})) == MOST_TEXT


def test_numbers_that_are_none_are_shown_as_they_are() -> None:
    assert Template("{{ value | .1f }} {{ value | % }} {{ value }}").fill({"value": float("nan")}) == "nan nan % nan"
