"""`strayframe settings`: every setting, its value, its source, its meaning."""

from __future__ import annotations

import json
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from api.options import fail
from streams.settings import PREFIX, SettingsError, origins


def run(config: Path | None, *, as_json: bool) -> int:
    """Print the settings as a table, or as one JSON object with `value`, `source` and `meaning` by name."""
    try:
        found = origins(file=config)
    except SettingsError as error:
        fail(str(error))
    console = Console()
    if as_json:
        console.print_json(
            json.dumps({o.name: {"value": o.value, "source": o.source, "meaning": o.meaning} for o in found})
        )
        return 0
    table = Table(
        box=box.SIMPLE_HEAD, caption=f"Environment: {PREFIX} and the name in capitals. File: strayframe.toml."
    )
    for heading in ("setting", "value", "source", "meaning"):
        table.add_column(heading, overflow="fold")
    for origin in found:
        table.add_row(*map(escape, (origin.name, origin.value, origin.source, origin.meaning)))
    console.print(table)
    return 0
