"""How often does a still agree with another camera's scene by chance? The joint tail of search and second look.

    python benchmarks/tail.py CORPUS [--variants 11] [--photos 800] [--stills 40] [--same A,B ...] [--json FILE]

Every still of the corpus, as it is and damaged in several ways, is looked up among all stills of all other cameras, by
the very search and second look of the detector. For each ordered pair of cameras the highest certainty is kept. What
is *seen* (counts) stands apart from what is *extrapolated*: an exponential tail through the highest pairs, with bounds
from drawing the cameras anew. `--same` names pairs that show one place, found by looking at the pictures of the
highest pairs, which are printed: they are left out.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections import Counter, defaultdict
from datetime import UTC, datetime
from math import exp, isfinite, log
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from detector import agree, match
from detector.certainty import certainty, needed
from detector.memory import Memory
from detector.query import Query
from detector.reading import Reading
from detector.shared import shared
from models.agreement import compare
from models.records import AccountId, CameraId, Delivery, DeliveryId
from models.scene import Standing
from streams.decode import Decoder
from streams.evaluation.corpus import moment, opened, read
from streams.evaluation.damage import EVERYDAY, TUNED
from streams.evaluation.damage.kind import jpeg

START = datetime(2026, 1, 5, tzinfo=UTC)
HIGHEST = (40, 20, 80)
"""Camera pairs through which the exponential tail is laid; the first counts, the others show how much that matters."""
FLEETS = (1_000, 100_000, 1_000_000, 10_000_000)
"""Cameras of the clouds that are told."""
RESAMPLED = 300
"""Resamplings of the cameras for the bounds."""


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument(
        "--variants", type=int, default=11, help="damaged variants of each still, besides the intact one"
    )
    parser.add_argument("--photos", type=int, default=800)
    parser.add_argument("--stills", type=int, default=40, help="stills used of one camera, at most")
    parser.add_argument("--same", action="append", default=[], help="A,B: two cameras that show one place")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def looked_up(memory: Memory, query: Query, own: int) -> list[tuple[str, float]]:
    """(camera, certainty) of every candidate that lies as a still on its way can lie, whatever its score."""
    out: list[tuple[str, float]] = []
    for (placings, codes, masks, _), short in ((query.usual, True), (query.rare, False)):
        rows = (query.near if short else query.farther)(memory, [own], [1])
        read = Reading(query.found.levels, placings)
        out += _looked_at(memory, query, read, rows, codes, masks, own, short=short)
    for read in query.anew:
        rows = memory.candidates(read.given, [own], [1])
        out += _looked_at(
            memory, query, read, rows, read.given.codes, read.given.masks, own, short=read.box is not None
        )
    return out


def _looked_at(
    memory: Memory,
    query: Query,
    read: Reading,
    rows: NDArray[np.int64],
    codes: NDArray[np.uint64],
    masks: NDArray[np.uint64],
    own: int,
    *,
    short: bool,
) -> list[tuple[str, float]]:
    out: list[tuple[str, float]] = []
    hits = memory.index.match(rows, codes, masks, radius=match.SEARCH_RADIUS, least=agree.SEARCH_BITS, short=short)
    for f in sorted(hits, key=lambda f: f.differing / max(f.common, 1) - 0.05 * f.votes)[: match.CANDIDATES]:
        known = memory.at_row[f.row]
        scene, p = memory.looked(known), read.placings[f.hypothesis].tolist()
        a = compare(read.looked, scene, (p[0], p[1], p[2], p[3]), negative=f.negative)
        as_it_came = read.levels is query.found.levels
        if as_it_came:
            placed = agree.fits(read.looked, scene, a, negative=f.negative)
        else:
            placed = agree.lies(read, scene, a, f.common, negative=f.negative)
        if a.blocks < agree.ACCEPT_BLOCKS or not placed:
            continue
        others = shared(memory, known, masks[f.hypothesis], [own])
        if isfinite(others):
            out.append((known.record.camera, certainty(f.differing / max(f.common, 1), f.common, a, others)))
    return out


def tail(values: list[float], pairs: int, highest: int) -> tuple[float, float, float]:
    """Base, share of all pairs above it, and e-fold of an exponential through the highest camera pairs."""
    top = sorted(values, reverse=True)[: highest + 1]
    base = top[-1]
    return base, highest / pairs, max(float(np.mean([v - base for v in top[:-1]])), 1e-6)


def main() -> int:
    """Look everything up and print the tables."""
    args = arguments()
    print(f"{platform.platform()}, Python {platform.python_version()}; {vars(args)}", flush=True)
    rng, decode, memory = Random(args.seed), Decoder(b"tail"), Memory()
    kinds = list((EVERYDAY | TUNED).values())
    sources = read(args.corpus).drawn(args.photos, rng)
    begin = time.perf_counter()
    for source in sources:
        for k, path in enumerate(source.files[: args.stills]):
            found = decode.still(jpeg(opened(path), 85))
            delivery = Delivery(DeliveryId(source.name, str(k)), START, AccountId(source.name), CameraId(source.name))
            if found.fingerprint is not None:
                memory.learn(memory.camera(delivery), delivery, found, Standing.CONFIRMED, novel=False)
    same = {frozenset(pair.split(",")) for pair in args.same}
    best: dict[tuple[str, str], float] = defaultdict(float)
    queries, still_pairs = 0, 0
    for n, source in enumerate(sources):
        if source.name not in memory.cameras:
            continue
        own = memory.cameras[CameraId(source.name)]
        for path in source.files[: args.stills]:
            image = moment(opened(path), rng)
            data = jpeg(image, 85)
            for variant in [data] + [rng.choice(kinds)(image, data, rng) for _ in range(args.variants)]:
                found = decode.still(variant)
                if found.fingerprint is None:
                    continue
                queries += 1
                still_pairs += len(memory.scenes) - len(own.own)
                for camera, value in looked_up(memory, Query(found.fingerprint), own.number):
                    if frozenset((source.name, camera)) not in same:
                        best[source.name, camera] = max(best[source.name, camera], value)
        print(f"\r{n + 1}/{len(sources)} cameras, {time.perf_counter() - begin:.0f} s", end="", file=sys.stderr)
    cameras = len(memory.cameras)
    told(args, best, cameras, {"queries": queries, "still_pairs": still_pairs, "scenes": len(memory.scenes)})
    return 0


def told(args: argparse.Namespace, best: dict[tuple[str, str], float], cameras: int, counts: dict[str, int]) -> None:
    """Print what was seen and what follows from it."""
    pairs = cameras * (cameras - 1)
    values = list(best.values())
    print(
        f"\n{cameras} cameras, {pairs} ordered pairs, {counts['queries']} queries, "
        f"{counts['still_pairs'] / 1e6:.1f} million still pairs"
    )
    steps = [0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6]
    seen = {step: sum(v >= step for v in values) for step in steps}
    print(
        f"seen: {len(values)} pairs with a candidate; with at least a certainty of: {seen}; highest {max(values):.2f}"
    )
    fits = {highest: tail(values, pairs, highest) for highest in HIGHEST}
    for highest, (base, share, fold) in fits.items():
        print(f"tail through {highest}: above {base:.3f} a share of {share:.2e} of the pairs, e-fold {fold:.3f}")
    names = sorted(memory_names(best, args))
    bounds: dict[int, list[float]] = {fleet: [] for fleet in FLEETS}
    for k in range(RESAMPLED):
        weight = Counter(Random(k).choices(names, k=len(names)))
        drawn = [v for (a, b), v in best.items() for _ in range(weight[a] * weight[b])]
        if len(drawn) <= HIGHEST[0]:
            continue
        base, share, fold = tail(drawn, pairs, HIGHEST[0])
        for fleet in FLEETS:
            bounds[fleet].append(base + fold * log(fleet * (fleet - 1) * share))
    base, share, fold = fits[HIGHEST[0]]
    print(f"{'cameras':>10} {'level for 1 pair':>17} {'97.5 % bound':>13} {'acting level':>13} {'pairs there':>12}")
    for fleet in FLEETS:
        ordered = fleet * (fleet - 1)
        level = base + fold * log(ordered * share)
        bound = float(np.quantile(bounds[fleet], 0.975))
        expected = ordered * share * exp(-(needed(fleet) - base) / fold)
        print(f"{fleet:>10} {level:>17.2f} {bound:>13.2f} {needed(fleet):>13.2f} {expected:>12.2g}")
    print("highest pairs:")
    for (a, b), value in sorted(best.items(), key=lambda item: -item[1])[:20]:
        print(f"  {value:.3f}  {a}  {b}")
    if args.json:
        report = {**counts, "cameras": cameras, "seen": seen, "tails": fits}
        args.json.write_text(json.dumps(report, indent=1))


def memory_names(best: dict[tuple[str, str], float], args: argparse.Namespace) -> set[str]:
    """All cameras that can be drawn when resampling: those of the corpus, whether or not a candidate named them."""
    corpus = read(args.corpus)
    return {s.name for s in (*corpus.cameras, *corpus.photos)} | {name for pair in best for name in pair}


if __name__ == "__main__":
    sys.exit(main())
