"""What a second process brings: `replay` with one and with two, beside bare decoding with one and with two.

    python benchmarks/processes.py [--quick] [--json FILE]

Two cores rarely give twice the work of one: they share memory and clock. So the bar is a share of what decoding
alone gains from the second process in the same run. Starting processes is not timed: the same serve all rounds.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from drawn import cloud
from rows import Bar, Row, Say, main

from detector.engine import Engine
from streams.claims import folder_fetch
from streams.cloudevents import Message, to_json
from streams.crew import Crew
from streams.decode import Decoder
from streams.judge import Judge
from streams.metrics import Metrics
from streams.replay import replay
from streams.warm import warm

CAMERAS, STILLS, REPEATS = 40, 600, 15
LEAST = 0.9
"""Share of the gain of bare decoding that a replay must have."""
KEY = b"benchmark"


def measure(say: Say, *, quick: bool) -> list[Row]:
    """The gains, from medians over repeats in turns."""
    stills, repeats = (60, 1) if quick else (STILLS, REPEATS)
    say(f"drawing {stills} stills")
    messages = cloud(CAMERAS, stills)
    bare: dict[int, list[float]] = {1: [], 2: []}
    ours: dict[int, list[float]] = {1: [], 2: []}
    warm()
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(2, get_context("spawn")) as pool,
        Crew(Decoder(KEY), 2, Metrics().look_seconds.observe) as crew,
    ):
        events = written(messages, Path(folder))
        files = sorted(str(path) for path in Path(folder).glob("*.jpg"))
        list(pool.map(decode, [files[:10]] * 4))
        crew.await_ready()
        for repeat in range(repeats):
            for processes in (1, 2):
                bare[processes].append(stills / decoded(pool, files, processes))
                ours[processes].append(stills / replayed(events, crew if processes == 2 else None))
            say(f"round {repeat + 1} of {repeats}: bare decoding gains {gain(bare):.3f}, replay {gain(ours):.3f}")
    options = f"{stills} drawn stills of 1280x720, {CAMERAS} cameras, median of {repeats} rounds"
    return [
        Row("replay, one process", "stills/s", median(ours[1]), {"bare decoding": median(bare[1])}, (), options),
        Row("replay, two processes", "stills/s", median(ours[2]), {"bare decoding": median(bare[2])}, (), options),
        Row(
            "gain of the second process",
            "times",
            gain(ours),
            {"bare decoding": gain(bare)},
            (Bar("replay's gain as a share of bare decoding's", gain(ours) / gain(bare), LEAST, True),),
            options,
        ),
    ]


def gain(rates: dict[int, list[float]]) -> float:
    """By how many times two processes are faster than one: the median over rounds."""
    return median(two / one for one, two in zip(rates[1], rates[2], strict=True))


def written(messages: list[Message], folder: Path) -> Path:
    """The messages as an event file with the pictures beside it."""
    events = folder / "events.jsonl"
    with events.open("w") as file:
        for number, message in enumerate(messages):
            dataref = None
            if message.data is not None:
                dataref = f"{number:06}.jpg"
                (folder / dataref).write_bytes(message.data)
            line = to_json(message.event, id=message.key.id, source=message.key.source, dataref=dataref)
            file.write(json.dumps(line) + "\n")
    return events


def decode(files: list[str]) -> int:
    """Decode files and do nothing with them."""
    decoder = Decoder(KEY)
    return sum(decoder(Path(file).read_bytes()).grey is not None for file in files)


def decoded(pool: ProcessPoolExecutor, files: list[str], processes: int) -> float:
    """Seconds to decode all of the files by so many processes."""
    begin = time.perf_counter()
    assert sum(pool.map(decode, [files[k::processes] for k in range(processes)])) == len(files)
    return time.perf_counter() - begin


def replayed(events: Path, crew: Crew | None) -> float:
    """Seconds to judge all of the events, by this process or with others that look."""
    judge = Judge(Engine(), Decoder(KEY), Metrics(), fetch=folder_fetch(events.parent, 16_000_000), crew=crew)
    begin = time.perf_counter()
    replay(events, judge)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main(measure, __doc__)
