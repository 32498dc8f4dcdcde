"""Which faults of Redis mean that it does not answer for now."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from redis import exceptions

from connectors.ports import Away

WRONG_SETTINGS = (exceptions.AuthenticationError, exceptions.AuthorizationError, exceptions.NoPermissionError)
"""Redis answers, and will never let us in: a wrong setting, though some of these derive from ConnectionError."""

NOT_NOW = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ReadOnlyError,
    exceptions.OutOfMemoryError,
    exceptions.TryAgainError,
    exceptions.ClusterDownError,
    exceptions.MasterDownError,
)

# A refusal inside a script arrives as a script error that quotes it ("... @user_script:7: -OOM command not allowed"),
# and some refusals have no exception class of their own. All of them come before the first write of a script.
_REFUSAL = re.compile(r"(?:^|-)(?:LOADING|READONLY|OOM|MISCONF|NOREPLICAS|BUSY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|UNKILLABLE) ")


@contextmanager
def answering() -> Iterator[None]:
    """Turns every way in which Redis cannot answer for now into `Away`; faults of ours pass."""
    try:
        yield
    except WRONG_SETTINGS:
        raise
    except NOT_NOW as error:
        raise Away(f"Redis: {error}") from error
    except exceptions.ResponseError as error:
        if _REFUSAL.search(str(error)):
            raise Away(f"Redis: {error}") from error
        raise
