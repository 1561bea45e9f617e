"""How many damaged stills the detector still names, kind by kind (docs/damages.md).

    python benchmarks/damages.py CORPUS [--part tuned|held|everyday|all] [--kinds a,b] [--each 40] [--seed 1]

Every camera of the corpus first gets a few of its own stills. Then, for each kind of damage, a later still of some
camera is damaged and delivered to another account (it must be named), and a damaged still of the recipient's own to
itself (it must raise nothing). Held kinds are never looked at while the matcher is tuned.
Exit code 1: a kind is named in less than --bar of its trials, or somebody innocent was accused.
"""

from __future__ import annotations

import argparse
import platform
import sys
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from streams.evaluation.corpus import read
from streams.evaluation.damage import EVERYDAY, HELD, KINDS, TUNED, Damage
from streams.evaluation.damage.trial import Trial, Tried

PARTS = {"tuned": TUNED, "tune": TUNED, "held": HELD, "everyday": EVERYDAY, "all": KINDS}


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--part", choices=list(PARTS), default="tuned")
    parser.add_argument("--kinds", default="", help="names of kinds, with commas; instead of --part")
    parser.add_argument("--each", type=int, default=40, help="trials of each kind")
    parser.add_argument("--photos", type=int, default=200, help="photographs that stand for cameras")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bar", type=float, default=0.95, help="share of each kind that must be named")
    parser.add_argument(
        "--misses", type=Path, help="write missed stills of kinds that are not held, and their intact ones, here"
    )
    return parser.parse_args()


def chosen(part: str, kinds: str) -> dict[str, Damage]:
    """The kinds to try; ends the program for a name that no kind has."""
    names = [name for name in kinds.split(",") if name]
    unknown = sorted(set(names) - set(KINDS))
    if unknown:
        sys.exit(f"no such kind: {', '.join(unknown)}; there are {', '.join(KINDS)}")
    return {name: KINDS[name] for name in names} or PARTS[part]


def keep(tried: Tried, folder: Path) -> None:
    """Write what was missed: the still as it arrived, and the owner's intact one."""
    folder.mkdir(parents=True, exist_ok=True)
    for k, miss in enumerate(tried.misses):
        stem = f"{tried.kind}-{k}-{miss.rule}-{miss.owner[:20]}"
        (folder / f"{stem}.jpg").write_bytes(miss.still)
        (folder / f"{stem}-intact.jpg").write_bytes(miss.intact)


def told(tried: Tried, kind: Damage | None = None) -> str:
    """One line of the table."""
    where = f"{kind.stage}{', held' if kind.held else ''}" if kind else ""
    return (
        f"{tried.kind:16} {where:16} named {tried.named / tried.trials:6.1%}  told {tried.told / tried.trials:6.1%}  "
        f"misnamed {tried.misnamed}  false {tried.false_leaks}  own shifts {tried.own_shifts:3}  "
        f"missed by {dict(tried.missed_by) or '-'}"
    )


def main() -> int:
    """Try the kinds and print a line for each."""
    args = arguments()
    kinds = chosen(args.part, args.kinds)
    print(f"{platform.platform()}, Python {platform.python_version()}; {vars(args)}", flush=True)
    sources = read(args.corpus).drawn(args.photos, Random(args.seed))
    trial = Trial(sources, args.seed)
    total = Tried("all")
    short = []
    for name, kind in kinds.items():
        tried = trial.run(kind, args.each)
        print(told(tried, kind), flush=True)
        if args.misses and not kind.held:
            keep(tried, args.misses)
        if tried.named < args.bar * tried.trials:
            short.append(name)
        for count in ("trials", "named", "told", "misnamed", "false_leaks", "own_shifts"):
            setattr(total, count, getattr(total, count) + getattr(tried, count))
    print(told(total))
    print(f"{len(kinds)} kinds, {len(sources)} cameras; below {args.bar:.0%}: {', '.join(short) or 'none'}")
    return 1 if short or total.misnamed or total.false_leaks else 0


if __name__ == "__main__":
    sys.exit(main())
