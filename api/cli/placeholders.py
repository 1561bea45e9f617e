"""`strayframe placeholder`: arguments and help of its commands. The work lies in `api.commands.placeholder`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from api.options import takes_settings
from streams.settings import Settings

placeholders = typer.Typer(
    help='Pictures that anybody may get, such as a vendor\'s "camera is off": see, add, confirm, reject them.',
    no_args_is_help=True,
)
room = typer.Typer()
room.add_typer(placeholders, name="placeholder")


Id = Annotated[str, typer.Argument(metavar="ID", help="Its id, or how that begins.")]
By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who says so. Without it, your login name.")]


@placeholders.command("list")
@takes_settings("store")
def list_(
    settings: Settings,
    json: Annotated[bool, typer.Option("--json", help="One JSON array, for programs.")] = False,
) -> None:
    """List the pictures that five or more unrelated accounts got, and those that were named or added."""
    from api.commands.placeholder import show

    raise typer.Exit(show(settings, as_json=json))


@placeholders.command("add")
@takes_settings("store", "still_bytes", "still_pixels")
def add(
    settings: Settings,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="JPEG, PNG or WebP.")],
) -> None:
    """Confirm pictures from files. They are recognised scaled, re-encoded and with another clock text."""
    from api.commands.placeholder import add

    raise typer.Exit(add(settings, files))


@placeholders.command("confirm")
@takes_settings("store")
def confirm(settings: Settings, id: Id, by: By = None) -> None:
    """Say that a candidate shows nobody's home: it accuses nobody from now on, and its alerts are withdrawn."""
    from api.commands.placeholder import confirm

    raise typer.Exit(confirm(settings, id, by))


@placeholders.command("reject")
@takes_settings("store")
def reject(settings: Settings, id: Id, by: By = None) -> None:
    """Say that a candidate is somebody's home: it is judged like any other still."""
    from api.commands.placeholder import reject

    raise typer.Exit(reject(settings, id, by))


@placeholders.command("remove")
@takes_settings("store")
def remove(settings: Settings, id: Id) -> None:
    """Forget a placeholder and what was said of it; it may become a candidate again."""
    from api.commands.placeholder import remove

    raise typer.Exit(remove(settings, id))
