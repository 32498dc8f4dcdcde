"""Submits one job to a cluster of Flink; runs in PyFlink's environment, without the rest of this project.

    python run.py JOB.json HOST PORT

JOB.json: `configuration`, names and texts; `statements` of SQL, of which the last is the job's INSERT. HOST and PORT are
those of the cluster's REST API. Prints the job's id.
"""

import json
import sys
from pathlib import Path
from typing import Any

from pyflink.common import Configuration
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.java_gateway import get_gateway
from pyflink.table import StreamTableEnvironment


def main(file: str, host: str, port: str) -> None:
    job = json.loads(Path(file).read_text("utf-8"))
    table = StreamTableEnvironment.create(remote(configured(job["configuration"]), host, int(port)))
    for statement in job["statements"][:-1]:
        table.execute_sql(statement)
    submitted = table.execute_sql(job["statements"][-1]).get_job_client()
    print(submitted.get_job_id())


def configured(values: dict[str, str]) -> Any:
    configuration = Configuration()
    for name, text in values.items():
        configuration.set_string(name, text)
    return configuration


def remote(configuration: Any, host: str, port: int) -> Any:
    """An environment that hands its jobs to a cluster.

    By Java's own constructor: PyFlink takes a target only from the command `flink run`, which does not start on a Java
    this new without Hadoop.
    """
    gateway = get_gateway()
    made = gateway.jvm.org.apache.flink.streaming.api.environment.RemoteStreamEnvironment(
        host, port, configuration._j_configuration, gateway.new_array(gateway.jvm.String, 0)
    )
    return StreamExecutionEnvironment(made)


if __name__ == "__main__":
    main(*sys.argv[1:])
