"""What docs/rules.md shows is so."""

import re
from pathlib import Path

import pytest

from schemas.contract import load
from schemas.rules.document import Rule
from schemas.rules.reading import BadRule, read
from streams.rules.compiled import compile_rule

PAGE = (Path(__file__).resolve().parents[3] / "docs/rules.md").read_text("utf-8")


def test_the_documents_of_the_page_are_rules() -> None:
    documents = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
    assert len(documents) >= 1
    assert [compile_rule(read(document), load()).why_not for document in documents] == [""] * len(documents)


def test_the_error_of_the_page_is_what_is_said() -> None:
    (shown,) = re.findall(r"fleetlog: rule\.yaml: (.*?)\n```", PAGE, re.S)
    with pytest.raises(BadRule) as refused:
        compile_rule(Rule(id="a", input="heartbeat", when="cpu_usage.usr > 80"), load())
    assert str(refused.value) == shown


def test_every_field_is_on_the_page() -> None:
    fields = {"for" if name == "hold" else name for name in Rule.__struct_fields__} - {"description"}
    assert {name for name in fields if f"`{name}`" not in PAGE} == set()
