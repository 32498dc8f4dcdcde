"""The names of the tests are the same in each of the processes that share them."""

import gzip

import pytest


@pytest.mark.parametrize("packed", [gzip.compress(b"a test's parameter that holds the time at which it was made")])
def test_bytes_are_named_by_their_number(packed: bytes, request: pytest.FixtureRequest) -> None:
    assert request.node.name == f"test_bytes_are_named_by_their_number[{len(packed)}-bytes]"
