"""Files of replayed records, written by polars: parts first, then the file in one piece, so that it is there whole or
not at all."""

import shutil
from pathlib import Path

import polars as pl

from schemas.contract import RecordType
from schemas.expressions import POSITION
from schemas.shape import Kind, shape_of

SUFFIXES = (".parquet", ".avro", ".jsonl")


class RecordsFile:
    """A Parquet, Avro (deflate) or JSON-lines file, by its suffix. Times are UTC without a zone, in microseconds. In JSON
    lines keys are text, other bytes base64."""

    def __init__(self, path: Path, records: tuple[RecordType, ...]) -> None:
        self._path = path
        self._parts = path.with_name(f".{path.name}.parts")
        self._count = 0
        fields = [field for record in records for field in shape_of(record.schema).fields]
        times = {field.name for field in fields if field.shape.kind is Kind.TIMESTAMP}
        self._times = times | {name for name, shape in POSITION.items() if shape.kind is Kind.TIMESTAMP}

    def write(self, frame: pl.DataFrame) -> None:
        self._parts.mkdir(parents=True, exist_ok=True)
        dated = frame.with_columns(pl.col(name).cast(pl.Datetime("us")) for name in self._times & set(frame.columns))
        dated.write_parquet(self._parts / f"{self._count:08}.parquet")
        self._count += 1

    def finish(self) -> None:
        """Put the file in its place. At least one frame was written."""
        whole = pl.scan_parquet(sorted(self._parts.glob("*.parquet")))
        made = self._parts / f"whole{self._path.suffix}"
        match self._path.suffix:
            case ".parquet":
                whole.sink_parquet(made)
            case ".avro":
                whole.collect().write_avro(made, compression="deflate", name="Replayed")
            case _:
                whole.with_columns(_readable(whole.collect_schema())).sink_ndjson(made)
        made.replace(self._path)

    def close(self) -> None:
        """Remove what is not part of the file."""
        shutil.rmtree(self._parts, ignore_errors=True)


def _readable(columns: pl.Schema) -> list[pl.Expr]:
    binary = [name for name, kind in columns.items() if kind == pl.Binary]
    return [
        pl.col(name).cast(pl.String, strict=False) if name == "kafka_key" else pl.col(name).bin.encode("base64")
        for name in binary
    ]
