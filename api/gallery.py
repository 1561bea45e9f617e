"""The page of an evaluation: figures, and the pictures of each miss and each false alarm.

Owns the page's form and which pictures stand beside each other: the still, what it should have matched or was taken
for, and the recipient's own scene. Refuses to write into a checkout of this project: pictures of real homes stay out.
"""

from __future__ import annotations

import io
import json
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any, Final

from PIL import Image

from models.errors import StrayframeError
from streams.cloudevents import STILL_DELIVERED
from streams.evaluation.damage import KINDS
from streams.evaluation.evaluate import Fared, Findings, Scored
from streams.evaluation.score import Case, Score, Share, pooled, read_lines

WIDTH: Final = 420
"""Pixels that a picture on the page is wide, at most."""
QUALITY: Final = 80

STYLE: Final = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 1400px; padding: 0 1rem; color: #1c2024; }
table { border-collapse: collapse; margin: 0.6rem 0 1.6rem; }
th, td { border-bottom: 1px solid #d5d9de; padding: 0.2rem 0.9rem 0.2rem 0; text-align: left; }
td.figure { text-align: right; font-variant-numeric: tabular-nums; }
.case { border-top: 2px solid #1c2024; margin: 1.4rem 0; padding-top: 0.4rem; }
.row { display: flex; flex-wrap: wrap; gap: 0.8rem; }
figure { margin: 0; } figcaption { color: #555d66; max-width: 420px; overflow-wrap: anywhere; }
img { max-width: 420px; display: block; }
"""


class GalleryError(StrayframeError):
    """The page cannot be written there; the message says why."""


def refuse_checkout(folder: Path) -> None:
    """Raise GalleryError when `folder` lies in the checkout that this program runs from."""
    root = Path(__file__).resolve().parents[1]
    if (root / "pyproject.toml").exists() and folder.resolve().is_relative_to(root):
        raise GalleryError(f"{folder} lies in the project's checkout, where no picture of a real home may lie")


def write_page(folder: Path, findings: Findings, figures: dict[str, Any]) -> int:
    """Write index.html, pictures/ and figures.json into `folder`; gives the number of faults shown.

    The folder is complete in itself. Raises GalleryError for a folder in the checkout, OSError where it cannot write.
    """
    refuse_checkout(folder)
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    (folder / "figures.json").write_text(json.dumps(figures, indent=1), encoding="utf-8")
    total = pooled(scored.score for scored in findings.scored)
    parts = [_tables(total)] if findings.scored else []
    parts.append(_damages(folder, findings.damages))
    for scored in findings.scored:
        parts += _cases(folder, scored)
    body = "\n".join(parts)
    page = (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Strayframe: evaluation</title><style>{STYLE}</style>"
    )
    (folder / "index.html").write_text(f"{page}<h1>Evaluation</h1>{body}</html>\n", encoding="utf-8")
    return len(total.cases) + sum(len(fared.tried.misses) for fared in findings.damages)


class _Replay:
    """A replay's deliveries, to find what stands beside a case."""

    def __init__(self, scored: Scored) -> None:
        self._folder = scored.folder
        leaks = {
            t["id"] for t in read_lines(scored.folder / "truth.jsonl") if "owner" in t and t["kind"] != "household"
        }
        self._own: dict[str, list[str]] = defaultdict(list)
        for event in read_lines(scored.folder / "events.jsonl"):
            if event["type"] == STILL_DELIVERED and event["id"] not in leaks:
                self._own[event["camera"]].append(event["id"])

    def beside(self, case: Case) -> Iterator[tuple[str, str]]:
        """Caption and delivery of each picture of a case; ids sort in time order."""
        yield f"{case.delivery}: as it arrived", case.delivery
        for caption, camera in (
            ("its owner's camera", case.owner_camera),
            ("accused", case.named if case.named != case.owner_camera else None),
            ("the recipient's own", case.camera if case.camera != case.owner_camera else None),
        ):
            near = self._near(camera, case.delivery) if camera else None
            if near:
                yield f"{caption} {camera}, {near}", near

    def bytes(self, delivery: str) -> bytes:
        """The still's bytes."""
        return (self._folder / "stills" / f"{delivery}.jpg").read_bytes()

    def _near(self, camera: str, delivery: str) -> str | None:
        """The camera's last own delivery before that one, else its first after it."""
        own = self._own[camera]
        at = bisect_left(own, delivery)
        if at > 0:
            return own[at - 1]
        later = [id_ for id_ in own[:2] if id_ != delivery]
        return later[0] if later else None


def _cases(folder: Path, scored: Scored) -> Iterator[str]:
    if not scored.score.cases:
        return
    replay = _Replay(scored)
    yield f"<h2>Seed {scored.seed}: {len(scored.score.cases)} cases</h2>"
    for case in sorted(scored.score.cases, key=lambda case: (case.fault, case.kind, case.delivery)):
        said = f"<b>{escape(case.fault)}</b>, {escape(case.kind)}; {escape(case.rule)}<br>{escape(case.why)}"
        yield f"<div class=case>{said}<div class=row>"
        for caption, delivery in replay.beside(case):
            yield _figure(folder, f"{scored.seed}-{delivery}", replay.bytes(delivery), caption)
        yield "</div></div>"


def _damages(folder: Path, fared: list[Fared]) -> str:
    if not fared:
        return ""
    columns = ("kind", "stage", "named", "told", "misnamed", "own shifts", "SIFT inliers of misses", "meaning")
    head = f"<h2>Damages</h2><table><tr>{''.join(f'<th>{column}' for column in columns)}"
    rows, shown = [], []
    for each in fared:
        tried, kind = each.tried, KINDS[each.tried.kind]
        stage = f"{kind.stage}{', held' if kind.held else ''}"
        witness = "" if each.inliers is None else f"{each.inliers:.0f}"
        cells = (
            kind.name,
            stage,
            told(Share(tried.named, tried.trials)),
            told(Share(tried.told, tried.trials)),
            str(tried.misnamed),
            str(tried.own_shifts),
            witness,
        )
        rows.append("".join(f"<td>{escape(cell)}" for cell in (*cells, kind.meaning)))
        if tried.misses:
            shown.append(f"<h3>{escape(kind.name)}: {len(tried.misses)} of {tried.trials} not named</h3>")
        for k, miss in enumerate(tried.misses):
            pair = _figure(folder, f"{kind.name}-{k}", miss.still, f"{kind.name}, {miss.rule}")
            intact = _figure(folder, f"{kind.name}-{k}-intact", miss.intact, f"intact, {miss.owner}")
            shown.append(f"<div class=case><div class=row>{pair}{intact}</div></div>")
    return f"{head}{''.join(f'<tr>{row}' for row in rows)}</table>{''.join(shown)}"


def _tables(total: Score) -> str:
    rows = [(f"named, {kind}", share) for kind, share in total.of_kind(total.named).items() if kind != "unseen"]
    rows += [("named, all", total.of_all(total.named)), ("told, all", total.of_all(total.told))]
    rows += [("false leaks", total.false(total.false_leaks)), ("false shifts", total.false(total.false_shifts))]
    rows += [("unjudged", Share(total.unjudged, total.judged)), ("named at once", Share(total.at_once, total.prompt))]
    cells = "".join(f"<tr><td>{escape(name)}<td class=figure>{told(share)}" for name, share in rows)
    return f"<table>{cells}<tr><td>misnamed<td class=figure>{total.misnamed}</table>"


def told(share: Share) -> str:
    """A share in words: percentage, interval, counts."""
    low, high = share.interval
    return f"{share.value:.2%} [{low:.2%}, {high:.2%}] ({share.hits} of {share.of})"


def _figure(folder: Path, name: str, data: bytes, caption: str) -> str:
    path = f"pictures/{name}.jpg"
    try:
        with Image.open(io.BytesIO(data)) as image:
            small = image.convert("RGB")
    except (OSError, SyntaxError, ValueError):
        return f"<figure><figcaption>{escape(caption)}: cannot be shown</figcaption></figure>"
    small.thumbnail((WIDTH, WIDTH))
    small.save(folder / path, "JPEG", quality=QUALITY)
    text = escape(caption)
    return f"<figure><img src='{path}' alt='{text}'><figcaption>{text}</figcaption></figure>"
