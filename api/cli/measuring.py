"""The commands that measure and train on a folder of stills. What they do: api/commands/evaluate.py, train.py."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from api.options import takes_settings
from streams.settings import Settings

room = typer.Typer()


@room.command()
@takes_settings("still_bytes", "still_pixels")
def evaluate(
    settings: Settings,
    corpus: Annotated[Path, typer.Argument(metavar="CORPUS", help="Folder: cameras/<name>/*.jpg and photos/**/*.jpg.")],
    seeds: Annotated[str, typer.Option(help="A replay for each of these seeds; the figures are pooled.")] = "1,2,3",
    leaks: Annotated[int, typer.Option(help="Leaks in each replay.", min=0)] = 300,
    controls: Annotated[int, typer.Option(help="Controls in each replay.", min=0)] = 300,
    photos: Annotated[int, typer.Option(help="Photographs that stand for cameras.", min=0)] = 400,
    per_still: Annotated[int, typer.Option(help="Deliveries drawn from each real still.", min=1)] = 3,
    min_own: Annotated[int, typer.Option(help="Deliveries of each camera, at least.", min=4)] = 8,
    cap: Annotated[int, typer.Option(help="Real stills used of one camera, at most.", min=1)] = 40,
    replays: Annotated[bool, typer.Option("--replays/--no-replays", help="Judge labelled replays.")] = True,
    damages: Annotated[bool, typer.Option("--damages", help="Try every kind of damage as well.")] = False,
    each: Annotated[int, typer.Option(help="Trials of each kind of damage.", min=1)] = 40,
    processes: Annotated[int, typer.Option(help="Replays judged at the same time.", min=1)] = 1,
    cache: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep the replays here, by their options.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Write a page with pictures of all faults.")] = None,
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all figures.")] = None,
    require: Annotated[Path | None, typer.Option(metavar="FILE.toml", help="Minima that must be reached.")] = None,
) -> None:
    """Measure the detector on a folder of real stills: replays are made of it, judged and scored.

    Exit code 1: a bar of --require was not reached. 2: the corpus or a file cannot be used.
    """
    from api.commands.evaluate import Asked, run, seeds_of
    from streams.evaluation.labelled import Options

    options = Options(0, photos, leaks, controls, per_still, min_own, cap)
    asked = Asked(corpus, seeds_of(seeds), options, replays, damages, each, processes, cache, out, json, require)
    raise typer.Exit(run(settings, asked))


@room.command()
def train(
    corpus: Annotated[Path, typer.Option(metavar="DIR", help="Folder: cameras/<name>/*.jpg and photos/**/*.jpg.")],
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the model; it is not put to use.")] = None,
    seeds: Annotated[str, typer.Option(help="A life of each fold for each of these seeds.")] = "1,2",
    folds: Annotated[int, typer.Option(help="Parts that share no camera.", min=2)] = 5,
    photos: Annotated[int, typer.Option(help="Photographs that stand for cameras, in each fold.", min=0)] = 64,
    controls: Annotated[int, typer.Option(help="Controls in each fold.", min=0)] = 60,
    strangers: Annotated[int, typer.Option(help="Strangers' stills in each fold.", min=1)] = 150,
    spoiled: Annotated[int, typer.Option(help="Own stills spoiled alike, in each fold.", min=0)] = 80,
    per_still: Annotated[int, typer.Option(help="Deliveries drawn from each real still.", min=1)] = 3,
    min_own: Annotated[int, typer.Option(help="Deliveries of each camera, at least.", min=4)] = 8,
    rulings: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What persons ruled: `strayframe incidents rulings` writes it."),
    ] = None,
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all figures.")] = None,
) -> None:
    """Train the scene-shift model on a folder of real stills, and say what it is worth by cross-validation.

    The stills are lived through the real engine; nothing of them is kept. Shifts that persons ruled true or false weigh
    with them. Exit code 2: the corpus or a file cannot be
    used, or there is nothing in it to learn from.
    """
    from api.commands.evaluate import seeds_of
    from api.commands.train import Asked, life_of, run

    life = life_of(photos, controls, strangers, spoiled, per_still, min_own)
    raise typer.Exit(run(Asked(corpus, seeds_of(seeds), folds, life, out, json, rulings)))
