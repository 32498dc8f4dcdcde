"""A stack beside another uses what that one runs, and leaves it as it is."""

from pathlib import Path

import pytest
import redis

from infra.stack.harness import running_beside, running_stack

pytestmark = pytest.mark.stack


def test_what_the_other_runs_is_used_and_goes_on(tmp_path: Path) -> None:
    # A stack of its own: how stacks share processes is what is tested.
    with running_stack(tmp_path / "stores", only=("redis",)) as stores:
        with running_beside(stores, tmp_path / "one", only=("redis", "clickhouse")) as stack:
            assert stack.names == ["redis", "clickhouse"]
            assert stack.pid("redis") == stores.pid("redis")
            assert stack.settings.redis == stores.settings.redis
            assert stack.settings.data != stores.settings.data
            with redis.Redis.from_url(stack.settings.redis) as client:
                client.set("kept", "yes")
            dead = stack.kill("redis")
            stack.wait_healthy("redis")
            assert stack.pid("redis") == stores.pid("redis") != dead
            stack.stop("redis")
            assert stores.state("redis") == "stopped"
            stack.start("redis")
        assert stores.state("redis") == "healthy"
        with (
            running_beside(stores, tmp_path / "two", only=("redis",)) as stack,
            redis.Redis.from_url(stack.settings.redis) as client,
        ):
            assert client.get("kept") == b"yes"
