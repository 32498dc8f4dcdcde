"""chDB's extension module, loaded without the Python package around it.

`import chdb` opens an engine in memory and closes it again to ask its version; after that no table of the Kafka engine
can be made in the process ("Shutdown was called": the thread pool of the message brokers starts once). Loading the
extension alone avoids this.
"""

import ctypes
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, cast

_EXTENSION = "_chdb.abi3.so"
_RTLD_DEEPBIND = 0x8  # the extension must use its own allocator, not a libstdc++ that is already loaded


class BindingError(Exception):
    """chDB's extension module is not installed or cannot be loaded."""


class View(Protocol):
    """A result's bytes, valid while the result lives."""

    def view(self) -> memoryview: ...


class Result(Protocol):
    """What a statement gave: bytes in the asked format, and counters."""

    def bytes(self) -> bytes: ...
    def get_memview(self) -> View: ...
    def rows_read(self) -> int: ...
    def storage_rows_read(self) -> int: ...
    def storage_bytes_read(self) -> int: ...
    def rows_written(self) -> int: ...
    def bytes_written(self) -> int: ...


Progress = Callable[[Mapping[str, int]], None]
Stream = Any  # chDB's handle of a result that is read piece by piece


class Connection(Protocol):
    """One chDB connection: an own current database, settings and temporary tables. One thread at a time; a statement
    while a stream is open ends that stream silently. Errors come as RuntimeError with the text `Code: N. DB::...`, or
    as UnicodeDecodeError if that text is not UTF-8.
    """

    def query(self, query_str: bytes, format: str, *, params: Mapping[str, str] = ...) -> Result: ...
    def send_query(self, query_str: bytes, format: str) -> Stream: ...
    def streaming_fetch_result(self, streaming_result: Stream) -> Result | None: ...
    def streaming_cancel_query(self, streaming_result: Stream) -> None: ...
    def set_progress_callback(self, callback: Progress | None) -> None: ...
    def classify_query(self, sql: bytes) -> Mapping[str, Any]: ...
    def close(self) -> None: ...


Connect = Callable[[str], Connection]


def load() -> Connect:
    """Load the extension; returns chDB's `connect(path)`. Changes the working directory for a moment: call it before
    other threads run.

    Raises:
        BindingError: the package chdb-core is missing or its extension does not load.
    """
    folder = _folder()
    path = str(folder / _EXTENSION)
    previous = Path.cwd()
    os.chdir(folder)  # it looks for its helper library in the working directory
    try:
        if sys.platform == "linux":
            ctypes.CDLL(path, mode=sys.getdlopenflags() | _RTLD_DEEPBIND)
        spec = importlib.util.spec_from_file_location("chdb._chdb", path)
        if spec is None or spec.loader is None:
            raise BindingError(f"{path} is not an extension module")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    except (ImportError, OSError) as error:
        raise BindingError(f"cannot load {path}: {error}") from error
    finally:
        os.chdir(previous)
    return cast(Connect, module.connect)


def _folder() -> Path:
    found = importlib.machinery.PathFinder.find_spec("chdb")  # unlike importlib.util.find_spec, runs nothing
    places = (found.submodule_search_locations if found is not None else None) or ()
    for place in places:
        if (Path(place) / _EXTENSION).exists():
            return Path(place)
    raise BindingError("the package chdb-core is not installed")
