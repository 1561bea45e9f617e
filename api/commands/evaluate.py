"""`strayframe evaluate`: progress, tables, files and the exit code around `streams.evaluation.evaluate`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from api.gallery import GalleryError, refuse_checkout, write_page
from api.options import fail
from streams.evaluation import bars
from streams.evaluation.corpus import CorpusError
from streams.evaluation.damage import EVERYDAY, FURTHER, HELD, KINDS, TUNED
from streams.evaluation.damage import witness as sift
from streams.evaluation.evaluate import DamageTask, Fared, Findings, ReplayTask, Step, run_all, split
from streams.evaluation.labelled import Options
from streams.evaluation.score import NAMELESS, Score, Share, pooled
from streams.settings import Settings

WIDTH: Final = 132
"""Columns of the tables where there is no terminal to ask."""
PHOTOS_TRIED: Final = 200
"""Photographs that stand for cameras while damages are tried, at most."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asks for."""

    corpus: Path
    seeds: tuple[int, ...]
    options: Options
    replays: bool
    damages: bool
    each: int
    processes: int
    cache: Path | None
    out: Path | None
    json: Path | None
    require: Path | None


def run(settings: Settings, asked: Asked) -> int:
    """Evaluate and print; the exit code is 1 when a bar of `--require` is not reached, 2 when nothing could be done."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    try:
        required = bars.read(asked.require) if asked.require else {}
        if asked.out is not None:
            refuse_checkout(asked.out)
        with _folder(asked.cache) as folder:
            findings = _findings(settings, asked, folder)
            figures = _figures(findings)
            if asked.json is not None:
                asked.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
            if asked.out is not None:
                shown = write_page(asked.out, findings, figures)
                console.print(f"{shown} faults with pictures: {asked.out / 'index.html'}", soft_wrap=True)
    except (CorpusError, GalleryError, bars.BarsError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}")
    total = pooled(scored.score for scored in findings.scored)
    _print(console, findings, total)
    missed = bars.short(required, bars.Found(total, [fared.tried for fared in findings.damages]))
    for sentence in missed:
        console.print(f"[red]{sentence}[/red]", highlight=False)
    return 1 if missed else 0


def seeds_of(text: str) -> tuple[int, ...]:
    """The seeds in "1,2,3", each once. Ends the command for anything else."""
    try:
        seeds = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        fail(f"--seeds {text!r}: whole numbers with commas between them are accepted, as in 1,2,3")
    return seeds


def _findings(settings: Settings, asked: Asked, folder: Path) -> Findings:
    limits = (settings.still_bytes, settings.still_pixels)
    replays = [
        ReplayTask(asked.corpus, _with_seed(asked.options, seed), folder, *limits)
        for seed in asked.seeds
        if asked.replays
    ]
    parts = split([*EVERYDAY, *FURTHER], asked.processes) if asked.damages else []
    photos = min(PHOTOS_TRIED, asked.options.photos)
    damages = [
        DamageTask(asked.corpus, part, photos, asked.each, asked.seeds[0], f"damages {n}")
        for n, part in enumerate(parts, 1)
    ]
    with _progress() as tell:
        results = run_all([*replays, *damages], asked.processes, tell)
    order = list(KINDS)
    fared = [each for part in results[len(replays) :] for each in part]
    return Findings(results[: len(replays)], sorted(fared, key=lambda each: order.index(each.tried.kind)))


def _with_seed(options: Options, seed: int) -> Options:
    return replace(options, seed=seed)


@contextmanager
def _folder(cache: Path | None) -> Iterator[Path]:
    """Where replays are made: the cache, or a folder that is gone afterwards."""
    if cache is not None:
        cache.mkdir(parents=True, exist_ok=True)
        yield cache
        return
    with tempfile.TemporaryDirectory(prefix="strayframe-") as name:
        yield Path(name)


class _Bars:
    """One line of progress for each task, made when the task first tells."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._lines: dict[str, TaskID] = {}

    def __call__(self, step: Step) -> None:
        line = self._lines.get(step.label)
        if line is None:
            line = self._lines[step.label] = self._progress.add_task(step.label, phase=step.phase)
        self._progress.update(line, completed=step.done, total=step.total, phase=step.phase)


@contextmanager
def _progress() -> Iterator[_Bars]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}: {task.fields[phase]}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as progress:
        yield _Bars(progress)


def _figures(findings: Findings) -> dict[str, Any]:
    """All figures for programs: pooled, by seed, and the damages."""
    total = pooled(scored.score for scored in findings.scored)
    return {
        "pooled": {**total.as_json(), "cases": len(total.cases)},
        "seeds": {scored.seed: {**scored.score.as_json(), "seconds": scored.seconds} for scored in findings.scored},
        "damages": [_damage(fared) for fared in findings.damages],
    }


def _damage(fared: Fared) -> dict[str, Any]:
    tried, kind = fared.tried, KINDS[fared.tried.kind]
    low, high = Share(tried.named, tried.trials).interval
    return {
        "kind": kind.name, "stage": kind.stage.value, "held": kind.held, "trials": tried.trials, "named": tried.named,
        "low": low, "high": high, "told": tried.told, "misnamed": tried.misnamed, "false_leaks": tried.false_leaks,
        "own_shifts": tried.own_shifts, "missed_by": dict(tried.missed_by), "inliers": fared.inliers,
    }  # fmt: skip


def _print(console: Console, findings: Findings, total: Score) -> None:
    if findings.scored:
        seconds = sum(scored.seconds for scored in findings.scored)
        seeds = ", ".join(str(scored.seed) for scored in findings.scored)
        console.print(
            f"{total.deliveries} deliveries over seeds {seeds}, judged in {seconds:.0f} s: "
            f"{total.leaks.total()} leaked, {total.clean.total()} clean, {total.without_verdict} without a verdict. "
            "Intervals: 95 %.",
            highlight=False,
            soft_wrap=True,
        )
        console.print(_by_kind(total))
        console.print(_by_group(total))
        console.print(_by_control(total))
        console.print(_overall(total))
    for title, kinds in (("everyday", EVERYDAY), ("further, tuned", TUNED), ("further, held apart", HELD)):
        fared = [each for each in findings.damages if each.tried.kind in kinds]
        if fared:
            console.print(_damage_table(f"Damages: {title}", fared))
    if findings.damages and not sift.present():
        console.print(sift.ABSENT, soft_wrap=True)


def _table(title: str, first: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _by_kind(total: Score) -> Table:
    table = _table("Leaks by kind", "kind", "leaks", "named", "told", "at the acting level")
    named, heard, acting = (total.of_kind(counted) for counted in (total.named, total.told, total.acting))
    for kind, share in named.items():
        nameless = kind == NAMELESS
        cells = ("-" if nameless else _short(share), _short(heard[kind]), "-" if nameless else _short(acting[kind]))
        table.add_row(kind, str(share.of), *cells)
    every = [total.of_all(counted) for counted in (total.named, total.told, total.acting)]
    table.add_row("all", str(total.leaks.total()), *(_short(share) for share in every), style="bold")
    return table


def _by_group(total: Score) -> Table:
    table = _table("Leaks by source", "source", "leaks", "named")
    groups = total.of_group()
    for group, share in groups.items():
        table.add_row(group, str(share.of), _short(share))
    for whole in ("cameras", "photos"):
        parts = [share for group, share in groups.items() if group.partition("/")[0] == whole]
        share = Share(sum(part.hits for part in parts), sum(part.of for part in parts))
        table.add_row(f"all {whole}", str(share.of), _short(share), style="bold")
    return table


def _by_control(total: Score) -> Table:
    table = _table("Clean deliveries by control", "control", "deliveries", "false leaks", "false shifts")
    for control, count in sorted(total.clean.items()):
        table.add_row(control, str(count), str(total.false_leaks[control]), str(total.false_shifts[control]))
    return table


def _overall(total: Score) -> Table:
    table = _table("Overall", "figure", "value", "interval")
    leaks, shifts = total.false(total.false_leaks), total.false(total.false_shifts)
    rows = [
        ("false leaks per million", leaks, 1e6), ("false shifts per thousand", shifts, 1e3),
        ("unjudged, %", Share(total.unjudged, total.judged), 100),
        ("named at once, %", Share(total.at_once, total.prompt), 100),
    ]  # fmt: skip
    for name, share, scale in rows:
        low, high = share.interval
        table.add_row(name, f"{scale * share.value:.2f}", f"{scale * low:.2f} to {scale * high:.2f}")
    table.add_row("misnamed leaks", str(total.misnamed), "")
    table.add_row("false at the acting level", str(total.false_acting), "")
    waits = " / ".join(str(wait) for wait in total.waited()) or "-"
    table.add_row("further stills before an alert, p50 / p95 / most", waits, "")
    return table


def _damage_table(title: str, fared: list[Fared]) -> Table:
    table = _table(title, "kind", "stage", "named", "told", "misnamed", "own accused", "own shifts", "SIFT inliers")
    for each in fared:
        t = each.tried
        inliers = "" if each.inliers is None else f"{each.inliers:.0f}"
        shares = (_short(Share(t.named, t.trials)), f"{t.told / t.trials:.0%}")
        table.add_row(
            t.kind, KINDS[t.kind].stage, *shares, str(t.misnamed), str(t.false_leaks), str(t.own_shifts), inliers
        )
    named, trials = sum(each.tried.named for each in fared), sum(each.tried.trials for each in fared)
    table.add_row(f"all {len(fared)}", "", _short(Share(named, trials)), style="bold")
    return table


def _short(share: Share) -> str:
    low, high = share.interval
    return f"{share.value:6.1%} [{low:.1%}, {high:.1%}]"
