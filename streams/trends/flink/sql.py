"""The SQL of the trends job. No Flink is imported, so the text can be read and tested anywhere.

    telemetry -> readings -> sums of minutes, a batch a period ------------------> running sums -> rows
                                 \\-> sums of hours, a batch every five periods -/

Batches are of the time of *processing*, so no reading is late to the engine, however wrong its device's clock is and
however long the device kept it, and no device's clock moves another's. The minute that a reading belongs to is a plain
column, of min(at, received_at). What a batch brings for a window is added to what the window had (OVER, in the order of
processing), and the window is written again, with the next revision. A job over what a topic holds takes all of it as one
batch.

Sums are doubles: of seconds since the start of their window, and of values less a `centre`, so that the spread of a large
value with small noise is not lost. Where centres differ, sums are moved to the first. The first and the last reading are the
least and the greatest of texts that begin with the time.
"""

from dataclasses import dataclass

MINUTE = 60_000_000  # microseconds
MOST_MAGNITUDE = "1e150"  # as streams.trends.partial
OLDEST = 366 * 24 * 60 * MINUTE  # as streams.trends.windows
LATE = 10 * MINUTE  # a reading received so long after the end of its minute is counted as late

TELEMETRY_COLUMNS = """device_id STRING, received_at BIGINT,
  readings ARRAY<ROW<metric STRING, `at` BIGINT, `value` DOUBLE, unit STRING>>"""

TRENDS_COLUMNS = """device_id STRING NOT NULL, metric STRING NOT NULL, `window` STRING NOT NULL, `start` BIGINT NOT NULL,
  `end` BIGINT NOT NULL, `count` BIGINT NOT NULL, low DOUBLE, high DOUBLE, mean DOUBLE, stddev DOUBLE, `first` DOUBLE,
  `last` DOUBLE, slope DOUBLE, r2 DOUBLE, late BIGINT NOT NULL, set_aside BIGINT NOT NULL, revision BIGINT NOT NULL,
  received_at BIGINT NOT NULL"""


@dataclass(frozen=True, slots=True)
class Pace:
    """`period`: seconds that make a batch; of hours, five times as many."""

    period: int = 60

    def __post_init__(self) -> None:
        if not 0 < self.period <= 600:
            raise ValueError(f"a period of {self.period} seconds is not from 1 to 600")


# `tick` is what batches go by. ALL_AT_ONCE: every record is of one moment, which is over when the topic is.
AS_IT_COMES = "tick AS PROCTIME(), passed AS PROCTIME()"
ALL_AT_ONCE = "passed AS PROCTIME(), tick AS TO_TIMESTAMP_LTZ(0, 3), WATERMARK FOR tick AS tick - INTERVAL '1' SECOND"

# What is no number, absurd, or of a clock that was not set is counted in the minute of its reception, and adds nothing else.
SOUND = f"""CREATE TEMPORARY VIEW sound_readings AS
SELECT device_id, metric, tick, passed, received_at, sound, moment - MOD(moment, {MINUTE}) AS `minute`,
  CASE WHEN sound THEN `value` END AS y,
  CASE WHEN sound THEN CAST(MOD(moment, {MINUTE}) AS DOUBLE) / 1e6 END AS x,
  CASE WHEN sound THEN LPAD(CAST(moment AS STRING), 16, '0') || CAST(`value` AS STRING) END AS moment_and_value
FROM (SELECT *, CASE WHEN sound THEN LEAST(`at`, received_at) ELSE received_at END AS moment
  FROM (SELECT t.device_id, t.tick, t.passed, t.received_at, r.metric, r.`at`, r.`value`,
      ABS(r.`value`) <= {MOST_MAGNITUDE} AND r.`at` >= t.received_at - {OLDEST} AS sound
    FROM telemetry AS t CROSS JOIN UNNEST(t.readings) AS r (metric, `at`, `value`, unit)))"""

# The centre is the first value of its series, but for values that are much smaller: one absurd value must not spoil others.
READINGS = """CREATE TEMPORARY VIEW readings AS SELECT *, y - centre AS d
FROM (SELECT *, CASE WHEN sound AND ABS(first_y) > 2 * ABS(y) THEN 0e0 ELSE first_y END AS centre
  FROM (SELECT *, FIRST_VALUE(y) OVER w AS first_y FROM sound_readings
    WINDOW w AS (PARTITION BY device_id, metric ORDER BY passed ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)))"""

# n: how many; sd, sdd, sx, sxx, sxd: sums of values and times and of their products; head, tail: the first and the last.
NAMES = "n, late, set_aside, low, high, sd, sdd, sx, sxx, sxd, head, tail, received_at"
OF_READINGS = f"""COUNT(y) AS n,
  SUM(CASE WHEN sound AND received_at - `minute` >= {MINUTE + LATE} THEN 1 ELSE 0 END) AS late,
  SUM(CASE WHEN sound THEN 0 ELSE 1 END) AS set_aside, MIN(y) AS low, MAX(y) AS high, SUM(d) AS sd, SUM(d * d) AS sdd,
  SUM(x) AS sx, SUM(x * x) AS sxx, SUM(x * d) AS sxd, MIN(moment_and_value) AS head, MAX(moment_and_value) AS tail,
  MAX(received_at) AS received_at"""


def _added(over: str = "") -> str:
    """Sums of sums, of a group or (with OVER) of all rows of a window so far."""
    kept = {"low": "MIN", "head": "MIN", "high": "MAX", "tail": "MAX", "received_at": "MAX"}
    return ", ".join(f"{kept.get(name, 'SUM')}({name}){over} AS {name}" for name in NAMES.split(", "))


# Sums of a minute become sums of an hour that holds it: times u become u + o.
SHIFTED = """centre, n, late, set_aside, low, high, sd, sdd, sx + n * o AS sx, sxx + 2 * o * sx + n * o * o AS sxx,
  sxd + o * sd AS sxd, head, tail, received_at"""
# Sums of values less a centre become those of values less the window's: values d become d + q.
MOVED = """n, late, set_aside, low, high, sd + n * q AS sd, sdd + 2 * q * sd + n * q * q AS sdd, sx, sxx,
  sxd + q * sx AS sxd, head, tail, received_at"""
STEP, HOUR = 5 * MINUTE, 60 * MINUTE


# An array of columns, not of constants: with those it is a join, whose rows have no event time.
PLACES = ", ".join(
    [f"ROW('1h', `minute` - MOD(`minute`, {HOUR}))"]
    + [f"ROW('1h/5m', `minute` - MOD(`minute`, {STEP}) - {number * STEP})" for number in range(12)]
)


# Each row of sums of a minute as a row for each of the hours that hold the minute.
HOURS = f"""SELECT batched, device_id, metric, `window`, `start`, {SHIFTED}
FROM (SELECT s.*, `window`, `start`, CAST(`minute` - `start` AS DOUBLE) / 1e6 AS o
  FROM minutes AS s CROSS JOIN UNNEST(ARRAY[{PLACES}]) AS places (`window`, `start`))"""


def interval(seconds: int) -> str:
    """Less than a hundred minutes."""
    return f"INTERVAL '{seconds // 60}:{seconds % 60:02}' MINUTE TO SECOND"


def views(pace: Pace) -> tuple[str, ...]:
    """Statements that make the view `rows_of_trends` of a table `telemetry` (with TELEMETRY_COLUMNS)."""
    batch, batches = interval(pace.period), interval(5 * pace.period)
    so_far = "ORDER BY processed ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"
    over = f"PARTITION BY device_id, metric, `window`, `start` {so_far}"
    return (
        SOUND,
        READINGS,
        f"""CREATE TEMPORARY VIEW minutes AS
SELECT window_time AS batched, device_id, metric, `minute`, centre, {OF_READINGS}
FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(tick), {batch}))
GROUP BY window_start, window_end, window_time, device_id, metric, `minute`, centre""",
        f"CREATE TEMPORARY VIEW minutes_in_hours AS {HOURS}",
        f"""CREATE TEMPORARY VIEW parts AS
SELECT device_id, metric, '1m' AS `window`, `minute` AS `start`, centre, {NAMES} FROM minutes
UNION ALL SELECT device_id, metric, `window`, `start`, centre, {_added()}
FROM TABLE(TUMBLE(TABLE minutes_in_hours, DESCRIPTOR(batched), {batches}))
GROUP BY window_start, window_end, device_id, metric, `window`, `start`, centre""",
        f"""CREATE TEMPORARY VIEW moved AS
SELECT device_id, metric, `window`, `start`, base, {MOVED}, PROCTIME() AS processed
FROM (SELECT *, COALESCE(centre - base, 0e0) AS q
  FROM (SELECT *, FIRST_VALUE(CASE WHEN n > 0 THEN centre END) OVER w AS base
    FROM (SELECT *, PROCTIME() AS processed FROM parts) WINDOW w AS ({over})))""",
        f"""CREATE TEMPORARY VIEW sums AS SELECT device_id, metric, `window`, `start`, base, {_added(" OVER w")},
  COUNT(*) OVER w - 1 AS revision
FROM moved WINDOW w AS ({over})""",
        f"CREATE TEMPORARY VIEW rows_of_trends AS {ROWS}",
    )


ROWS = f"""SELECT device_id, metric, `window`, `start`,
  `start` + CASE WHEN `window` = '1m' THEN {MINUTE} ELSE {HOUR} END AS `end`, n AS `count`, low, high,
  CASE WHEN n > 0 THEN base + sd / n END AS mean,
  CASE WHEN n > 1 AND low = high THEN 0e0 WHEN n > 1 THEN SQRT(GREATEST(n * sdd - sd * sd, 0e0) / n / (n - 1)) END AS stddev,
  CAST(SUBSTRING(head FROM 17) AS DOUBLE) AS `first`, CAST(SUBSTRING(tail FROM 17) AS DOUBLE) AS `last`,
  CASE WHEN timed AND txx > 0 THEN (n * sxd - sx * sd) / txx END AS slope,
  CASE WHEN timed AND low <> high AND txx > 0 AND n * sdd - sd * sd > 0
    THEN LEAST((n * sxd - sx * sd) * (n * sxd - sx * sd) / (txx * (n * sdd - sd * sd)), 1e0) END AS r2,
  CAST(late AS BIGINT) AS late, CAST(set_aside AS BIGINT) AS set_aside, revision, received_at
FROM (SELECT *, SUBSTRING(head FROM 1 FOR 16) <> SUBSTRING(tail FROM 1 FOR 16) AS timed, n * sxx - sx * sx AS txx
  FROM sums)"""
