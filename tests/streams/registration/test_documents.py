"""docs/registration.md says what the decider does."""

import ast
import re
from pathlib import Path

from schemas.registration_errors import ERRORS
from tests.streams.registration.test_any_command import NAMES
from tests.streams.registration.test_refusals import CASES

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs/registration.md").read_text("utf-8")


def raised() -> set[str]:
    """The codes that stand in the decider's source."""
    trees = [ast.parse(path.read_text("utf-8")) for path in (ROOT / "streams/registration").glob("*.py")]
    texts = {node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    return {code for code in ERRORS if code in texts}


def test_the_table_has_every_code_with_its_message() -> None:
    rows = dict(re.findall(r"^\| `([A-Z_0-9-]+)` \| ([^|]+?) \|", DOCUMENT, re.MULTILINE))
    assert rows == {code: ERRORS[code].message for code in raised()}


def test_every_code_has_an_example() -> None:
    assert {code for code, _, _ in CASES.values()} | {"BAD_CSR"} == raised()


def test_the_flows_name_every_command() -> None:
    assert [name for name in NAMES if f"`{name}`" not in DOCUMENT] == []
