"""The summary of the demonstration: in plain words and numbers what leaked, who was told, and what stopped it.

Owns the words. Refuses to judge what happened: demo_watch.py does.
"""

from __future__ import annotations

from collections import Counter

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from api.commands.demo_watch import Order, Watch
from detector.incident import Incident
from detector.suspension import State
from models.records import Kind
from streams.simulator.simulate import Simulation

SHOWN = 12
"""Rows of who saw whom that are printed; the API has all."""


def show(console: Console, watch: Watch, simulation: Simulation, seconds: float) -> bool:
    """Print the summary; whether all was as it should be."""
    good = watch.found() and not watch.wrong() and watch.stopped()
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for heading, line in (*_found(watch, seconds), *_stopped(watch, simulation)):
        table.add_row(heading, escape(line))
    title = "the leak was found and stopped, nobody innocent was accused" if good else _failing(watch)
    console.print(Panel(table, title=title, border_style="green" if good else "red", expand=False), highlight=False)
    _who_saw_whom(console, watch)
    for alert in watch.wrong()[:SHOWN]:
        console.print(f"[red]wrongly accused:[/red] {escape(alert.why)}", highlight=False)
    return good


def _failing(watch: Watch) -> str:
    if watch.wrong():
        return "not as it should be: somebody innocent was accused"
    return "not as it should be: the leak was " + ("not stopped" if watch.found() else "missed")


def _found(watch: Watch, seconds: float) -> list[tuple[str, str]]:
    named, told = watch.named(), watch.told()
    shifts = [a for a in watch.alerts.values() if a.kind is Kind.SHIFT and a.delivery not in watch.leaks]
    return [
        ("stills judged", f"{sum(watch.verdicts.values())} in {seconds:.0f} s, drawing them included"),
        ("verdicts", ", ".join(f"{count} {verdict}" for verdict, count in watch.verdicts.items())),
        ("leaks", f"{len(watch.leaks)} stills, {len(told)} told, {len(named)} named with the right owner"),
        ("innocent accused", str(len(watch.wrong()))),
        ("scene shifts", f"{len(shifts)} told on clean deliveries (they name nobody)"),
        *(("incident", _incident_line(each)) for each in watch.incidents.values() if each.stands),
        ("first alert", _delay_line(watch)),
    ]


def _incident_line(incident: Incident) -> str:
    return f"{incident.sentence} ({incident.first:%H:%M} to {incident.last:%H:%M} UTC, {incident.id})"


def _delay_line(watch: Watch) -> str:
    """From the first leak to its alert: by the clock on the wall, and in simulated time."""
    first = next((key for key in watch.leaks if key in watch.told()), None)
    if first is None:
        return "none"
    alert = min((a for a in watch.alerts.values() if a.delivery == first), key=lambda a: watch.stored[a.id])
    wall = watch.stored[alert.id] - watch.handed[first]
    simulated = (alert.raised_at - alert.delivered_at).total_seconds()
    missed = list(watch.leaks).index(first)
    before = f", after {missed} leaks that nothing was said of" if missed else ""
    return f"stored {1000 * wall:.0f} ms after the leaked still came in ({simulated:.0f} s of simulated time){before}"


# --- the switch that throws itself ---------------------------------------------------------------------------


def _stopped(watch: Watch, simulation: Simulation) -> list[tuple[str, str]]:
    """What the policy suspended, and what leaked and went on around it."""
    if not watch.orders:
        return [("suspended", "nothing")]
    links, wide = watch.links, watch.wide
    first = next(iter(watch.orders.values()))
    lines = [("suspended", _order_line(order)) for order in (*links[:1], *wide)]
    if len(links) > 1:
        lines.insert(1, ("", _links_line(links[1:])))
    if watch.proposed:
        lines.append(("proposed", f"{len(watch.proposed)}, left to a person"))
    return [
        *lines,
        ("leaked", _leaked_line(watch)),
        ("held back", f"{simulation.withheld} deliveries; {simulation.spared} would have shown a stranger's home"),
        (
            "went on",
            f"{watch.clean - first.clean} clean deliveries after the first suspension"
            + (f", {watch.clean - wide[-1].clean} after that of the {wide[-1].scope.breadth}" if wide else ""),
        ),
    ]


def _leaked_line(watch: Watch) -> str:
    """How many stills leaked until the first alert, then until the first suspension and the widest, and after it."""
    orders, total = list(watch.orders.values()), len(watch.leaks)
    marks = [("until the first alert", watch.until_alert or 0), ("until the first suspension", orders[0].leaked)]
    if watch.wide and orders[0] is not watch.wide[-1]:
        marks.append((f"until that of the {watch.wide[-1].scope.breadth}", watch.wide[-1].leaked))
    marks.append(("after it", total))
    before, parts = 0, list[str]()
    for words, leaked in marks:
        parts.append(f"{leaked - before} {'more ' if parts and words != 'after it' else ''}{words}")
        before = leaked
    return ", ".join(parts)


def _order_line(order: Order) -> str:
    figures = ", ".join(f"{name} {value}" for name, value in order.numbers.items())
    return f"{order.scope}, at {order.at:%H:%M:%S} by {order.reason} ({figures}). {order.why} {_hook_line(order)}"


def _hook_line(order: Order) -> str:
    done = f"seen to stop at {order.stopped:%H:%M:%S}" if order.stopped else f"it is {order.state}"
    if order.answered is None:
        return f"The hook was not answered; {done}"
    wall = max(0.0, order.answered - order.stored)
    return f"The hook was answered {1000 * wall:.0f} ms after the leak was stored; {done}"


def _links_line(links: list[Order]) -> str:
    """The other accounts' links, in one line."""
    reasons = ", ".join(f"{count} by {reason}" for reason, count in Counter(order.reason for order in links).items())
    done = sum(order.state is State.SUSPENDED for order in links)
    slowest = max((order.answered - order.stored for order in links if order.answered is not None), default=0.0)
    return (
        f"and {len(links)} more account link{'s' if len(links) > 1 else ''} ({reasons}); {done} seen to stop, "
        f"hooks answered within {1000 * max(0.0, slowest):.0f} ms"
    )


def _who_saw_whom(console: Console, watch: Watch) -> None:
    table = Table(box=box.SIMPLE_HEAD, title="Who saw whom", title_justify="left", pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("at (UTC)", "viewer", "saw", "of", "through", "level", "as"):
        table.add_column(heading, no_wrap=True)
    alerts = sorted((a for a in watch.alerts.values() if a.kind is Kind.LEAK), key=lambda a: a.delivered_at)
    for alert in alerts[:SHOWN]:
        truth = watch.leaks.get(alert.delivery)
        path = " ".join(alert.attributes.get(name, "") for name in ("cachenode", "network"))
        kind = truth.kind if truth else "wrong"
        at = f"{alert.delivered_at:%H:%M:%S}"
        table.add_row(at, alert.recipient, alert.owner_camera or "-", alert.owner or "-", path, alert.level, kind)
    if len(alerts) > SHOWN:
        table.caption = f"and {len(alerts) - SHOWN} more in GET /v1/alerts"
    console.print(table)
