"""`strayframe explain`: progress, tables, JSON and the picture around `streams.explain`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from api.commands.replay import DIGEST_KEY
from api.options import fail
from detector.engine import Engine
from detector.explanation import Explanation, Near
from models.records import Numbers, Verdict
from streams import picture
from streams.claims import folder_fetch
from streams.decode import Decoder
from streams.explain import Explained, as_json, quality
from streams.explain import run as replayed
from streams.find import NotExplained, find
from streams.judge import Judge
from streams.metrics import Metrics
from streams.placeholder import NotAPlaceholder, shelf_of
from streams.replay import Line
from streams.settings import Settings

PRESUMED: Final = "*"
"""Marks an owner whom no enrolment names."""
NO_RIGHT: Final = "no-right"
"""The engine's rule for a viewer who asked for somebody else's camera by its own name."""
WIDTH: Final = 180
"""Columns of the tables where there is no terminal to ask."""


def run(
    settings: Settings,
    events: Path,
    id: str,
    source: str | None,
    drawing: Path | None,
    *,
    placeholders: Sequence[Path] = (),
    stop: bool = False,
    as_object: bool = False,
) -> int:
    """Explain one delivery on standard output; ends with exit code 2 and one sentence when that cannot be done."""
    limits = (settings.still_bytes, settings.still_pixels)
    decode = Decoder(DIGEST_KEY, *limits)
    fetch = folder_fetch(events.parent, settings.still_bytes)
    judge = Judge(Engine(), decode, Metrics(), fetch=fetch)
    try:
        judge.engine.shelve(shelf_of(placeholders, decode))
        key = find(events, id, source)
        with _bar(events.stat().st_size) as tell:
            explained = replayed(events, judge, decode, fetch, key, stop=stop, progress=tell)
        if drawing is not None:
            drawing.write_bytes(picture.save_png(explained))
    except (NotExplained, NotAPlaceholder) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}")
    if as_object:
        typer.echo(json.dumps(as_json(explained), ensure_ascii=False, indent=1))
    else:
        _Printer().all(explained)
    return 0


class _Bar:
    def __init__(self, progress: Progress, size: int) -> None:
        self._progress = progress
        self._task = progress.add_task("judging what came before", total=size)

    def __call__(self, line: Line, passed: bool) -> None:
        phase = "following what came of it" if passed else "judging what came before"
        self._progress.update(self._task, completed=line.end, description=phase)


@contextmanager
def _bar(size: int) -> Iterator[_Bar]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        yield _Bar(progress, size)


class _Printer:
    """The explanation for people."""

    def __init__(self) -> None:
        console = Console(highlight=False)
        self._console = console if console.is_terminal else Console(width=WIDTH, highlight=False)

    def all(self, explained: Explained) -> None:
        """Everything, in the order in which the engine asks."""
        found = explained.found
        self._facts(explained)
        self._nears("The camera's own scenes, best first", found.own, own=True)
        self._nears(f"Nearest scenes of other cameras ({PRESUMED} presumed owner)", found.foreign, own=False)
        self._copies(found)
        self._card(found)
        if explained.judgement.verdict in (Verdict.SHIFT, Verdict.UNJUDGED) and any(n.counts for n in found.foreign):
            self._say(f"A scene names an owner, and rule {explained.judgement.rule} set that aside.")
        self._checks(explained)
        self._later(explained)
        for alert in explained.standing:
            self._say(f"{alert.why}")

    def _facts(self, explained: Explained) -> None:
        found, said = explained.found, explained.judgement
        d = found.delivery
        table = Table.grid(padding=(0, 2))
        rows = [
            ("delivery", f"{d.key.id} (source {d.key.source}), line {explained.line}, {d.time:%Y-%m-%d %H:%M:%S} UTC"),
            ("to", f"{d.account}, as camera {d.camera}"),
            ("verdict", f"{said.verdict.value} by rule {said.rule}"),
            ("numbers", _numbers(said.numbers)),
            ("rights", _rights(found)),
            ("still", _still(explained)),
            ("camera before", _camera(found)),
            ("its own history", _own(explained)),
        ]
        for name, value in rows:
            table.add_row(f"[bold]{name}[/bold]", escape(value))
        self._console.print(table)

    def _nears(self, title: str, nears: tuple[Near, ...], *, own: bool) -> None:
        if not nears:
            return
        table = _table(title)
        heads = ["scene" if own else "camera", "standing", "seen", "differ", "bits", "score", "blocks", "placing"]
        for head in heads:
            right = head in ("seen", "differ", "bits", "score", "blocks")
            table.add_column(head, justify="right" if right else "left", overflow="fold", no_wrap=right)
        if not own:
            table.add_column("owner")
            table.add_column("may see", justify="center")
        table.add_column("what of it")
        for near in nears:
            a = near.agreement
            cells = [
                near.scene[:15] if own else near.camera,
                near.standing.value,
                str(near.seen),
                f"{100 * near.distance:.1f} %",
                str(near.common),
                f"{a.score:.2f}",
                f"{a.blocks}/{a.textured}",
                near.placing,
            ]
            if not own:
                cells += [_owner(near), "yes" if near.may_see else "no"]
            table.add_row(*(escape(cell) for cell in (*cells, near.note)), style="bold" if near.counts else "")
        self._console.print(table)

    def _card(self, found: Explanation) -> None:
        if found.card is not None:
            a = found.card.agreement
            self._say(
                f"It shows the placeholder {found.card.delivery.id}, {found.card.placing}: score {a.score:.2f}, "
                f"{a.blocks} of {a.textured} blocks agree."
            )

    def _copies(self, found: Explanation) -> None:
        for copy in found.copies:
            what = "The same bytes" if copy.whole else "The same first bytes"
            self._say(f"{what} were delivered to {copy.account} as camera {copy.camera} ({copy.delivery.id}).")

    def _checks(self, explained: Explained) -> None:
        if not explained.checks:
            return
        table = _table("Held against")
        for head in ("step", "what", "value", "needed", "threshold", ""):
            table.add_column(head, justify="right" if head in ("value", "needed") else "left")
        last = ""
        for check in explained.checks:
            sign = "at most" if check.at_most else "at least"
            needed = "nothing would do" if check.needed is None else f"{sign} {check.needed:g}"
            cells = (
                check.step.value if check.step.value != last else "",
                check.what,
                f"{check.value:.3g}",
                needed,
                check.threshold,
                "met" if check.met else "not met",
            )
            last = check.step.value
            table.add_row(*(escape(cell) for cell in cells))
        self._console.print(table)

    def _later(self, explained: Explained) -> None:
        table = _table("What became of it" if explained.read_to_end else "What became of it at that moment")
        for head in ("time", "while judging", "what"):
            table.add_column(head)
        for later in explained.later:
            by = "" if later.by is None else later.by.id
            table.add_row(f"{later.time:%Y-%m-%d %H:%M:%S}", escape(by), escape(later.what))
        for alert in explained.judgement.alerts:
            if alert.delivery != explained.found.delivery.key:
                whose = f"said of delivery {alert.delivery.id}: {alert.kind.value}, rule {alert.rule}"
                table.add_row(f"{alert.raised_at:%Y-%m-%d %H:%M:%S}", "itself", escape(whose))
        if table.row_count:
            self._console.print(table)
        else:
            self._say("Nothing came of it: no alert, and no scene of its own was kept.")

    def _say(self, sentence: str) -> None:
        self._console.print(escape(sentence), soft_wrap=True)


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))


def _numbers(numbers: Numbers) -> str:
    return ", ".join(f"{name} {value}" for name, value in numbers.items()) or "none"


def _rights(found: Explanation) -> str:
    if found.owner is None:
        whose = "nobody is known to own it yet" if found.presumed else "it has no owner any more"
    else:
        whose = f"{found.owner} {'is presumed to own' if found.presumed else 'owns'} it"
    if found.may_see:
        return f"{whose}; the viewer may see it, and {found.siblings} other cameras"
    if found.owner is None and found.presumed:
        return f"{whose}: the viewer becomes its presumed owner"
    return f"{whose}; the viewer may not see it"


def _still(explained: Explained) -> str:
    found = explained.found
    print_ = found.still.fingerprint
    size = f"{len(explained.data)} bytes, {'complete' if found.still.complete else 'cut off'}"
    if print_ is None:
        noise = "with a sensor's noise" if found.still.noisy else "without a sensor's noise"
        return f"{size}; {found.still.reason}; {noise}"
    return (
        f"{size}; {100 * print_.valid:.0f} % valid, texture in {print_.textured} of 64 blocks, "
        f"{found.reliable} of 512 bits reliable (quality {quality(found):.2f})"
    )


def _camera(found: Explanation) -> str:
    c = found.camera
    if c.first_seen is None:
        return "never seen"
    heir = f", goes on with the scenes of {c.heir_of}" if c.heir_of else ""
    return (
        f"{c.stills} stills, {c.scenes} scenes, {c.confirmed} of them confirmed, {c.waiting} held, "
        f"{c.moves} moves of its view{heir}"
    )


def _own(explained: Explained) -> str:
    found = explained.found
    if not found.may_see and explained.judgement.rule == NO_RIGHT:
        return f"not asked: rights decided. It {'would explain' if found.own_rule else 'would not explain'} the still"
    if found.still.fingerprint is None:
        return "not asked: there is nothing to compare"
    if found.own_rule:
        return f"explains it by {found.own_rule}, score {found.own_score:.2f}"
    return f"does not explain it, best score {found.own_score:.2f}" if found.own else "is empty"


def _owner(near: Near) -> str:
    return f"{near.owner or 'nobody known'}{PRESUMED if near.presumed and near.owner else ''}"
