"""`strayframe incidents`: tables for people, JSON for programs, and what a person says, as over HTTP."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import typer
from pydantic import ValidationError
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from api.commands.opened import opened
from api.commands.tables import ID_SHOWN, minute, table_of
from api.dossier import IncidentBody, IncidentDetail, TriageBody
from api.options import fail
from api.reach import ReachBody, switched_for, table
from api.schemas import Answer
from api.triage import AlertTriage, IncidentTriage
from detector.analysis import duration, phrase
from detector.cause import Suspect
from detector.incident import State
from detector.notification import draft
from detector.reach import Met
from detector.triage import Act, Did, Triage, clocks
from models.records import AlertId, IncidentId
from streams.acting import login
from streams.settings import Settings
from streams.store.audit import Audit
from streams.store.candidates import NothingKept, name_candidate
from streams.store.cases import Cases
from streams.store.queries import IncidentFilter
from streams.store.rows import IncidentSummary
from streams.store.sql import SomebodysHome, SqlStore

SHORTEST: Final = 6
"""Characters that the beginning of an id needs at least to stand for it, `in-` included."""
SHOWN: Final = 20
"""Rows of who saw whom that are printed; --json, --csv and the API have all."""


def show_all(settings: Settings, state: str | None, integration: str | None, limit: int, *, as_json: bool) -> int:
    """Print incidents, latest first."""
    wanted = IncidentFilter(integration, None if state is None else State(state))
    with opened(settings) as store:
        found = store.incidents(wanted, limit=limit).items
        said = Cases(store.database).triages([incident.id for incident in found])
    if as_json:
        return _print([IncidentBody.of(one, said.get(one.id, Triage())) for one in found])
    if not found:
        typer.echo("no incidents")
        return 0
    rows = Table(box=box.SIMPLE, pad_edge=False)
    for heading in ("incident", "leaks from, to (UTC)", "counts"):
        rows.add_column(heading, no_wrap=True)
    rows.add_column("what", overflow="fold", ratio=1)
    for one in found:
        triage = said.get(one.id, Triage())
        whose = triage.assignee or (f"seen by {triage.acknowledged_by}" if triage.acknowledged_by else "nobody's yet")
        rows.add_row(
            f"{one.id[:ID_SHOWN]}\n{_state(one, triage)}\n{escape(whose)}",
            f"{minute(one.first)}\n{minute(one.last)}",
            f"{one.leaks} leaks\n{one.viewers} viewers\n{one.owners} owners",
            escape(f"{one.integration}: {one.analysis.sentence if one.analysis else ''}"),
            end_section=True,
        )
    Console(highlight=False).print(rows)
    return 0


def show_one(settings: Settings, id: str, *, as_json: bool) -> int:
    """Print one incident with its cause and what persons said."""
    with opened(settings) as store:
        cases = Cases(store.database)
        incident = incident_of(store, cases, id)
        triage, now = cases.triage(incident.id), datetime.now(UTC)
        switches = store.suspensions.of_incident(incident.id, incident.integration)
        Audit(store.database).note("evidence.viewed", incident.id, incident.integration)
        if as_json:
            return _print(IncidentDetail.of(incident, cases.met(incident.id), switches, triage, now))
        history = cases.history(incident.id)
    console, analysis = Console(highlight=False), incident.analysis
    console.print(f"[bold]{incident.id}[/bold], {_state(incident, triage)}, {escape(incident.integration)}")
    console.print(
        f"{minute(incident.first)} to {minute(incident.last)} UTC, {incident.leaks} leaks, {incident.shifts} shifts"
    )
    if analysis is not None:
        console.print(f"\n{escape(analysis.sentence)}.\nShape: {analysis.shape.form.value}\n")
        console.print(_suspects(analysis.suspects))
        for change in analysis.changes:
            console.print(f"deployed {minute(change.time)}: {escape(change.component)} {escape(change.version)}")
    for switch in switches:
        told = f"{switch.state.value}{' (shadow)' if switch.shadow else ''} since {minute(switch.since)}"
        console.print(f"{switch.id[:ID_SHOWN]} {escape(str(switch.scope))}: {told}, {switch.share:.0%} may pass")
    for clock in clocks(triage):
        left = clock.left(now)
        told = (
            "runs from the confirmation" if left is None else f"{duration(abs(left))} {'left' if left > 0 else 'over'}"
        )
        console.print(f"{clock.law}: {told}")
    for deed in history:
        console.print(f"{minute(deed.at)} {escape(deed.actor)} {deed.act.did.value} {escape(deed.act.value)}")
    return 0


def say(settings: Settings, id: str, actor: str | None, **said: Any) -> int:
    """Say something of an incident, or of an alert; prints the triage after it."""
    with opened(settings) as store:
        cases = Cases(store.database)
        subject = _the(cases, id)
        kind = AlertTriage if subject.startswith("al-") else IncidentTriage
        try:
            body = kind(actor=actor or login(), **said)
        except ValidationError as error:
            fail("; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()))
        now = datetime.now(UTC)
        with store.database.together():
            acts = [*body.acts(), *_named(store, subject, body, now)]
            after = cases.act(AlertId(subject), acts, body.actor or login(), now)
    typer.echo(f"{subject}: {_told(TriageBody.of(after))}")
    for act in acts:
        if act.did is Did.NAMED:
            typer.echo(f"{act.value} is a placeholder candidate now: `strayframe placeholder list`")
    return 0


def _named(store: SqlStore, subject: str, body: IncidentTriage | AlertTriage, now: datetime) -> list[Act]:
    """The candidate that the picture of a falsely accusing alert becomes, where somebody said so."""
    if not isinstance(body, AlertTriage) or not body.placeholder:
        return []
    found = store.alert(AlertId(subject))
    assert found is not None
    try:
        return [Act(Did.NAMED, name_candidate(store, found.alert, body.actor or login(), now))]
    except (NothingKept, SomebodysHome) as error:
        fail(str(error), 1)


def show_reach(settings: Settings, id: str, csv: Path | None, *, as_json: bool) -> int:
    """Print whom an incident reached, or write it as CSV."""
    with opened(settings) as store:
        cases = Cases(store.database)
        incident = store.incident(incident_of(store, cases, id).id)
        assert incident is not None
        reach = cases.reach(incident)
        what = "reach.viewed" if csv is None else "reach.exported"
        Audit(store.database).note(what, incident.id, incident.integration)
    if csv is not None:
        try:
            csv.write_text(table(reach), newline="")
        except OSError as error:
            fail(f"{error.filename}: {error.strerror}")
    if as_json:
        return _print(ReachBody.of(reach))
    typer.echo(
        f"{len(reach.viewers)} viewers received {reach.stills} stills of {len(reach.owners)} owners"
        f"{f', {reach.unnamed} of nobody who can be named' if reach.unnamed else ''}; {reach.opened} are known to have "
        "been opened."
    )
    if reach.at_most is not None:
        which = (
            "nothing narrower is suspected" if reach.at_most == reach.deliveries else "so many went the suspected path"
        )
        typer.echo(f"At most {reach.at_most} of {reach.deliveries} deliveries: {which}.")
    headings = ("viewer", "saw", "of", "stills", "opened", "first (UTC)", "last (UTC)")
    rows = table_of(headings, map(_met, reach.met[:SHOWN]))
    if len(reach.met) > SHOWN:
        rows.caption = f"and {len(reach.met) - SHOWN} more: --csv FILE, --json"
    Console(highlight=False).print(rows)
    return 0


def show_notification(settings: Settings, id: str) -> int:
    """Print the draft."""
    with opened(settings) as store:
        cases = Cases(store.database)
        incident = store.incident(incident_of(store, cases, id).id)
        assert incident is not None
        triage = cases.triage(incident.id)
        reach, switched = cases.reach(incident), switched_for(store.suspensions, incident)
        Audit(store.database).note("notification.drafted", incident.id, incident.integration)
    typer.echo(draft(incident, reach, triage, clocks(triage), switched, datetime.now(UTC)))
    return 0


def write_rulings(settings: Settings) -> int:
    """Write what persons ruled of scene shifts to standard output; what cannot teach is counted on standard error."""
    from streams.evaluation import rulings  # it brings the engine with it, which no other of these commands needs

    with opened(settings) as store:
        ruled = list(Cases(store.database).ruled())
        found = list(rulings.lines(ruled, store.identity()))
    for line in found:
        typer.echo(json.dumps(line, separators=(",", ":")))
    if left := len(ruled) - len(found):
        typer.echo(f"{left} rulings left out: the scene-shift model had no word on leaks and placeholders", err=True)
    return 0


def _the(cases: Cases, id: str) -> str:
    found = cases.begins(id) if len(id) >= SHORTEST else []
    if not found:
        fail(f"no incident or alert has an id that begins with {id}: give {SHORTEST} characters at least", 1)
    if len(found) > 1:
        fail(f"several ids begin with {id}: give more of it", 1)
    return found[0]


def incident_of(store: SqlStore, cases: Cases, id: str) -> IncidentSummary:
    """The incident of that id, or whose id alone begins so. Ends the command where there is none."""
    found = store.incident_summary(IncidentId(_the(cases, id)))
    if found is None:
        fail(f"{id} is no incident", 1)
    return found


def _met(met: Met) -> list[str]:
    names = (text or "-" for text in (met.viewer, met.camera, met.owner))
    return [*names, str(met.stills), str(met.opened), minute(met.first), minute(met.last)]


def _suspects(suspects: tuple[Suspect, ...]) -> Table:
    headings = ("condition", "of the leaked", "of all", "lift", "interval", "")
    return table_of(headings, map(_suspect, suspects))


def _suspect(each: Suspect) -> list[str]:
    shares = (f"{100 * each.share:.1f} %", f"{100 * each.base:.2f} %", f"{each.lift:.2f}")
    told = "stands out" if each.stands_out else ""
    return [phrase(each.path), *shares, f"{each.low:.2f} to {each.high:.2f}", told]


def _state(incident: IncidentSummary, triage: Triage) -> str:
    state = incident.state.value if incident.stands else "withdrawn"
    return f"{state}, {triage.ruling.value.replace('_', ' ')}" if triage.ruling else state


def _told(triage: TriageBody) -> str:
    said = triage.model_dump(mode="json", exclude_none=True)
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in said.items())


def _print(body: Answer | list[IncidentBody]) -> int:
    said = [each.model_dump(mode="json") for each in body] if isinstance(body, list) else body.model_dump(mode="json")
    typer.echo(json.dumps(said, ensure_ascii=False, indent=2))
    return 0
