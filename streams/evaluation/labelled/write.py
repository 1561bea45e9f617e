"""Writes a planned replay as files: events.jsonl, stills/*.jpg, truth.jsonl.

Owns the form, which docs/evaluate.md describes. Refuses to leave half a replay: it is written beside its place and
moved there when it is whole.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from streams.cloudevents import instant
from streams.evaluation.labelled.plan import Planned


def write(planned: Sequence[Planned], folder: Path, progress: Callable[[int], None] = lambda done: None) -> None:
    """Write the events in their order into `folder`, which must not exist. `progress` gets the events done so far."""
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    (part / "stills").mkdir(parents=True)
    with (part / "events.jsonl").open("w") as events, (part / "truth.jsonl").open("w") as truth:
        for n, each in enumerate(planned):
            record = _record(n, each)
            if each.make is not None:
                record["dataref"] = f"stills/{record['id']}.jpg"
                (part / record["dataref"]).write_bytes(each.make())
            events.write(json.dumps(record) + "\n")
            if each.truth is not None:
                known = {"id": record["id"], "recipient": record["account"], "camera": record["camera"]}
                truth.write(json.dumps(known | each.truth) + "\n")
            progress(n + 1)
    part.rename(folder)


def _record(n: int, planned: Planned) -> dict[str, str]:
    head = {"specversion": "1.0", "id": f"{n:07d}", "source": "replay", "time": instant(planned.when)}
    return head | planned.event
