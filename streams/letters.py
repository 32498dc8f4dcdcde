"""Dead letters as they lie in their topic: which records which views set aside, and why."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from connectors.ports import LogReader
from schemas.correction_messages import RecordPatched
from schemas.corrections import Corrections
from schemas.log import Batch, TopicPartition
from schemas.places import Place
from schemas.record_columns import BatchDecoder

LETTERS_TOPIC = "fleet.dead-letters"

COLUMNS = {
    "view": pl.String, "topic": pl.String, "partition": pl.Int64, "offset": pl.Int64, "reason": pl.String,
    "detail": pl.String, "set_aside_at": pl.Int64, "size": pl.Int64, "letter_partition": pl.Int64, "letter_offset": pl.Int64,
}  # fmt: skip
RECORD = ["topic", "partition", "offset"]

STATES = ("open", "patched", "skipped", "redriven")
"""Of a letter: nothing was done; the record is corrected, but not in the view; the correction is in the view."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One letter, whole."""

    view: str
    place: Place
    reason: str
    detail: str
    set_aside_at: int
    key: bytes | None
    value: bytes | None
    lies_at: Place


def listed(log: LogReader, decoder: BatchDecoder) -> pl.DataFrame:
    """All letters without the records in them: COLUMNS, each record of a view once (its first letter), oldest record first.

    Raises:
        Away: the broker or the registry does not answer.
    """
    parts = [pl.DataFrame(schema=COLUMNS)]
    for batch, frame in _frames(log, decoder):
        parts.append(
            frame.select(
                "view",
                "topic",
                pl.col("partition").cast(pl.Int64),
                pl.col("offset").cast(pl.Int64),
                "reason",
                "detail",
                pl.col("set_aside_at").cast(pl.Int64),
                pl.col("value").bin.size().cast(pl.Int64).fill_null(0).alias("size"),
                pl.lit(batch.source.partition, pl.Int64).alias("letter_partition"),
                _offsets(frame, batch).alias("letter_offset"),
            )
        )
    return pl.concat(parts).unique(["view", *RECORD], keep="first", maintain_order=True).sort(*RECORD, "view")


def of_record(log: LogReader, decoder: BatchDecoder, place: Place) -> list[Letter]:
    """The letters of one record, one a view. `place` may be the record's own or that of one of its letters.

    Raises:
        Away: the broker or the registry does not answer.
    """
    of_letter = place.source.topic == LETTERS_TOPIC
    found: dict[tuple[str, Place], Letter] = {}
    for batch, frame in _frames(log, decoder):
        if of_letter:
            chosen = frame.filter(_offsets(frame, batch) == place.offset) if batch.source == place.source else frame.clear()
        else:
            (topic, partition), offset = place
            here = (pl.col("topic") == topic) & (pl.col("partition") == partition) & (pl.col("offset") == offset)
            chosen = frame.filter(here)
        for row in chosen.iter_rows(named=True):
            letter = _letter(row, Place(batch.source, batch.offsets[row["index"]]))
            found.setdefault((letter.view, letter.place), letter)
    letters = list(found.values())
    return of_record(log, decoder, letters[0].place) if of_letter and letters else letters


def _frames(log: LogReader, decoder: BatchDecoder) -> Iterator[tuple[Batch, pl.DataFrame]]:
    for source, (low, end) in sorted(log.bounds([LETTERS_TOPIC]).items()):
        for batch in log.read(source, low, end):
            frame = decoder.decode(batch.values).frame
            if not frame.is_empty():
                yield batch, frame


def _offsets(frame: pl.DataFrame, batch: Batch) -> pl.Series:
    return pl.Series("offsets", batch.offsets, pl.Int64).gather(frame["index"])


def _letter(row: Mapping[str, object], lies_at: Place) -> Letter:
    place = Place(TopicPartition(str(row["topic"]), int(str(row["partition"]))), int(str(row["offset"])))
    key, value = row["key"], row["value"]
    assert key is None or isinstance(key, bytes)
    assert value is None or isinstance(value, bytes)
    told = str(row["view"]), place, str(row["reason"]), str(row["detail"]), int(str(row["set_aside_at"]))
    return Letter(*told, key, value, lies_at)


def with_states(letters: pl.DataFrame, corrections: Corrections, made: Mapping[str, int]) -> pl.DataFrame:
    """Letters with the column `state` (STATES). `made`: view -> the offset before which all corrections are in it."""
    rows = [(*entry.correction.source, entry.correction.offset, entry.at, _kind(entry.correction)) for entry in corrections]
    corrected = pl.DataFrame(
        rows,
        {"topic": pl.String, "partition": pl.Int64, "offset": pl.Int64, "at": pl.Int64, "kind": pl.String},
        orient="row",
    )
    versions = pl.DataFrame({"view": list(made), "made": list(made.values())}, {"view": pl.String, "made": pl.Int64})
    joined = letters.join(corrected, on=RECORD, how="left", maintain_order="left")
    joined = joined.join(versions, on="view", how="left", maintain_order="left")
    inside = pl.col("at") < pl.col("made")
    state = pl.when(inside).then(pl.lit("redriven")).otherwise(pl.col("kind").fill_null("open"))
    return joined.with_columns(state.alias("state")).drop("at", "kind", "made")


def _kind(correction: object) -> str:
    return "patched" if isinstance(correction, RecordPatched) else "skipped"
