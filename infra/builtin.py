"""The rules that fleetlog brings along (docs/notifications.md lists them)."""

from pathlib import Path

RULES_FOLDER = Path(__file__).parent / "builtin_rules"


def builtin_documents() -> dict[str, str]:
    """Documents of rules (YAML) by the rules' ids."""
    return {file.stem: file.read_text("utf-8") for file in sorted(RULES_FOLDER.glob("*.yaml"))}
