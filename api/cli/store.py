"""`strayframe store` and `strayframe rights`: arguments and help. The work lies in `api.commands`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from api.options import takes_settings
from streams.settings import Settings

rights = typer.Typer(help="Owners and grants: import them from a file.", no_args_is_help=True)
store = typer.Typer(help="The store's schema: bring it up to date, or check it.", no_args_is_help=True)
room = typer.Typer()
room.add_typer(rights, name="rights")
room.add_typer(store, name="store")


@rights.command("import")
@takes_settings("store", "kafka", "topic_rights", "lease_seconds")
def rights_import(
    settings: Settings,
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="Columns camera, account, action, time.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and check the file, change nothing.")] = False,
    as_of: Annotated[str | None, typer.Option(help="Time of rows that carry none, RFC 3339.")] = None,
) -> None:
    """Import owners and grants: action is enrol (default), release, grant or revoke.

    With --kafka the rows are produced to the topic of rights; without, they go to the store, which no running judge
    may hold. Exit code 1: some rows were bad, and nothing was imported.
    """
    from api.commands.rights import run

    raise typer.Exit(run(settings, file, dry_run=dry_run, as_of=as_of))


@store.command("upgrade")
@takes_settings("store")
def store_upgrade(settings: Settings) -> None:
    """Bring the store's schema up to date. `worker` and `serve` do so by themselves at their start."""
    from api.commands.store import upgrade

    raise typer.Exit(upgrade(settings))


@store.command("check")
@takes_settings("store")
def store_check(settings: Settings) -> None:
    """Say whether the store answers, its schema is current, and who judges for it."""
    from api.commands.store import check

    raise typer.Exit(check(settings))
