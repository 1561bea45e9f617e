"""What was, is or would be sent to a hook or a sink, at a terminal.

Owns the table of calls and what is said of one that was made or is made again by hand. Refuses to make one.
"""

from __future__ import annotations

from collections.abc import Sequence

import typer
from rich.console import Console

from api.commands.shown import print_json
from api.commands.tables import minute, table_of
from api.hook_bodies import CallBody
from api.options import fail
from streams.outbox.call import Attempt, Result, State
from streams.store.hooks import Logged

TAKEN = (Result.DELIVERED, Result.DRY_RUN)


def show_calls(calls: Sequence[Logged], *, killed: bool, as_json: bool) -> int:
    """Print calls, as they are given. Returns the exit code 0."""
    if as_json:
        return print_json([CallBody.of(call, killed=killed) for call in calls])
    headings = ("id", "type", "happened (UTC)", "state", "tries", "last")
    Console(highlight=False).print(table_of(headings, (_line(call, killed=killed) for call in calls)))
    return 0


def show_attempt(place: str, call: Logged, attempt: Attempt, *, as_json: bool) -> int:
    """Print what came of an attempt by hand. Returns the exit code: 1 when it was not taken."""
    if as_json:
        print_json(CallBody.of(call, killed=False))
    else:
        typer.echo(f"{place}: {attempt.outcome.whole} ({attempt.seconds:.2f} s)")
    return 0 if attempt.outcome.result in TAKEN else 1


def show_replay(to: str, delivery: str, *, found: bool) -> int:
    """Say that a notice is sent again. Ends the command when there is no such one."""
    if not found:
        fail(f"nothing was sent to {to} under the id {delivery}", 1)
    typer.echo(f"{delivery} is sent again while `strayframe serve` or `worker` runs")
    return 0


def state_of(text: str | None) -> State | None:
    """The state that somebody typed. Ends the command when there is no such one."""
    if text is None:
        return None
    try:
        return State(text)
    except ValueError:
        fail(f"there is no state {text!r}; there are {', '.join(State)}")


def _line(call: Logged, *, killed: bool) -> list[str]:
    """A call as a line of a table; what asks to act is held where somebody threw the kill switch."""
    notice = call.notice
    held = killed and notice.acts and call.state is State.WAITING
    state = "held by the kill switch" if held else call.state.value
    last = call.attempts[-1].outcome.detail if call.attempts else ""
    return [call.id, notice.type, minute(notice.at), state, str(len(call.attempts)), last]
