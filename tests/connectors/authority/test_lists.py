"""Revocation lists: what is on them, when they are made again."""

import time

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.authority import lists
from connectors.authority.lists import RevocationLists
from connectors.authority.port import Revoked
from connectors.authority.profiles import Parent
from tests.connectors.authority import authorities
from tests.connectors.authority.authorities import DAY, NOW, SECOND, URL

SHELF = authorities.shelf()
PARENT = Parent(SHELF.issuing["devices-1"], SHELF.keys.signer("devices-1"), URL)
FULL, DELTA = 3600, 300


def revoked(serial: int, reason: lists.RevocationReason = "unspecified", not_after: int = NOW + DAY) -> Revoked:
    return Revoked(f"{serial:x}", NOW - 7 * SECOND, reason, not_after)


def loaded(der: bytes) -> x509.CertificateRevocationList:
    made = x509.load_der_x509_crl(der)
    assert made.is_signature_valid(PARENT.signer.public_key)
    return made


def number(der: bytes) -> int:
    return loaded(der).extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def base(der: bytes) -> int:
    indicator = loaded(der).extensions.get_extension_for_class(x509.DeltaCRLIndicator)
    assert indicator.critical
    return indicator.value.crl_number


def serials(der: bytes) -> set[int]:
    return {one.serial_number for one in loaded(der)}


@pytest.fixture
def made() -> RevocationLists:
    return RevocationLists(PARENT, FULL, DELTA)


def test_what_a_list_says(made: RevocationLists) -> None:
    der = made.full([revoked(5, "key_compromise"), revoked(6)], NOW)
    full = loaded(der)
    assert full.issuer == PARENT.certificate.subject
    assert (full.next_update_utc - full.last_update_utc).total_seconds() == FULL  # type: ignore[operator]
    first, second = full
    assert (first.serial_number, first.revocation_date_utc) == (5, lists.moment(NOW - 7 * SECOND))
    assert first.extensions.get_extension_for_class(x509.CRLReason).value.reason == x509.ReasonFlags.key_compromise
    assert not list(second.extensions)


@settings(deadline=None)
@given(reason=st.sampled_from(sorted(lists.REASONS)), serial=st.integers(1, 2**127 - 1))
def test_every_reason_and_serial(reason: lists.RevocationReason, serial: int) -> None:
    (one,) = loaded(lists.signed(PARENT, [revoked(serial, reason)], 1, NOW, FULL))
    assert one.serial_number == serial
    shown = [extension.value.reason.name for extension in one.extensions if isinstance(extension.value, x509.CRLReason)]
    assert shown == ([] if reason == "unspecified" else [reason])


def test_a_full_list_is_given_again_until_half_its_life_is_over(made: RevocationLists) -> None:
    first = made.full([revoked(5)], NOW)
    assert made.full([revoked(5), revoked(6)], NOW + FULL * SECOND // 2 - 1) == first
    second = made.full([revoked(5), revoked(6)], NOW + FULL * SECOND // 2)
    assert serials(second) == {5, 6}
    assert number(second) > number(first)


def test_a_delta_shows_at_once_what_was_revoked_since(made: RevocationLists) -> None:
    full = made.full([revoked(5)], NOW)
    none = made.delta([revoked(5)], NOW)
    assert serials(none) == set()
    one = made.delta([revoked(5), revoked(6)], NOW)
    assert serials(one) == {6}
    assert base(none) == base(one) == number(full)
    assert number(full) < number(none) < number(one)
    assert made.delta([revoked(5), revoked(6)], NOW + DELTA * SECOND // 2 - 1) == one
    assert made.delta([revoked(5), revoked(6)], NOW + DELTA * SECOND // 2) != one


def test_after_a_new_full_list_the_delta_refers_to_it(made: RevocationLists) -> None:
    both = [revoked(5), revoked(6)]
    made.delta([revoked(5)], NOW)
    delta = made.delta(both, NOW + FULL * SECOND)
    assert base(delta) == number(made.full(both, NOW + FULL * SECOND))
    assert serials(delta) == set()


def test_a_list_once_more_shows_what_has_expired_then_no_more(made: RevocationLists) -> None:
    gone, just = revoked(5, not_after=NOW - FULL * SECOND), revoked(6, not_after=NOW - 1)
    assert serials(made.full([gone, just], NOW)) == {6}
    assert serials(made.delta([gone, just], NOW)) == set()


def test_numbers_rise_over_a_restart_and_when_the_clock_stands_still(made: RevocationLists) -> None:
    numbers = [number(made.full([], NOW)), number(made.delta([], NOW))]
    numbers.append(number(RevocationLists(PARENT, FULL, DELTA).full([], NOW + 1_000)))
    assert numbers == sorted(set(numbers))


def test_a_hundred_thousand_take_no_square_of_the_time() -> None:
    entries = [revoked(serial, "superseded") for serial in range(1, 100_001)]
    begin = time.process_time()
    der = lists.signed(PARENT, entries, 1, NOW, FULL)
    assert time.process_time() - begin < 10
    assert len(loaded(der)) == 100_000
