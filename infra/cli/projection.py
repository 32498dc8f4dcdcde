"""`fleetlog projection`: the views, as an operator sees them."""

from infra.cli import (
    as_of,
    attest,
    projection_heal,
    projection_rebuild,
    projection_status,
    projection_verify,
    projection_versions,
)
from infra.cli.command import Commands, add_command, add_group


def add(commands: Commands) -> None:
    summary = "list, inspect, rebuild and verify the views"
    actions = add_group(commands, "projection", summary, "fleetlog projection status")
    projection_status.add(actions)
    projection_rebuild.add(actions)
    projection_versions.add(actions)
    projection_verify.add(actions)
    projection_heal.add(actions)
    attest.add_making(actions)
    command = add_command(actions, "as-of", as_of.SUMMARY, "fleetlog projection as-of device_state -2h", as_of.run)
    command.add_argument("view", metavar="NAME", help="name of the view")
    as_of.arguments(command)
