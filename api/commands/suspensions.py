"""`strayframe suspensions`, `integrations` and `kill-switch`: persons act on the store; a judge may go on meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from math import isinf
from typing import Final

import typer
from rich.console import Console

from api.commands.incidents import incident_of
from api.commands.opened import opened
from api.commands.shown import print_json
from api.commands.tables import ID_SHOWN, minute, table_of
from api.options import fail
from api.suspension_schemas import ActedBody, IntegrationBody, KillSwitchBody, SuspensionBody, SuspensionDetail
from detector.scope import Scope, SuspensionId, named
from detector.suspension import Do, State, Suspension
from streams.settings import Settings
from streams.store.cases import Cases
from streams.store.suspension_rows import StoredTransition
from streams.store.suspensions import Acted, Asked, Killed, NoneOfThese, NotMoved, Suspensions
from streams.store.words import KILL, MODE, OFF, ON

SHORTEST: Final = 6
"""Characters that the beginning of an id needs at least to stand for it, `su-` included."""
AT_ONCE: Final = 500
"""Rows read at a time."""


def show_all(settings: Settings, state: str | None, integration: str | None, *, armed: bool, as_json: bool) -> int:
    """Print the switches, newest first; those that are armed only where they are asked for."""
    if state is not None and state not in {each.value for each in State}:
        fail(f"--state {state}: the states are {', '.join(State)}")
    wanted = None if state is None else State(state)
    with _switches(settings) as switches:
        found = [s for s in _every(switches, wanted, integration) if armed or wanted or s.state is not State.ARMED]
        of, killed = switches.incidents([each.id for each in found]), _killed(switches)
    if as_json:
        print_json([SuspensionBody.of(each, of[each.id]) for each in found])
        return 0
    if killed:
        typer.echo(killed)
    if not found:
        typer.echo("nothing is suspended, and nothing is proposed")
        return 0
    headings = ("suspension", "state", "may pass", "scope", "since (UTC)", "incident", "waits for")
    Console(highlight=False).print(table_of(headings, (_line(each, of[each.id]) for each in found)))
    return 0


def show_one(settings: Settings, id: str, *, as_json: bool) -> int:
    """Print one switch and its moves, oldest first."""
    with _switches(settings) as switches:
        one = _the(switches, id)
        moves, of = switches.transitions(one.id), switches.incidents([one.id])[one.id]
        killed = _killed(switches)
    if as_json:
        print_json(SuspensionDetail.with_moves(one, of, moves, killed=killed is not None))
        return 0
    if killed:
        typer.echo(killed)
    typer.echo(f"{one.id}: {one.scope}, {one.state.value}, {one.share:.0%} may pass")
    if of:
        typer.echo(f"for {' '.join(of)}")
    if waits := _waits(one):
        typer.echo(f"waits for {waits}")
    for each in moves:
        typer.echo(f"\n{_told(each)}")
    return 0


def act_on_scope(
    settings: Settings,
    action: str,
    integration: str,
    where: Sequence[str],
    by: str,
    why: str,
    *,
    incident: str | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Act on the scope of these attributes, for an incident where one is named."""
    values: dict[str, list[str]] = {}
    for each in where:
        name, equals, value = each.partition("=")
        if not equals:
            fail(f"--where {each}: NAME=VALUE is accepted")
        values.setdefault(name, []).append(value)
    with opened(settings) as store:
        of = None if incident is None else incident_of(store, Cases(store.database), incident).id
        asked = Asked(Do(action), by, why, _now(), incident=of)
        return _act(store.suspensions, named(integration, values), asked, dry_run=dry_run, as_json=as_json)


def act_on_one(settings: Settings, action: str, id: str, by: str, why: str, *, dry_run: bool, as_json: bool) -> int:
    """Act on the suspension of that id, or whose id alone begins so."""
    with _switches(settings) as switches:
        one = _the(switches, id)
        return _act(switches, one.id, Asked(Do(action), by, why, _now()), dry_run=dry_run, as_json=as_json)


def show_integrations(settings: Settings, *, as_json: bool) -> int:
    """Print every integration that was seen, or has a mode."""
    with _switches(settings) as switches:
        found = [IntegrationBody.of(each, settings) for each in switches.integrations()]
        killed = _killed(switches)
    if as_json:
        print_json(found)
        return 0
    if killed:
        typer.echo(killed)
    headings = ("integration", "mode", "warm since (UTC)", "cameras known", "accounts", "first seen (UTC)")
    Console(highlight=False).print(table_of(headings, map(_integration, found)))
    return 0


def set_mode(settings: Settings, name: str, mode: str, by: str, why: str) -> int:
    """Say what the policy may do for an integration."""
    with _switches(settings) as switches:
        switches.say(MODE, name, mode, actor=by, why=why, at=_now())
        killed = _killed(switches)
    typer.echo(f"{name}: {mode}; judges take it up with their next batch")
    if killed:
        typer.echo(killed)
    return 0


def set_kill_switch(settings: Settings, by: str, why: str, *, on: bool) -> int:
    """Stop what acts, or let it go on."""
    with _switches(settings) as switches:
        switches.say(KILL, "", ON if on else OFF, actor=by, why=why, at=_now())
    typer.echo("the kill switch is ON: nothing acts" if on else "the kill switch is off")
    return 0


def show_kill_switch(settings: Settings, *, as_json: bool) -> int:
    """Say how it stands; 1 when it is on."""
    with _switches(settings) as switches:
        word, told = switches.kill_switch(), _killed(switches)
    if as_json:
        print_json(KillSwitchBody.of(word))
    else:
        typer.echo(told or "the kill switch is off")
    return 1 if told else 0


def _act(switches: Suspensions, of: Scope | SuspensionId, asked: Asked, *, dry_run: bool, as_json: bool) -> int:
    try:
        acted = switches.act(of, asked, dry_run=dry_run)
    except (NotMoved, Killed, NoneOfThese) as error:
        fail(str(error), 1)
    assert acted is not None
    if as_json:
        for_ = switches.incidents([acted.suspension.id])[acted.suspension.id]
        print_json(ActedBody.of(acted, for_, dry_run=dry_run, killed=_killed(switches) is not None))
    else:
        _say(acted, dry_run=dry_run, killed=_killed(switches))
    return 0


def _say(acted: Acted, *, dry_run: bool, killed: str | None) -> None:
    now = acted.suspension
    begin = "would be" if dry_run else "is"
    typer.echo(f"{now.id}: {now.scope} {begin} {now.state.value}, {now.share:.0%} may pass")
    if waits := _waits(now):
        typer.echo(f"waits for {waits}")
    if killed:
        typer.echo(killed)


def _waits(one: Suspension) -> str:
    """What has to happen next, in words; empty where it goes on by itself."""
    if one.state is State.PROPOSED:
        return "a person: `strayframe suspensions approve` or `reject`"
    if one.asked is not None and one.approved is None:
        return f"the approval of somebody else than {one.asked}"
    if one.state is State.SUSPENDING and one.quiet is not None and isinf(one.quiet):
        return "a person: too little comes to tell whether it stopped; `strayframe suspensions stopped`"
    if one.state is State.SUSPENDING:
        return "deliveries in its scope to stop"
    if one.state is State.FAILED:
        return "a person: deliveries in its scope go on"
    return ""


def _line(each: Suspension, incidents: Sequence[str]) -> list[str]:
    state = f"{each.state.value} (shadow)" if each.shadow else each.state.value
    of = " ".join(id_[:ID_SHOWN] for id_ in incidents)
    return [each.id[:ID_SHOWN], state, f"{each.share:.0%}", str(each.scope), minute(each.since), of, _waits(each)]


def _integration(each: IntegrationBody) -> list[str]:
    mode = f"{each.mode.value} (default)" if each.default else each.mode.value
    warm = minute(each.warm_at) if each.warm else "warming up: nothing acts"
    return [each.name, mode, warm, f"{each.known} of {each.cameras}", str(each.accounts), minute(each.first_seen)]


def _told(each: StoredTransition) -> str:
    event = each.event
    moved = f"{each.before.value} to {each.after.value}, {each.share:.0%} may pass"
    lines = [
        f"{minute(event.at)} UTC  {event.what.value} by {event.actor.name}: {moved}",
        f"{event.reason}: {event.why}",
    ]
    if event.evidence:
        lines.append(f"on {' '.join(event.evidence)}")
    return "\n    ".join(lines)


def _every(switches: Suspensions, state: State | None, integration: str | None) -> Iterator[Suspension]:
    after: int | None = None
    while True:
        page = switches.page(state, integration, after, AT_ONCE)
        yield from (each.suspension for each in page.items)
        after = page.next
        if after is None:
            return


def _the(switches: Suspensions, id: str) -> Suspension:
    """The suspension of that id, or whose id alone begins so."""
    exact = switches.one(SuspensionId(id))
    if exact is not None:
        return exact
    found = [s for s in _every(switches, None, None) if len(id) >= SHORTEST and s.id.startswith(id)]
    if len(found) != 1:
        fail(f"{'no suspension' if not found else f'{len(found)} suspensions'} of id {id}", 1)
    return found[0]


def _killed(switches: Suspensions) -> str | None:
    word = switches.kill_switch()
    return None if word is None or not word.is_on else f"the kill switch is {word.told(named=True)}"


@contextmanager
def _switches(settings: Settings) -> Iterator[Suspensions]:
    with opened(settings) as store:
        yield store.suspensions


def _now() -> datetime:
    return datetime.now(UTC)
