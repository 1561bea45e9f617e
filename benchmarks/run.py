"""All benchmarks one after the other, each in a process of its own: what `make bench` runs.

    python benchmarks/run.py [--quick] [--only NAME ...] [--out DIR]

Prints progress, the machine and the peers' versions, writes results.json, table.md and pictures to DIR, and exits with
1 when a bar is missed or a benchmark fails. `--out docs/performance` renews what docs/performance.md shows.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).resolve().parent
NAMES: Final = (
    "start",
    "search",
    "pipeline",
    "growth",
    "snapshot",
    "processes",
    "stream",
    "latency",
    "ingest",
    "hooks",
    "store",
)
"""In the order in which they run: those that need quiet memory first, those that start servers last."""
PEERS: Final = ("numpy", "numba", "pillow", "simplejpeg", "imagehash", "faiss-cpu", "threatexchange", "pdqhash")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that everything runs")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--out", type=Path, default=HERE.parent / "build" / "bench")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    machine = about()
    print("\n".join(f"{name}: {value}" for name, value in machine.items()), flush=True)
    results = earlier(chosen.out / "results.json") if len(chosen.only) < len(NAMES) else {}
    failed = [name for name in chosen.only if not ran(name, chosen.out, chosen.quick, results)]
    (chosen.out / "results.json").write_text(json.dumps({"machine": machine, "results": results}, indent=1) + "\n")
    (chosen.out / "table.md").write_text(table(machine, results))
    from pictures import draw

    draw(results, chosen.out)
    missed = [bar for each in results.values() for row in each["rows"] for bar in unmet(row)]
    print(f"\n{len(results)} benchmarks; bars missed: {len(missed)}; failed: {', '.join(failed) or 'none'}")
    print("\n".join(f"  {bar}" for bar in missed))
    sys.exit(0 if not failed and (chosen.quick or not missed) else 1)


def about() -> dict[str, str]:
    """The machine, and the versions of what is measured beside ours."""
    found = {"machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}"}
    found["processor"] = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    found["python"] = platform.python_version()
    for name in PEERS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def earlier(path: Path) -> dict[str, Any]:
    """Results of benchmarks that do not run this time."""
    return dict(json.loads(path.read_text())["results"]) if path.exists() else {}


def ran(name: str, out: Path, quick: bool, results: dict[str, Any]) -> bool:
    """Run one and note its rows; whether it could be run at all."""
    print(f"\n== {name}", flush=True)
    rows, begin = out / f"{name}.json", time.monotonic()
    rows.unlink(missing_ok=True)
    command = [sys.executable, str(HERE / f"{name}.py"), "--json", str(rows), *(["--quick"] if quick else [])]
    if name == "pipeline":
        command += ["--steps", str(out / "steps.json")]
    # one thread for each: processes are how cores are used, and peers are measured by one thread, too
    alone = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    subprocess.run(command, env={**os.environ, **alone}, check=False)
    print(f"   {time.monotonic() - begin:.0f} s", flush=True)
    if not rows.exists():
        return False
    results[name] = {"seconds": round(time.monotonic() - begin), "rows": json.loads(rows.read_text())}
    return True


def unmet(row: dict[str, Any]) -> list[str]:
    """The bars of a row that are missed, in words."""
    words = {True: "at least", False: "at most"}
    return [
        f"{row['work']}: {bar['what']} {bar['value']:.4g}, {words[bar['at_least']]} {bar['limit']:g} wanted"
        for bar in row["bars"]
        if not (bar["value"] >= bar["limit"] if bar["at_least"] else bar["value"] <= bar["limit"])
    ]


def table(machine: dict[str, str], results: dict[str, Any]) -> str:
    """The rows as Markdown."""
    lines = [", ".join(f"{name} {value}" for name, value in machine.items()), ""]
    lines += ["| work | ours | beside | bars |", "|---|---|---|---|"]
    for each in results.values():
        for row in each["rows"]:
            beside = "; ".join(f"{name} {figure:.4g}" for name, figure in row["peers"].items())
            missed = {bar.split(": ", 1)[1].split(" ")[0] for bar in unmet(row)}
            bars = "; ".join(
                f"{bar['what']} {bar['value']:.4g} ({'≥' if bar['at_least'] else '≤'} {bar['limit']:g})"
                + (" **missed**" if missed and not _met(bar) else "")
                for bar in row["bars"]
            )
            lines.append(f"| {row['work']} | {row['ours']:.4g} {row['unit']} | {beside} | {bars} |")
    return "\n".join(lines) + "\n"


def _met(bar: dict[str, Any]) -> bool:
    return bool(bar["value"] >= bar["limit"] if bar["at_least"] else bar["value"] <= bar["limit"])


if __name__ == "__main__":
    main()
