"""`strayframe train`: progress, tables and the model file around `streams.evaluation.training`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from api.options import fail
from streams.evaluation import corpus, rehearsal, rulings, training
from streams.evaluation.corpus import CorpusError
from streams.evaluation.labelled import Options
from streams.evaluation.rehearsal import Life, Sample
from streams.evaluation.rulings import BadRulings
from streams.evaluation.training import BINS, Measured, Part, Samples, TrainingError

WIDTH: Final = 132
"""Columns of the tables where there is no terminal to ask."""
DEALT: Final = 0
"""Seed by which cameras are dealt to folds: the same for all lives, so that folds stay apart."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asks for."""

    corpus: Path
    seeds: tuple[int, ...]
    folds: int
    life: Life
    out: Path | None
    json: Path | None
    rulings: Path | None = None


def run(asked: Asked) -> int:
    """Collect samples, compare the forms, print, write; the exit code is 2 when nothing could be learned."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    try:
        found = _ruled(asked) + _samples(asked)
        samples = Samples(found)
        measured, parts = training.measure(samples), training.parts(samples)
        if asked.json is not None:
            figures = {
                "samples": len(found),
                "forms": [asdict(each) for each in measured],
                "parts": [asdict(each) for each in parts],
            }
            asked.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        if asked.out is not None:
            asked.out.write_bytes(training.write(samples))
    except (CorpusError, TrainingError, BadRulings) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}")
    _print(console, asked, found, measured)
    console.print(_parts(parts))
    return 0


def _ruled(asked: Asked) -> list[Sample]:
    """What persons ruled, where a file of it is given: read first, for a bad line is told before the work begins."""
    return [] if asked.rulings is None else rulings.read(asked.rulings, asked.folds)


def _samples(asked: Asked) -> list[Sample]:
    """The samples of every fold, for every seed."""
    parts = rehearsal.deal(corpus.read(asked.corpus), asked.folds, DEALT)
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    found: list[Sample] = []
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        line = progress.add_task("lives", total=len(asked.seeds) * asked.folds)
        for n, seed in enumerate(asked.seeds):
            life = asked.life.again(seed)
            for fold, part in enumerate(parts):
                begun = n * asked.folds + fold

                def tell(done: int, of: int, begun: int = begun) -> None:
                    progress.update(line, completed=begun + done / of)

                found += rehearsal.rehearse(part, fold, life, tell)
    return found


def _print(console: Console, asked: Asked, found: list[Sample], measured: list[Measured]) -> None:
    ruled = sum(sample.group == rulings.GROUP for sample in found)
    foreign = [sample for sample in found if sample.foreign]
    own = [sample for sample in found if not sample.foreign]
    console.print(
        f"{len(found)} novel stills over seeds {', '.join(map(str, asked.seeds))}: {len(foreign)} of strangers "
        f"({len({s.foreign for s in foreign})} cameras, shown by {len({s.camera for s in foreign})}), {len(own)} of "
        f"this place, changed ({len({s.camera for s in own})} cameras). Cross-validated over {asked.folds} folds that "
        "share no camera; both kinds weigh the same."
        + (f" {ruled} of them are rulings of persons, each for {training.RULED:g} stills." if ruled else ""),
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    console.print(_worth(measured))
    console.print(_calibration(measured))
    if asked.out is not None:
        form, given = training.SHIPPED
        console.print(f"{form}, {given}, fitted on all: {asked.out} ({asked.out.stat().st_size} bytes)", soft_wrap=True)


def _worth(measured: list[Measured]) -> Table:
    table = _table("Another place, or this place changed?", "AUC", "interval", "Brier", "caught at 1 % false")
    for each in measured:
        interval = f"{each.low:.4f} to {each.high:.4f}"
        table.add_row(
            each.form, each.given, f"{each.auc:.4f}", interval, f"{each.brier:.4f}", f"{100 * each.caught:.1f} %"
        )
    return table


def _calibration(measured: list[Measured]) -> Table:
    bounds = [f"{low:.1f} to {high:.1f}" for low, high in pairwise(BINS)]
    table = _table("Calibration: share that was another place (stills) where the probability lay between", *bounds)
    for each in measured:
        cells = (f"{each_bin.was:.2f} ({each_bin.count})" if each_bin.count else "-" for each_bin in each.bins)
        table.add_row(each.form, each.given, *cells)
    return table


def _parts(parts: list[Part]) -> Table:
    table = Table(
        title="By source and by kind of still", title_justify="left", title_style="bold", box=None, pad_edge=False
    )
    table.add_column("part", no_wrap=True)
    for column in ("own stills", "above 0.5", "strangers'", "above 0.5", "AUC"):
        table.add_column(column, justify="right", no_wrap=True)
    for each in parts:
        alarmed = f"{100 * each.alarmed:.0f} %" if each.own else "-"
        caught = f"{100 * each.caught:.0f} %" if each.foreign else "-"
        auc = "-" if each.auc is None else f"{each.auc:.3f}"
        table.add_row(each.name, str(each.own), alarmed, str(each.foreign), caught, auc)
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("form", no_wrap=True)
    table.add_column("evidence", no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def life_of(photos: int, controls: int, strangers: int, spoiled: int, per_still: int, min_own: int) -> Life:
    """A fold's life as the command line asks for it."""
    options = Options(photos=photos, controls=controls, per_still=per_still, min_own=min_own)
    return Life(options, strangers, spoiled)
