"""What is asked of the trends jobs: submit, list, stop. The cluster answers over Flink's REST API."""

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from infra.settings import Settings, child_environment
from infra.stack import flink
from schemas.contract import load
from streams.trends.flink import job as jobs
from streams.trends.flink.sql import Pace

RUN = Path(jobs.__file__).with_name("run.py")
SUBMIT_SECONDS = 300.0
STOP_SECONDS = 120.0
ENDED = ("FINISHED", "CANCELED", "FAILED", "SUSPENDED")


class Refused(Exception):
    """Flink did not do what it was asked; the message is its own."""


class Away(Exception):
    """The cluster does not answer."""


@dataclass(frozen=True, slots=True)
class Running:
    """A job of the cluster; `state` is one of Flink's."""

    id: str
    name: str
    state: str
    began: float  # seconds since 1970


class Cluster:
    """Flink's REST API.

    Every method raises Away where the cluster does not answer, and Refused where it says no.
    """

    def __init__(self, settings: Settings) -> None:
        self._client = httpx.Client(base_url=f"http://{settings.host}:{settings.trends_port}", timeout=10.0)

    def close(self) -> None:
        self._client.close()

    def jobs(self) -> list[Running]:
        """All that the cluster remembers, newest first."""
        found = self._asked("GET", "/jobs/overview")["jobs"]
        made = (Running(one["jid"], one["name"], one["state"], one["start-time"] / 1000) for one in found)
        return sorted(made, key=lambda one: -one.began)

    def live(self, name: str) -> Running | None:
        """The job of that name that has not ended."""
        return next((one for one in self.jobs() if one.name == name and one.state not in ENDED), None)

    def state(self, job: str) -> str:
        return str(self._asked("GET", f"/jobs/{job}")["state"])

    def seconds(self, job: str) -> float:
        """How long it has run, or ran."""
        return float(self._asked("GET", f"/jobs/{job}")["duration"]) / 1000

    def checkpoints(self, job: str) -> dict[str, Any]:
        """Counts and the newest checkpoints, as Flink tells them."""
        found: dict[str, Any] = self._asked("GET", f"/jobs/{job}/checkpoints")
        return found

    def failure(self, job: str) -> str:
        """Why it last failed, in Flink's words; empty if it never did."""
        entries = self._asked("GET", f"/jobs/{job}/exceptions")["exceptionHistory"]["entries"]
        return causes(entries[0]["stacktrace"]) if entries else ""

    def stop(self, job: str, savepoints: Path) -> str:
        """Stop with a savepoint in a folder of that folder; returns where it is."""
        asked = self._asked("POST", f"/jobs/{job}/stop", {"drain": False, "targetDirectory": savepoints.as_uri()})
        for _ in _until(STOP_SECONDS, f"the savepoint of {job}"):
            answer = self._asked("GET", f"/jobs/{job}/savepoints/{asked['request-id']}")
            if answer["status"]["id"] == "COMPLETED":
                if "location" not in answer["operation"]:
                    raise Refused(str(answer["operation"].get("failure-cause", {}).get("stack-trace", answer))[:2000])
                return str(answer["operation"]["location"])
        raise AssertionError("unreachable: the wait ends by an exception")

    def cancel(self, job: str) -> None:
        """End it, without a savepoint; returns when it has ended."""
        self._asked("PATCH", f"/jobs/{job}")
        for _ in _until(STOP_SECONDS, f"the end of {job}"):
            if self.state(job) in ENDED:
                return

    def _asked(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        try:
            answer = self._client.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise Away(f"Flink does not answer at {self._client.base_url}: {error or type(error).__name__}") from error
        if answer.is_error:
            raise Refused(f"{method} {path}: {answer.status_code} {_told(answer.text)}")
        return answer.json() if answer.content else None


def _until(seconds: float, what: str) -> Iterator[None]:
    """Yields every now and then, for so long.

    Raises:
        Away: it takes longer.
    """
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        yield
        time.sleep(0.2)
    raise Away(f"waited {seconds:.0f} s for {what}")


def job(settings: Settings) -> jobs.Job:
    """The trends job, for the broker and the registry of the settings."""
    return jobs.trends(_place(settings), _schema(), Pace(settings.trends_period), settings.trends_state_hours)


def _place(settings: Settings) -> jobs.Place:
    return jobs.Place(settings.kafka, settings.registry)


def _schema() -> dict[str, Any]:
    return dict(load().records["TrendComputed"].schema)


def backfill_job(settings: Settings, span: jobs.Span) -> jobs.Job:
    return jobs.backfill(_place(settings), _schema(), span)


def backfill(settings: Settings, cluster: Cluster, span: jobs.Span) -> str:
    """Write the windows within `span` anew, from what the topic holds; returns the job's id when it has ended.

    Raises:
        Away: the cluster does not answer.
        Refused: one runs already, it could not be submitted, or it failed.
    """
    running = cluster.live(jobs.BACKFILL)
    if running is not None:
        raise Refused(f"a backfill runs already: {running.id}")
    submitted = submit(settings, backfill_job(settings, span))
    while (state := cluster.state(submitted)) not in ENDED:
        time.sleep(0.5)
    if state != "FINISHED":
        raise Refused(f"the backfill {submitted} is {state}: {cluster.failure(submitted)}")
    return submitted


def submit(settings: Settings, made: jobs.Job, origin: str | None = None) -> str:
    """Hand a job to the cluster; gives its id. It goes on from the savepoint or checkpoint `origin`, or begins anew.

    Raises:
        Refused: the client of Flink failed; the message is the end of what it wrote.
        StackError: there is no PyFlink.
    """
    folder = flink.folder(settings)
    file = folder / "job.json"
    configuration = {**flink.of_each_job(settings, made.name), **made.configuration}
    if origin:
        configuration["execution.state-recovery.path"] = origin
    made = replace(made, configuration=configuration)
    file.write_text(made.text(), "utf-8")
    done = _client(
        settings,
        [str(flink.environment(settings) / "bin" / "python"), str(RUN), str(file), settings.host, str(settings.trends_port)],
    )
    if done.returncode != 0:
        raise Refused(f"the job could not be submitted: {causes(done.stderr)}")
    return done.stdout.split()[-1]


def _client(settings: Settings, command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            cwd=flink.folder(settings),
            env=child_environment(flink.variables(settings)),
            capture_output=True,
            text=True,
            timeout=SUBMIT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Refused(f"the job could not be submitted in {SUBMIT_SECONDS:.0f} s") from error


def _told(answer: str) -> str:
    """What an answer of Flink's that is an error says: JSON with `errors`, which are stack traces, or plain text."""
    try:
        return causes("\n".join(json.loads(answer)["errors"]))
    except (ValueError, KeyError, TypeError):
        return answer[:1000]


def causes(trace: str) -> str:
    """The lines of a stack trace that say what happened, at most two."""
    said = [line.strip() for line in trace.splitlines() if line.strip() and not line.lstrip().startswith(("at ", "..."))]
    told = [line for line in said if line.startswith("Caused by:")] or said
    return "; ".join(line.removeprefix("Caused by: ")[:500] for line in told[-2:])


def newest_checkpoint(settings: Settings, job: str) -> str | None:
    """The newest checkpoint or savepoint of a job that is whole, whichever run made it; None where there is none."""
    made = [
        *flink.checkpoints(settings, job).glob("*/chk-*/_metadata"),
        *flink.savepoints(settings, job).glob("*/_metadata"),
    ]
    newest = max(made, key=lambda file: file.stat().st_mtime, default=None)
    return None if newest is None else newest.parent.as_uri()


def begin(settings: Settings, anew: bool = False) -> tuple[str, str | None]:
    """Submit the trends job, and want it from now on; gives its id and the checkpoint that it goes on from.

    Raises:
        Refused, StackError: as submit.
    """
    made = job(settings)
    origin = None if anew else newest_checkpoint(settings, made.name)
    submitted = submit(settings, made, origin)
    flink.wanted(settings, made.name).touch()
    return submitted, origin


def end(settings: Settings, cluster: Cluster, savepoint: bool) -> str | None:
    """Stop the trends job, and want it no longer; gives where the savepoint is, if one is asked for.

    Raises:
        Away, Refused: it goes on; or there is none.
    """
    running = cluster.live(jobs.NAME)
    flink.wanted(settings, jobs.NAME).unlink(missing_ok=True)
    if running is None:
        raise Refused("no trends job runs")
    try:
        if savepoint:
            return cluster.stop(running.id, flink.savepoints(settings, jobs.NAME))
        cluster.cancel(running.id)
    except (Away, Refused):
        flink.wanted(settings, jobs.NAME).touch()
        raise
    return None


def keep(settings: Settings, cluster: Cluster) -> str | None:
    """Submit the trends job if it is wanted and does not run: a job manager that was killed has forgotten it. Gives the
    new id.

    Raises:
        Away: the cluster does not answer.
        Refused, StackError: as submit.
    """
    if not flink.wanted(settings, jobs.NAME).exists() or cluster.live(jobs.NAME) is not None:
        return None
    return begin(settings)[0]
