"""Pictures of what the benchmarks found: where each microsecond of a still goes, and what grows with cameras and cores.

Owns the drawing. Refuses to measure: it is given the rows of `make bench`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

INK = ("#3b6ea5", "#d98032", "#5d9e5f", "#b5534f", "#8a6fae", "#8c7a5b", "#7f7f7f", "#b0a83d", "#4fa3b0", "#c98aa9")


def draw(results: dict[str, Any], out: Path) -> None:
    """Write what can be drawn of these results as SVG files into `out`."""
    plt.rcParams.update({"svg.hashsalt": "strayframe", "font.size": 10, "axes.spines.top": False})
    plt.rcParams.update({"axes.spines.right": False, "figure.constrained_layout.use": True})
    if (out / "steps.json").exists():
        _steps(json.loads((out / "steps.json").read_text()), out / "still.svg")
    if "growth" in results:
        _growth(results["growth"]["rows"], out / "growth.svg")
    if "processes" in results:
        _cores(results["processes"]["rows"], out / "cores.svg")


def _steps(found: dict[str, Any], path: Path) -> None:
    figure, axes = plt.subplots(figsize=(9, 2.6))
    left = 0.0
    steps = sorted(found["microseconds"].items(), key=lambda step: -step[1])
    for k, (name, spent) in enumerate(steps):
        axes.barh(0, spent, left=left, color=INK[k % len(INK)], label=f"{name}: {spent:.0f}")
        left += spent
    axes.barh(1, found["floor"], color="#cccccc", label=f"bare decoding at 1/8: {found['floor']:.0f}")
    axes.set_yticks([0, 1], ["a still", "the floor"])
    axes.set_xlabel("microseconds of one thread, mean of a stream's stills")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.3), ncols=4, frameon=False, fontsize=8)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _growth(rows: list[dict[str, Any]], path: Path) -> None:
    figure, (time, memory) = plt.subplots(1, 2, figsize=(9, 3.2))
    for k, name in enumerate(("a clear still", "a novel still")):
        points = [(_cameras(row), row["ours"]) for row in rows if row["work"].startswith(name)]
        time.plot(*zip(*points, strict=True), "o-", color=INK[k], label=name)
    for k, name in enumerate(("the index", "beside it")):
        points = [(_cameras(row), row["ours"]) for row in rows if row["work"].startswith(name)]
        memory.plot(*zip(*points, strict=True), "o-", color=INK[k], label=("searched", "apart: thumbnails and keys")[k])
    for axes, unit in ((time, "microseconds, decoding aside"), (memory, "megabytes")):
        axes.set(xscale="log", xlabel="scenes of other cameras", ylabel=unit)
        axes.legend(frameon=False)
    memory.set_yscale("log")
    time.set_ylim(bottom=0)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _cores(rows: list[dict[str, Any]], path: Path) -> None:
    figure, axes = plt.subplots(figsize=(6, 3))
    shown = [row for row in rows if row["unit"].endswith("/s")]
    for k, row in enumerate(shown):
        axes.barh(k, row["ours"], color=INK[k % len(INK)])
        axes.text(row["ours"], k, f" {row['ours']:.0f}", va="center")
    axes.set_yticks(range(len(shown)), [row["work"] for row in shown])
    axes.invert_yaxis()
    axes.set_xlabel("stills a second")
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _cameras(row: dict[str, Any]) -> int:
    found = re.search(r"([\d,]+) scenes", row["work"])
    assert found is not None
    return int(found.group(1).replace(",", ""))
