"""Bodies of the API at a terminal: as JSON for a program, or as lines for a person.

Owns how they look. Refuses to know what they are about.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import typer
from pydantic import BaseModel


def print_json(what: BaseModel | Sequence[BaseModel]) -> int:
    """Print a body or a list of them. Returns the exit code 0."""
    told: Any
    if isinstance(what, BaseModel):
        told = what.model_dump(mode="json")
    else:
        told = [each.model_dump(mode="json") for each in what]
    typer.echo(json.dumps(told, ensure_ascii=False, indent=2))
    return 0


def print_fields(what: BaseModel) -> int:
    """Print a body, a field a line. Returns the exit code 0."""
    told: Mapping[str, Any] = what.model_dump(mode="json")
    width = max(map(len, told))
    for name, value in told.items():
        typer.echo(f"{name:{width}} {_plain(value)}")
    return 0


def _plain(value: Any) -> str:
    if value is None:
        return "-"
    return " ".join(value) if isinstance(value, list) else str(value)
