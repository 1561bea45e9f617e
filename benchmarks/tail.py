"""How often does a still agree with another camera's scene by chance? The joint tail of search and second look.

    python benchmarks/tail.py CORPUS [--variants 5] [--photos 800] [--stills 40] [--same A,B ...] [--json FILE]

Every still of the corpus, as it is and damaged in several ways, is looked up among all stills of all other cameras, by
the very search and second look of the detector. For each ordered pair of cameras the best score is kept, by how
many reliable bits decided. What is *seen* (counts) stands apart from what is *extrapolated* (an exponential tail through
the highest pairs, with bounds from resampling cameras). `--same` names pairs that show one place, found by looking at
the pictures of the highest pairs, which are printed: they are left out.
"""

from __future__ import annotations

import argparse
import io
import json
import platform
import sys
import time
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from detector import match
from detector.match import Query
from detector.memory import Memory
from models.fingerprint import fingerprint
from models.records import AccountId, CameraId, Delivery, DeliveryId
from models.registration import compare
from models.scene import Standing
from models.view import PARTIAL, View
from streams.corpus import moment, opened, read
from streams.damage import EVERYDAY, TUNED
from streams.damage.kind import jpeg
from streams.decode import Decoder

START = datetime(2026, 1, 5, tzinfo=UTC)
CLASSES = (("whole", 200), ("most", 110), ("strip", 0))
"""Names of how many reliable bits decided, with the least of each."""
HIGHEST = 30
"""Camera pairs through which the exponential tail is laid."""
FLEET_PAIRS = {n: n * (n - 1) / 2 for n in (1_000, 100_000, 1_000_000, 10_000_000)}
"""Pairs of cameras in clouds of these sizes."""


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument(
        "--variants", type=int, default=5, help="damaged variants of each still, besides the intact one"
    )
    parser.add_argument("--photos", type=int, default=800)
    parser.add_argument("--stills", type=int, default=40, help="stills used of one camera, at most")
    parser.add_argument("--same", action="append", default=[], help="A,B: two cameras that show one place")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def looked_up(memory: Memory, query: Query, own: int) -> list[tuple[str, str, float]]:
    """(camera, class of bits, score) of every candidate of every stage that lies as a still on its way can lie."""
    out = []
    stages = [(query.usual, True), (query.rare, False)]
    for (placings, codes, masks), short in stages:
        hits = memory.index.search(
            codes, masks, skip=[own], standings=[1], radius=match.SEARCH_RADIUS, least=match.SEARCH_BITS, short=short
        )
        for f in sorted(hits, key=lambda f: f.differing / max(f.common, 1) - 0.05 * f.votes)[: match.CANDIDATES]:
            known = memory.at_row[f.row]
            scene, p = memory.looked(known), placings[f.hypothesis].tolist()
            a = compare(query.looked, scene, (p[0], p[1], p[2], p[3]), negative=f.negative)
            if a.blocks >= match.ACCEPT_BLOCKS and match.fits(query.looked, scene, a, negative=f.negative):
                out.append((known.record.camera, next(n for n, least in CLASSES if f.common >= least), a.score))
    codes, masks = query.partial
    hits = memory.index.search(codes, masks, skip=[own], standings=[1], radius=match.VIEW_RADIUS, least=match.VIEW_BITS)
    for f in sorted(hits, key=lambda f: f.differing / max(f.common, 1))[: match.CANDIDATES]:
        known, view = memory.at_row[f.row], PARTIAL[f.hypothesis]
        scene = memory.seen(known, view) if view in (View.ALONG_X, View.ALONG_Y) else memory.looked(known)
        a = compare(query.seen(view), scene, negative=f.negative)
        if a.blocks >= match.ACCEPT_BLOCKS and a.covered >= match.COVERED:
            out.append((known.record.camera, "part", a.score))
    return out


def tail(scores: list[float], pairs: int) -> tuple[float, float]:
    """The e-fold of an exponential through the highest camera pairs, and the rate per pair at score 0.60."""
    top = sorted(scores, reverse=True)[: HIGHEST + 1]
    if len(top) < 10:
        return 0.0, 0.0
    base = top[-1]
    fold = float(np.mean([s - base for s in top[:-1]]))
    return fold, (len(top) - 1) / pairs * float(np.exp(-(0.60 - base) / fold))


def main() -> int:
    """Look everything up and print the tables."""
    args = arguments()
    print(f"{platform.platform()}, Python {platform.python_version()}; {vars(args)}", flush=True)
    rng, decode, memory = Random(args.seed), Decoder(b"tail"), Memory()
    kinds = list((EVERYDAY | TUNED).values())
    sources = read(args.corpus).drawn(args.photos, rng)
    stored, begin = 0, time.perf_counter()
    for source in sources:
        for k, path in enumerate(source.files[: args.stills]):
            found = fingerprint(decode(jpeg(opened(path), 85)))
            delivery = Delivery(DeliveryId(source.name, str(k)), START, AccountId(source.name), CameraId(source.name))
            if found.fingerprint is not None:
                memory.learn(memory.camera(delivery), delivery, found, Standing.CONFIRMED, novel=False)
                stored += 1
    same = {frozenset(pair.split(",")) for pair in args.same}
    best: dict[str, dict[tuple[str, str], float]] = defaultdict(dict)
    queries, still_pairs = 0, 0
    for n, source in enumerate(sources):
        if source.name not in memory.cameras:
            continue
        own = memory.cameras[CameraId(source.name)]
        for path in source.files[: args.stills]:
            image = moment(opened(path), rng)
            data = jpeg(image, 85)
            variants = [data] + [rng.choice(kinds)(image, data, rng) for _ in range(args.variants)]
            for variant in variants:
                found = fingerprint(decode(variant)).fingerprint
                if found is None:
                    continue
                queries += 1
                still_pairs += stored - len(own.own)
                for camera, name, score in looked_up(memory, Query(found), own.number):
                    pair = (source.name, camera)
                    if frozenset(pair) not in same:
                        best[name][pair] = max(best[name].get(pair, 0.0), score)
        if n % 50 == 0:
            print(f"\r{n}/{len(sources)} cameras, {time.perf_counter() - begin:.0f} s", end="", file=sys.stderr)
    cameras = len(memory.cameras)
    pairs = cameras * (cameras - 1)
    print(
        f"\n{cameras} cameras, {stored} stored stills, {queries} queries, {still_pairs / 1e6:.1f} million still pairs, "
        f"{pairs} ordered camera pairs; {time.perf_counter() - begin:.0f} s"
    )
    report: dict[str, object] = {"cameras": cameras, "still_pairs": still_pairs, "camera_pairs": pairs}
    names = sorted(memory.cameras)
    for name in ("whole", "most", "strip", "part"):
        scores = list(best[name].values())
        fold, rate = tail(scores, pairs)
        bounds = []
        for k in range(200):
            drawn = Random(k).choices(names, k=len(names))
            weight = {c: drawn.count(c) for c in set(drawn)}
            resampled = [s for (a, b), s in best[name].items() for _ in range(weight.get(a, 0) * weight.get(b, 0))]
            bounds.append(tail(resampled, pairs)[1])
        low, high = np.quantile(bounds, (0.025, 0.975))
        counts = {f"{t:.2f}": sum(s >= t for s in scores) for t in (0.40, 0.45, 0.50, 0.55, 0.60, 0.65, 0.70, 0.75)}
        print(
            f"{name:6} seen: {len(scores)} pairs with a candidate, by score {counts}, highest {max(scores, default=0):.3f}"
        )
        print(f"       extrapolated: e-fold {fold:.4f}, per pair at 0.60 {rate:.1e} [{low:.1e}, {high:.1e}]")
        needed = {}
        for n, fleet in FLEET_PAIRS.items():
            if fold > 0 and high > 0:
                needed[n] = round(0.60 + fold * float(np.log(max(high * 2 * fleet, 1e-9))), 3)
        print(f"       score for one falsely accused pair (upper bound) among n cameras: {needed}")
        report[name] = {
            "pairs": len(scores),
            "counts": counts,
            "e_fold": fold,
            "rate_060": rate,
            "bounds": [low, high],
            "needed": needed,
        }
        for (a, b), s in sorted(best[name].items(), key=lambda i: -i[1])[:12]:
            print(f"         {s:.3f}  {a}  {b}")
    if args.json:
        args.json.write_text(json.dumps(report, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
