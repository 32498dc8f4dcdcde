"""The columns that hold values of CEL: times and durations are microseconds."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DTYPES: Mapping[str, Any] = {
    "bool": pl.Boolean(),
    "int": pl.Int64(),
    "double": pl.Float64(),
    "string": pl.String(),
    "timestamp": pl.Int64(),
    "duration": pl.Int64(),
}
