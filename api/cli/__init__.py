"""The command `strayframe`: the list of its commands, and the room in which each one's arguments and help lie.

Owns the list alone, so that `strayframe --help` answers at once: a room is entered when one of its commands is asked
for. What a command does lies in the room that its room here names.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import Any, Final, NamedTuple, cast

import typer
from typer.core import TyperGroup


class Entry(NamedTuple):
    """A command in the list: the module of this package that holds it, and what it does, in its own first words."""

    room: str
    help: str


CONTENTS: Final = {
    "demo": Entry(
        "simulating", "Simulate a leaking camera cloud, catch the leak, stop it by a hook, and show who saw whom."
    ),
    "replay": Entry(
        "judging",
        "Judge a file of events in memory, in order, without network.",
    ),
    "evaluate": Entry(
        "measuring", "Measure the detector on a folder of real stills: replays are made of it, judged and scored."
    ),
    "explain": Entry(
        "judging",
        "Say why one delivery of an event file was judged as it was.",
    ),
    "train": Entry(
        "measuring",
        "Train the scene-shift model on a folder of real stills, and say what it is worth by cross-validation.",
    ),
    "worker": Entry(
        "judging",
        "Judge the stills that arrive on Kafka and store what follows.",
    ),
    "rekey": Entry(
        "judging",
        "Send what arrives on `topic_arrived` on to the topics that workers read, under the keys that belong to it.",
    ),
    "serve": Entry(
        "judging",
        "Serve the HTTP API: alerts out, stills in.",
    ),
    "simulate": Entry(
        "simulating",
        "Play a public incident: events, stills and the truth into a folder (--out), or onto Kafka (--kafka).",
    ),
    "doctor": Entry(
        "checking",
        "Look at store, brokers, topics, clock, index, models, hooks and sinks, and say what is wrong and what to do.",
    ),
    "settings": Entry(
        "checking",
        "List every setting with its value, where the value came from, and its meaning.",
    ),
    "incidents": Entry(
        "incidents",
        "Incidents: see what leaked, why and to whom; say what you make of it.",
    ),
    "suspensions": Entry(
        "suspensions",
        "Delivery paths that are switched off: see, propose, suspend, resume.",
    ),
    "integrations": Entry(
        "suspensions",
        "What the policy may do for each integration, and its warm-up.",
    ),
    "kill-switch": Entry(
        "suspensions",
        "Stop everything that acts, at once, or let it go on.",
    ),
    "hooks": Entry(
        "hooks",
        "Hooks: who is told of what, by signed webhooks, and what came of it.",
    ),
    "users": Entry(
        "access",
        "Persons who may sign in.",
    ),
    "tokens": Entry(
        "access",
        "Tokens of programs: make them, list them, revoke them.",
    ),
    "audit": Entry(
        "access",
        "Who did what: verify the chain of entries, export it.",
    ),
    "sinks": Entry(
        "sinks",
        "Sinks: SIEM, pager and files that are told, and what came of it.",
    ),
    "placeholder": Entry(
        "placeholders",
        'Pictures that anybody may get, such as a vendor\'s "camera is off": see, add, confirm, reject them.',
    ),
    "rights": Entry(
        "store",
        "Owners and grants: import them from a file.",
    ),
    "topics": Entry(
        "kafka",
        "Kafka topics: make them, or say what is wrong with them.",
    ),
    "dlq": Entry(
        "kafka",
        "Dead letters: messages that could not be judged.",
    ),
    "store": Entry(
        "store",
        "The store's schema: bring it up to date, or check it.",
    ),
}


class Commands(Mapping[str, Any]):
    """The commands by name; one is made when it is asked for."""

    def __getitem__(self, name: str) -> Any:
        room = import_module(f"api.cli.{CONTENTS[name].room}").room
        return typer.main.get_group(room).commands[name]

    def __iter__(self) -> Iterator[str]:
        return iter(CONTENTS)

    def __len__(self) -> int:
        return len(CONTENTS)


class Contents(TyperGroup):
    """The list of commands, in plain text: to draw boxes around it would take half of the time in which it answers."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given | {"commands": {}})
        self.commands = cast("MutableMapping[str, Any]", Commands())

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Without a word, the list is shown."""
        return super().parse_args(ctx, args or ["--help"])

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names, in the order of the list."""
        return list(CONTENTS)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write each command's name and first sentence, without entering its room."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in CONTENTS.items()])

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help without rich; each command's own help is drawn with it."""
        self.rich_markup_mode = None
        super().format_help(ctx, formatter)


app = typer.Typer(
    name="strayframe",
    cls=Contents,
    context_settings={"max_content_width": 120},
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


@app.callback()
def strayframe() -> None:
    """A live detector of camera stills that reach the wrong home."""


def main() -> None:
    """Entry point of the console script."""
    # a still's products of matrices are small, and cores are used by processes: threads would cost more than they give
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    app()
