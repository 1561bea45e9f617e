"""`strayframe hooks`: arguments and help of its commands. The work lies in `api.commands.hooks` and `.listen`."""

from __future__ import annotations

from typing import Annotated

import typer

from api.options import takes_settings
from streams.settings import Settings

hooks = typer.Typer(help="Hooks: who is told of what, by signed webhooks, and what came of it.", no_args_is_help=True)
room = typer.Typer()
room.add_typer(hooks, name="hooks")


@hooks.command("add")
@takes_settings("store", "hook_networks")
def add(
    settings: Settings,
    url: Annotated[str, typer.Argument(metavar="URL", help="Where notices are posted, https.")],
    integration: Annotated[str | None, typer.Option(help="Only notices of this integration.")] = None,
    event: Annotated[list[str] | None, typer.Option(help="Only this type; may be given again.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Log what would be sent, and send nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
) -> None:
    """Make a hook and print its secret, this once. It is told of what is stored from now on."""
    from api.commands.hooks import add

    raise typer.Exit(add(settings, url, integration, event or [], dry_run=dry_run, as_json=json))


@hooks.command("list")
@takes_settings("store")
def list_(
    settings: Settings, json: Annotated[bool, typer.Option("--json", help="One JSON array, for programs.")] = False
) -> None:
    """List all hooks, those that are disabled too, newest first."""
    from api.commands.hooks import show_all

    raise typer.Exit(show_all(settings, as_json=json))


@hooks.command("show")
@takes_settings("store")
def show(
    settings: Settings,
    id: Annotated[str, typer.Argument(metavar="ID", help="The hook's id.")],
    json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
) -> None:
    """Show one hook, without its secret, which nobody can see again."""
    from api.commands.hooks import show

    raise typer.Exit(show(settings, id, as_json=json))


@hooks.command("test")
@takes_settings("store", "hook_networks")
def try_out(
    settings: Settings,
    id: Annotated[str, typer.Argument(metavar="ID", help="The hook's id.")],
    json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
) -> None:
    """Post a notice that says it is a test, now, and print what came back. Exit code 1: it was not taken."""
    from api.commands.hooks import test

    raise typer.Exit(test(settings, id, as_json=json))


@hooks.command("rotate")
@takes_settings("store")
def rotate(
    settings: Settings,
    id: Annotated[str, typer.Argument(metavar="ID", help="The hook's id.")],
    keep_hours: Annotated[
        float, typer.Option(help="Hours that the present secret holds beside; 0 where it leaked.", min=0, max=168)
    ] = 24.0,
    json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
) -> None:
    """Give a hook a new secret and print it, this once. Calls are signed with both for a while."""
    from api.commands.hooks import rotate

    raise typer.Exit(rotate(settings, id, keep_hours, as_json=json))


@hooks.command("disable")
@takes_settings("store")
def disable(settings: Settings, id: Annotated[str, typer.Argument(metavar="ID", help="The hook's id.")]) -> None:
    """Send a hook nothing any more, and stop what waits; its deliveries stay to be seen."""
    from api.commands.hooks import change

    raise typer.Exit(change(settings, id, {"enabled": False}, "disabled"))


@hooks.command("enable")
@takes_settings("store")
def enable(settings: Settings, id: Annotated[str, typer.Argument(metavar="ID", help="The hook's id.")]) -> None:
    """Send to a hook again that was disabled, by hand or by a 410 of its receiver. What was stopped stays so."""
    from api.commands.hooks import change

    raise typer.Exit(change(settings, id, {"enabled": True}, "enabled"))


@hooks.command("remove")
@takes_settings("store")
def remove(settings: Settings, id: Annotated[str, typer.Argument(metavar="ID", help="The hook's id.")]) -> None:
    """Forget a hook, and what is known of its deliveries. To keep that, disable it instead."""
    from api.commands.hooks import remove

    raise typer.Exit(remove(settings, id))


@hooks.command("deliveries")
@takes_settings("store")
def deliveries(
    settings: Settings,
    id: Annotated[str, typer.Argument(metavar="ID", help="The hook's id.")],
    state: Annotated[str | None, typer.Option(help="waiting, delivered, dry_run, failed or stopped.")] = None,
    limit: Annotated[int, typer.Option(help="Deliveries shown, at most.", min=1)] = 20,
    json: Annotated[bool, typer.Option("--json", help="One JSON array, for programs.")] = False,
) -> None:
    """List what was, is or would be sent to a hook, newest first, with what came back."""
    from api.commands.calls import state_of
    from api.commands.hooks import deliveries

    raise typer.Exit(deliveries(settings, id, state_of(state), limit, as_json=json))


@hooks.command("replay")
@takes_settings("store")
def replay(
    settings: Settings,
    id: Annotated[str, typer.Argument(metavar="ID", help="The hook's id.")],
    delivery: Annotated[str, typer.Argument(metavar="DELIVERY", help="The delivery's id, as `deliveries` shows it.")],
) -> None:
    """Have a notice sent again under its old `webhook-id`, by the `serve` or `worker` that runs."""
    from api.commands.hooks import replay

    raise typer.Exit(replay(settings, id, delivery))


@hooks.command("listen")
def listen(
    secret: Annotated[str, typer.Option(help="The hook's secret, whsec_...")],
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes any.", min=0, max=65535)] = 8322,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Receive webhooks, verify their signatures and print them: to see what arrives before you write a receiver.

    A hook reaches this machine only where `hook_networks` names it: `strayframe serve --hook-networks 127.0.0.1/32`.
    """
    from api.commands.listen import run

    raise typer.Exit(run(host, port, secret))
