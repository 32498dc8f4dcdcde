"""`fleetlog rule test` and `fleetlog rule schema`, as a person calls them."""

import json
from pathlib import Path

import pytest

from infra.cli.main import main
from schemas.rules.document import json_schema

ROOT = Path(__file__).resolve().parents[2]
RULE = "id: hot\ninput: telemetry\nwhen: temperature > 100\nclear: temperature < 95\n"
RECORD = {
    "device_id": "a",
    "received_at": "2026-01-01T12:00:01Z",
    "readings": [
        {"metric": "temperature", "at": f"2026-01-01T12:00:0{second}Z", "value": value}
        for second, value in ((1, 97), (0, 101))
    ],
}


def test_the_published_schema_is_the_one_that_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rule", "schema"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json_schema() == json.loads((ROOT / "docs/rule.schema.json").read_text("utf-8"))


def test_a_rule_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "hot.yaml").write_text(RULE, "utf-8")
    assert main(["rule", "test", str(tmp_path / "hot.yaml"), "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert (about["topic"], about["reads"], about["columnar"]) == ("fleet.telemetry", ["metric:temperature"], True)


def test_records_are_evaluated_line_by_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "hot.yaml").write_text(RULE, "utf-8")
    (tmp_path / "records.jsonl").write_text(f"{json.dumps(RECORD)}\n\n{json.dumps(RECORD)}\n", "utf-8")
    assert main(["rule", "test", str(tmp_path / "hot.yaml"), "--records", str(tmp_path / "records.jsonl"), "--json"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["line"], one["value"], one["says"]) for one in found] == [
        (1, 101.0, "raised"),
        (1, 97.0, "between"),
        (3, None, "late"),
        (3, 97.0, "between"),
    ]


@pytest.mark.parametrize(
    ("rule", "records", "said"),
    [
        ("id: a\ninput: telemetry\nwhen: temperature >\n", None, "when: column 14: Syntax error"),
        ("id: a\n", None, "line 1: object missing required field `input`"),
        (RULE, "{", "line 1: no record"),
        (RULE, "{}", "line 1: device_id is missing"),
        (RULE, "[]", "line 1: no record"),
        (RULE, json.dumps({**RECORD, "received_at": "yesterday"}), "line 1: no record: 'yesterday' is no time"),
        (
            RULE.replace("temperature", "uptime").replace("telemetry", "heartbeat"),
            '{"device_id": "a", "received_at": 1, "uptime": "x"}',
            "uptime is 'x', and must be of type int",
        ),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rule: str, records: str | None, said: str
) -> None:
    (tmp_path / "rule.yaml").write_text(rule, "utf-8")
    (tmp_path / "records.jsonl").write_text(records or "", "utf-8")
    more = [] if records is None else ["--records", str(tmp_path / "records.jsonl")]
    assert main(["rule", "test", str(tmp_path / "rule.yaml"), *more]) == 1
    assert said in capsys.readouterr().err


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rule", "test", str(tmp_path / "none.yaml")]) == 2
    assert "none.yaml" in capsys.readouterr().err


def test_the_built_in_rules_are_listed_and_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rule", "builtin"]) == 0
    assert "device-offline" in capsys.readouterr().out
    assert main(["rule", "builtin", "--json"]) == 0
    rules = json.loads(capsys.readouterr().out)
    assert {"certificate-expiry", "registration-failure-rate"} < {rule["id"] for rule in rules}
    assert main(["rule", "builtin", "device-offline"]) == 0
    (tmp_path / "own.yaml").write_text(capsys.readouterr().out, "utf-8")
    assert main(["rule", "test", str(tmp_path / "own.yaml")]) == 0


def test_a_built_in_rule_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rule", "builtin", "device-offline", "sun-has-set", "--apply"]) == 1
    assert "there is no built-in rule sun-has-set; there are api-error-rate" in capsys.readouterr().err
