"""The server's signing keys: kept, rolled over, private."""

from pathlib import Path

import pytest
from joserfc import jws

from connectors.signing_keys import DAY, KEPT_SECONDS, BadKeys, SigningKeys


def kid(token: str) -> str:
    return str(jws.extract_compact(token.encode()).headers()["kid"])


def verifies(keys: SigningKeys, token: str) -> bool:
    return jws.deserialize_compact(token, keys.public_keys(), algorithms=["ES256"]).payload == b"x"


def test_keys_outlive_the_process_and_only_their_owner_can_read_them(tmp_path: Path) -> None:
    file = tmp_path / "data" / "keys.json"
    token = SigningKeys(file).sign(b"x", "t")
    assert file.stat().st_mode & 0o777 == 0o600
    after = SigningKeys(file)
    assert verifies(after, token)
    assert kid(after.sign(b"x", "t")) == kid(token)


def test_a_key_that_has_served_its_time_is_published_a_while_longer(tmp_path: Path) -> None:
    now, file = [0.0], tmp_path / "keys.json"
    keys = SigningKeys(file, 90, lambda: now[0])
    first = keys.sign(b"x", "t")
    now[0] = 90 * DAY + 1
    second = keys.sign(b"x", "t")
    assert kid(first) != kid(second)
    for one in (keys, SigningKeys(file, 90, lambda: now[0])):
        assert verifies(one, first)
        assert verifies(one, second)
        assert [key.kid for key in one.public_keys().keys] == [kid(first), kid(second)]
    now[0] += KEPT_SECONDS + 1
    assert [key.kid for key in keys.public_keys().keys] == [kid(second)]
    now[0] += 1000 * DAY
    third = keys.sign(b"x", "t")
    assert [key.kid for key in keys.public_keys().keys] == [kid(second), kid(third)]


def test_a_key_that_rolls_over_faster_than_keys_are_forgotten() -> None:
    now = [0.0]
    keys = SigningKeys(None, 0.5, lambda: now[0])
    tokens = []
    for step in range(12):
        now[0] = step * 0.6 * DAY
        tokens.append(keys.sign(b"x", "t"))
    assert 3 <= len(keys.public_keys().keys) <= 5
    assert verifies(keys, tokens[-3])


@pytest.mark.parametrize("content", [b"", b"{}", b'{"keys": [1]}', b'{"keys": [{"key": {"kty": "EC"}, "since": 0}]}'])
def test_a_file_that_holds_no_keys(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "keys.json"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(BadKeys, match=r"keys\.json"):
        SigningKeys(file)


def test_a_file_that_others_can_read(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    SigningKeys(file)
    file.chmod(0o644)
    with pytest.raises(BadKeys, match="chmod"):
        SigningKeys(file)
