"""Objects in a bucket of an S3 API (port ObjectStore): AWS, MinIO and others, by the library obstore.

`create` is S3's conditional write (PutObject with If-None-Match: *), which AWS has had since August 2024 and MinIO since
RELEASE.2024-08: of two writers of one name exactly one gets through.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import S3Store

from connectors.objects import NoObject, Refused, Stored, checked
from connectors.ports import Away

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class S3Options:
    """`endpoint`: base URL of the API; empty: AWS's of the region. Without keys the library looks for those of the machine's
    role. `seconds`: a call gives up after it."""

    bucket: str
    prefix: str = ""
    endpoint: str = ""
    region: str = "us-east-1"
    access_key: str = ""
    secret_key: str = ""
    seconds: float = 30.0


class S3Objects:
    """An ObjectStore in a bucket, below a prefix. The bucket must exist."""

    def __init__(self, options: S3Options) -> None:
        self._options = options
        config = {
            "region": options.region,
            "endpoint": options.endpoint or None,
            "access_key_id": options.access_key or None,
            "secret_access_key": options.secret_key or None,
            # MinIO and most others have the bucket in the path, not in the host's name.
            "virtual_hosted_style_request": False if options.endpoint else None,
        }
        self._store = S3Store(
            options.bucket,
            prefix=options.prefix or None,
            client_options={"allow_http": options.endpoint.startswith("http://"), "timeout": f"{options.seconds:g}s"},
            retry_config={"max_retries": 5, "retry_timeout": timedelta(seconds=options.seconds)},
            **{name: value for name, value in config.items() if value is not None},  # type: ignore[arg-type]
        )

    def create(self, name: str, data: bytes) -> bool:
        checked(name)
        try:
            self._call(name, lambda: obstore.put(self._store, name, data, mode="create", use_multipart=False))
        except (AlreadyExistsError, PreconditionError):
            return False
        except NoObject:
            raise Refused(f"{self}: there is no such bucket") from None
        return True

    def get(self, name: str) -> bytes:
        checked(name)
        return bytes(self._call(name, lambda: obstore.get(self._store, name).bytes()))

    def get_range(self, name: str, start: int, stop: int) -> bytes:
        checked(name)
        size = int(self._call(name, lambda: obstore.head(self._store, name))["size"])
        stop = min(stop, size)
        if start >= stop:
            return b""
        return bytes(self._call(name, lambda: obstore.get_range(self._store, name, start=start, end=stop)))

    def list(self, prefix: str) -> Iterator[Stored]:
        below = checked(prefix) if prefix else None
        found = self._call(prefix, lambda: [one for page in obstore.list(self._store, below) for one in page])
        return iter(sorted(Stored(str(one["path"]), int(one["size"])) for one in found))

    def delete(self, name: str) -> None:
        checked(name)
        try:
            self._call(name, lambda: obstore.delete(self._store, name))
        except NoObject:  # which S3 answers for a bucket that is not there
            raise Refused(f"{self}: there is no such bucket") from None

    def _call(self, name: str, call: Callable[[], T]) -> T:
        try:
            return call()
        except FileNotFoundError:
            raise NoObject(f"{self}: there is no {name}") from None
        except (AlreadyExistsError, PreconditionError):
            raise
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise Refused(f"{self} refuses {name}: {_first_line(error)}") from error
        except BaseError as error:
            if "NoSuchBucket" in str(error):
                raise Refused(f"{self}: there is no such bucket") from error
            raise Away(f"{self} does not answer for {name}: {_first_line(error)}") from error

    def __str__(self) -> str:
        at = f" at {self._options.endpoint}" if self._options.endpoint else ""
        return f"s3://{'/'.join(part for part in (self._options.bucket, self._options.prefix) if part)}{at}"


def _first_line(error: BaseException) -> str:
    return str(error).split("\n", 1)[0][:300]
