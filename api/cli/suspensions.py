"""`strayframe suspensions`, `integrations` and `kill-switch`: arguments and help of their commands.

Owns what a person types. The work lies in api/commands/suspensions.py, imported when a command runs.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from api.options import takes_settings
from streams.settings import Settings

suspensions = typer.Typer(
    help="Delivery paths that are switched off: see, propose, suspend, resume.", no_args_is_help=True
)
integrations = typer.Typer(help="What the policy may do for each integration, and its warm-up.", no_args_is_help=True)
kill_switch = typer.Typer(help="Stop everything that acts, at once, or let it go on.", no_args_is_help=True)
room = typer.Typer()
room.add_typer(suspensions, name="suspensions")
room.add_typer(integrations, name="integrations")
room.add_typer(kill_switch, name="kill-switch")


class ModeName(StrEnum):
    """`detector.policy.Mode` by name: that module is too heavy for `--help`."""

    off = "off"
    shadow = "shadow"
    propose = "propose"
    auto = "auto"


def _said(text: str) -> str:
    if not text.strip():
        raise typer.BadParameter("says nothing")
    return text


By = Annotated[
    str, typer.Option("--by", metavar="NAME", help="Who you are. It is kept with what you do.", callback=_said)
]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="Why, for whoever reads it later.", callback=_said)]
Id = Annotated[str, typer.Argument(metavar="ID", help="Its id, or how that begins.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen; keep nothing, tell nobody.")]
Json = Annotated[bool, typer.Option("--json", help="JSON, for programs.")]
Scoped = Annotated[str, typer.Option("--integration", metavar="NAME", help="The integration that it belongs to.")]
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="NAME=VALUE",
        help="account, cachenode (again for each of several), release, surface, or two attributes. None: all of it.",
    ),
]
ForIncident = Annotated[
    str | None,
    typer.Option("--incident", metavar="ID", help="The incident that it is for: its leaks in the scope are evidence."),
]


@suspensions.command("list")
@takes_settings("store")
def list_(
    settings: Settings,
    state: Annotated[str | None, typer.Option(help="Only those in this state.")] = None,
    integration: Annotated[str | None, typer.Option(help="Only those of this integration.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Those that are armed again, too.")] = False,
    json: Json = False,
) -> None:
    """List suspensions, newest first, with what is proposed."""
    from api.commands.suspensions import show_all

    raise typer.Exit(show_all(settings, state, integration, armed=all_, as_json=json))


@suspensions.command("show")
@takes_settings("store")
def show(settings: Settings, id: Id, json: Json = False) -> None:
    """Show one suspension with every move: who, when, why, on what evidence."""
    from api.commands.suspensions import show_one

    raise typer.Exit(show_one(settings, id, as_json=json))


def _on_scope(action: str, says: str) -> None:
    """A command that acts on a scope, whether or not it was ever touched."""

    @takes_settings("store")
    def command(
        settings: Settings,
        by: By,
        why: Why,
        integration: Scoped,
        where: Where = None,
        incident: ForIncident = None,
        dry_run: DryRun = False,
        json: Json = False,
    ) -> None:
        from api.commands.suspensions import act_on_scope

        code = act_on_scope(
            settings, action, integration, where or [], by, why, incident=incident, dry_run=dry_run, as_json=json
        )
        raise typer.Exit(code)

    suspensions.command(action, help=says)(command)


def _on_one(action: str, says: str) -> None:
    """A command that acts on a suspension by its id."""

    @takes_settings("store")
    def command(settings: Settings, id: Id, by: By, why: Why, dry_run: DryRun = False, json: Json = False) -> None:
        from api.commands.suspensions import act_on_one

        raise typer.Exit(act_on_one(settings, action, id, by, why, dry_run=dry_run, as_json=json))

    suspensions.command(action, help=says)(command)


_on_scope("propose", "Propose to suspend a scope. Exit code 1: it cannot be done as things stand.")
_on_scope("suspend", "Suspend a scope: one person is enough. Exit code 1: it cannot be done as things stand.")
_on_scope("force", "Hold a scope off, whatever is seen, until persons resume it.")
_on_one("approve", "Approve a proposal, or a resumption that somebody else asked for.")
_on_one("reject", "Reject a proposal: what was delivered until now does not propose it again.")
_on_one("stopped", "Say that it stopped, where too little comes for silence to tell.")
_on_one("resume", "Ask to resume it: a link is probed at once, anything wider waits for another person's approval.")
_on_one("probe", "Probe it: deliveries are fetched and judged, and shown to nobody.")
_on_one("ramp", "Let the next share pass: 1, 10, 50, 100 %; behind the last one it is lifted.")


@integrations.command("list")
@takes_settings("store", "policy_mode", "warm_up_cameras", "warm_up_share")
def list_integrations(settings: Settings, json: Json = False) -> None:
    """List integrations: their mode, and how far each is warm."""
    from api.commands.suspensions import show_integrations

    raise typer.Exit(show_integrations(settings, as_json=json))


@integrations.command("mode")
@takes_settings("store")
def mode(
    settings: Settings,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The integration.")],
    mode: Annotated[ModeName, typer.Argument(help="off, shadow (note what it would do), propose, or auto (act).")],
    by: By,
    why: Why,
) -> None:
    """Say what the policy may do for an integration. What is suspended stays so."""
    from api.commands.suspensions import set_mode

    raise typer.Exit(set_mode(settings, name, mode.value, by, why))


@kill_switch.command("on")
@takes_settings("store")
def on(settings: Settings, by: By, why: Why) -> None:
    """Stop everything that acts, at once. Alerts and proposals go on; what is suspended stays so."""
    from api.commands.suspensions import set_kill_switch

    raise typer.Exit(set_kill_switch(settings, by, why, on=True))


@kill_switch.command("off")
@takes_settings("store")
def off(settings: Settings, by: By, why: Why) -> None:
    """Let what acts go on."""
    from api.commands.suspensions import set_kill_switch

    raise typer.Exit(set_kill_switch(settings, by, why, on=False))


@kill_switch.command("show")
@takes_settings("store")
def show_switch(settings: Settings, json: Json = False) -> None:
    """Say whether it is on, since when, and who said so. Exit code 1: it is on."""
    from api.commands.suspensions import show_kill_switch

    raise typer.Exit(show_kill_switch(settings, as_json=json))
