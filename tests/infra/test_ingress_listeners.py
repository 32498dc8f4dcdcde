"""The listeners from settings: what may be set, and what is told of what may not."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connectors.http.peer import DATA, REGISTRATION
from connectors.http.server import PortTaken
from infra import ingress_listeners as listeners
from infra import pki
from infra.settings import SettingError, Settings
from infra.stack.ports import free_ports


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=str(tmp_path))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"limit_heartbeats": -1}, "FLEETLOG_LIMIT_HEARTBEATS"),
        ({"trusted_proxy": "10.0.0.1, somewhere"}, "FLEETLOG_TRUSTED_PROXY"),
        ({"token_seconds": 0}, "FLEETLOG_TOKEN_SECONDS"),
    ],
)
def test_a_setting_that_can_not_be_is_named(settings: Settings, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        listeners.guard_options(replace(settings, **changes))


def test_the_limits_hold_on_the_plain_listener_only_where_it_is_said(settings: Settings) -> None:
    made = listeners.guard_options(settings)
    assert {name: quota.requests for name, quota in made.quotas.items()} == {
        "registration": 10,
        "heartbeat": 120,
        "data": 1000,
        "address": 1000,
    }
    assert made.plain_quotas == {}
    both = listeners.guard_options(replace(settings, limit_plain=1, limit_uploads=0))
    assert both.plain_quotas == both.quotas
    assert "data" not in both.quotas
    assert set(listeners.guard_options(replace(settings, limit_registrations=0)).quotas) == {"heartbeat", "data"}


def test_the_fleets_own_certificates_are_made_and_others_taken(settings: Settings, tmp_path: Path) -> None:
    names = {REGISTRATION: None, DATA: None}
    assert set(listeners.secure(settings, names)) == set(names)
    made = pki.at(settings)
    own = replace(settings, tls_certificate=str(made.server), tls_trust=str(made.clients), data_dir=str(tmp_path / "other"))
    assert set(listeners.secure(own, names)) == set(names)
    assert not (tmp_path / "other").exists()
    assert listeners.secure(own, {}) == {}
    for changes in ({"tls_minimum": "1.1"}, {"tls_certificate": "/nowhere.pem"}, {"tls_trust": str(made.folder / "lock")}):
        with pytest.raises(SettingError):
            listeners.secure(replace(own, **changes), names)


def test_a_listener_is_switched_off_by_its_port_and_a_taken_one_is_told(settings: Settings) -> None:
    with free_ports(2) as (one, other), ExitStack() as opened:
        first = replace(settings, registration_port=0, data_port=one)
        bound = listeners.bind(first, opened)
        assert set(bound) == {DATA}
        bound[DATA].listen()
        with pytest.raises(PortTaken, match=str(one)):
            listeners.bind(replace(settings, registration_port=other, data_port=one), opened)
