"""Which fingerprint finds a damaged still again? Recall at a fixed false-match rate, bytes and microseconds.

    python benchmarks/fingerprints.py CORPUS [--sources 600] [--rate 1e-5] [--seed 1]

One still of each camera or photograph is stored; another moment of it is damaged, once by each kind, and looked up. The
threshold of each fingerprint is the one at which `--rate` of all pairs of different sources would match. imagehash's
hashes are the baseline; PDQ needs `pip install pdqhash` (dependency group `bench`) and is left out without it.
"""

from __future__ import annotations

import argparse
import io
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import imagehash
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from models.code import fine_of, hypotheses
from models.placing import RARE, USUAL
from streams.decode import Decoder
from streams.evaluation.corpus import moment, opened, read
from streams.evaluation.damage import EVERYDAY, TUNED
from streams.evaluation.damage.kind import jpeg

try:
    import pdqhash
except ImportError:
    pdqhash = None

DECODE = Decoder(b"benchmark")


@dataclass(frozen=True)
class Design:
    """A fingerprint: how it is taken of a still's bytes, and the distances of a query to all stored ones."""

    name: str
    size: int
    take: Callable[[bytes], Any]
    distances: Callable[[Any, list[Any]], np.ndarray]


def picture(data: bytes) -> Image.Image:
    """A still as the hashes take it."""
    image = Image.open(io.BytesIO(data))
    image.draft("RGB", (400, 220))
    return image.convert("RGB")


def hamming(query: np.ndarray, stored: list[np.ndarray]) -> np.ndarray:
    """Share of bits that differ."""
    return (np.stack(stored) != query).mean(axis=1)


def hashed(name: str, size: int, function: Callable[[Image.Image], Any]) -> Design:
    """One of imagehash's."""
    return Design(name, size, lambda data: function(picture(data)).hash.reshape(-1), hamming)


def own(name: str, placings: np.ndarray) -> Design:
    """The detector's own code, looked up under some placings."""

    def take(data: bytes) -> Any:
        found = DECODE.still(data).fingerprint
        return None if found is None else (found, hypotheses(fine_of(found.levels), placings))

    def distances(query: Any, stored: list[Any]) -> np.ndarray:
        if query is None:
            return np.ones(len(stored))
        _, codes, masks, _ = query[1]
        rows = np.stack([np.zeros(8, np.uint64) if s is None else s[0].code for s in stored])
        valid = np.stack([np.zeros(8, np.uint64) if s is None else s[0].mask for s in stored])
        both = masks[:, None] & valid[None]
        common = np.bitwise_count(both).sum(axis=2).astype(int)
        differ = np.bitwise_count((codes[:, None] ^ rows[None]) & both).sum(axis=2)
        return np.where(common >= 80, differ / np.maximum(common, 1), 1.0).min(axis=0)

    return Design(name, 128, take, distances)


def designs() -> list[Design]:
    """All that are compared."""
    out = [
        hashed("imagehash average 8", 8, lambda im: imagehash.average_hash(im, 8)),
        hashed("imagehash dHash 16", 32, lambda im: imagehash.dhash(im, 16)),
        hashed("imagehash pHash 8", 8, lambda im: imagehash.phash(im, 8)),
        hashed("imagehash pHash 16", 32, lambda im: imagehash.phash(im, 16)),
        hashed("imagehash wHash 16", 32, lambda im: imagehash.whash(im, 16)),
    ]
    if pdqhash is not None:
        out.append(Design("PDQ", 32, lambda data: pdqhash.compute(np.asarray(picture(data)))[0].astype(bool), hamming))
    out.append(own("own code, as it is", USUAL[:1]))
    out.append(own("own code, usual placings", USUAL))
    out.append(own("own code, all placings", np.concatenate([USUAL, RARE])))
    return out


def main() -> int:
    """Take every fingerprint of every still and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--sources", type=int, default=600)
    parser.add_argument("--rate", type=float, default=1e-5)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rng = Random(args.seed)
    print(f"{platform.platform()}, Python {platform.python_version()}; {vars(args)}", flush=True)
    sources = read(args.corpus).drawn(800, rng)[: args.sources]
    stills = [opened(s.files[0]) for s in sources]
    stored = [jpeg(moment(still, rng), 85) for still in stills]
    queries: dict[str, list[bytes]] = {}
    for group, kinds in (("everyday", EVERYDAY), ("further", TUNED)):
        queries[group] = []
        for still in stills:
            image = moment(still, rng)
            queries[group].append(rng.choice(list(kinds.values()))(image, jpeg(image, 85), rng))
    print(f"{'fingerprint':26} {'bytes':>5} {'us':>6} {'radius':>7} {'everyday':>9} {'further':>9}")
    for design in designs():
        design.take(stored[0])
        begin = time.perf_counter()
        taken = [design.take(data) for data in stored]
        micros = (time.perf_counter() - begin) / len(stored) * 1e6
        true: dict[str, list[float]] = {group: [] for group in queries}
        false: list[np.ndarray] = []
        for group, data in queries.items():
            for k, still in enumerate(data):
                d = design.distances(design.take(still), taken)
                true[group].append(float(d[k]))
                false.append(np.delete(d, k))
        ranked = np.sort(np.concatenate(false))
        radius = float(ranked[int(args.rate * len(ranked))])
        recall = {group: float(np.mean(np.array(values) < radius)) for group, values in true.items()}
        found = f"{recall['everyday']:9.1%} {recall['further']:9.1%}"
        print(f"{design.name:26} {design.size:5} {micros:6.0f} {radius:7.3f} {found}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
