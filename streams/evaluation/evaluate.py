"""Measures the detector on a corpus: replays over several seeds, each judged and scored, and damages kind by kind.

Owns the work and its processes. Refuses to print and to draw pages (api/commands/evaluate.py). It runs the engine that
the stream runs. What it makes of a corpus lies in the folder that it is given, nowhere else.
"""

from __future__ import annotations

import multiprocessing
import queue
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, Final, Protocol, TypeVar

from detector.engine import Engine
from models.records import derived_id
from streams.claims import folder_fetch
from streams.decode import Decoder
from streams.evaluation import corpus
from streams.evaluation.damage import KINDS
from streams.evaluation.damage import witness as sift
from streams.evaluation.damage.trial import Trial, Tried
from streams.evaluation.labelled import Options, plan, write
from streams.evaluation.score import Score, score
from streams.judge import Judge
from streams.metrics import Metrics
from streams.replay import Line, Outcome, replay

FORM: Final = "2"
"""Version of the replays that are made; a cache holds those of several."""
ENOUGH: Final = 0.95
"""Named share that every kind of damage is to reach; below it the witness is asked."""
SHOWN: Final = 6
"""Misses of a kind of damage whose pictures are kept for the page; none of a held kind."""
ASKED: Final = 15
"""Misses of a kind that the witness is asked about, at most."""
DIGEST_KEY: Final = b"strayframe evaluate"
"""An evaluation keeps nothing, so its digests need no secret."""


@dataclass(frozen=True, slots=True)
class Step:
    """How far a task is: `done` of `total` of what `phase` names."""

    label: str
    phase: str
    done: int
    total: int


Tell = Callable[[Step], None]
Result = TypeVar("Result", covariant=True)


class Task(Protocol[Result]):
    """A piece of work that can be done in another process."""

    def run(self, tell: Tell) -> Result:
        """Do it, telling how far it is."""


@dataclass(slots=True)
class Scored:
    """One replay: where it lies, how it was scored, and how long judging took."""

    seed: int
    folder: Path
    score: Score
    seconds: float


@dataclass(frozen=True, slots=True)
class ReplayTask:
    """Make a replay below `folder` unless it is there already, judge it, score it."""

    corpus: Path
    options: Options
    folder: Path
    still_bytes: int = 16_000_000
    still_pixels: int = 50_000_000

    def run(self, tell: Tell) -> Scored:
        """Raises CorpusError for a corpus that is none or too small."""
        made = self._made(tell)
        label = f"seed {self.options.seed}"
        events, verdicts, alerts = made / "events.jsonl", made / "verdicts.jsonl", made / "alerts.jsonl"
        size, begin = events.stat().st_size, time.perf_counter()
        fetch = folder_fetch(made, self.still_bytes)
        judge = Judge(Engine(), Decoder(DIGEST_KEY, self.still_bytes, self.still_pixels), Metrics(), fetch=fetch)

        def progress(line: Line, outcome: Outcome) -> None:
            tell(Step(label, "judging", line.end, size))

        with verdicts.open("w") as said, alerts.open("w") as raised:
            replay(events, judge, verdicts=said, alerts=raised, progress=progress)
        seconds = time.perf_counter() - begin
        return Scored(self.options.seed, made, score(made, verdicts, alerts), seconds)

    def _made(self, tell: Tell) -> Path:
        found = corpus.read(self.corpus)
        made = self.folder / derived_id(f"seed-{self.options.seed}", FORM, str(asdict(self.options)), _inventory(found))
        if not made.exists():
            planned = plan(found, self.options)
            step = max(1, len(planned) // 200)

            def progress(done: int) -> None:
                if done % step == 0 or done == len(planned):
                    tell(Step(f"seed {self.options.seed}", "making", done, len(planned)))

            write(planned, made, progress)
        return made


@dataclass(slots=True)
class Fared:
    """How one kind of damage fared; `inliers` is the witness's median over misses, None where it was not asked."""

    tried: Tried
    inliers: float | None = None


@dataclass(frozen=True, slots=True)
class DamageTask:
    """Try some kinds of damage on the corpus's cameras and `photos` photographs."""

    corpus: Path
    kinds: tuple[str, ...]
    photos: int
    each: int
    seed: int
    label: str = "damages"

    def run(self, tell: Tell) -> list[Fared]:
        """Raises CorpusError for a corpus that is none."""
        sources = corpus.read(self.corpus).drawn(self.photos, Random(f"damages/{self.seed}"))
        done = 0

        def acquainted() -> None:
            nonlocal done
            done += 1
            tell(Step(self.label, "meeting cameras", done, len(sources)))

        trial = Trial(sources, self.seed, acquainted)
        fared = []
        for k, name in enumerate(self.kinds, 1):
            fared.append(witnessed(trial.run(KINDS[name], self.each)))
            tell(Step(self.label, "trying", k, len(self.kinds)))
        return fared


@dataclass(slots=True)
class Findings:
    """All that an evaluation found, in the order of its tasks."""

    scored: list[Scored] = field(default_factory=list)
    damages: list[Fared] = field(default_factory=list)


def split(kinds: Sequence[str], parts: int) -> list[tuple[str, ...]]:
    """The kinds in as many parts of about the same size; none is empty."""
    return [tuple(kinds[k::parts]) for k in range(min(parts, len(kinds)))]


def run_all(tasks: Sequence[Task[Any]], processes: int, tell: Tell) -> list[Any]:
    """Do all tasks, at most `processes` at a time; results in the tasks' order. The first error ends it."""
    if processes <= 1 or len(tasks) == 1:
        return [task.run(tell) for task in tasks]
    spawn = multiprocessing.get_context("spawn")
    with spawn.Manager() as manager, ProcessPoolExecutor(processes, mp_context=spawn) as pool:
        steps = manager.Queue()
        futures: list[Future[Any]] = [pool.submit(_run, task, steps) for task in tasks]
        try:
            while not all(future.done() for future in futures):
                with suppress(queue.Empty):
                    tell(steps.get(timeout=0.2))
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _run(task: Task[Any], steps: Any) -> Any:
    return task.run(steps.put)


def _inventory(found: corpus.Corpus) -> str:
    """What a corpus holds, so that a cached replay is not taken for another corpus's."""
    files = (path for source in (*found.cameras, *found.photos) for path in source.files)
    return derived_id("corpus", *(f"{path.name}/{path.stat().st_size}" for path in files))


def witnessed(tried: Tried) -> Fared:
    """How a kind fared, with the witness's word on its misses where it falls short; keeps the misses that are shown."""
    fared = Fared(tried)
    if tried.named < ENOUGH * tried.trials and sift.present():
        fared.inliers = median(sift.inliers(miss.still, miss.intact) for miss in tried.misses[:ASKED])
    del tried.misses[0 if KINDS[tried.kind].held else SHOWN :]
    return fared
