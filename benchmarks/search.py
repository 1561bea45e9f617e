"""Search among ten million scenes: the detector's tables beside faiss and ThreatExchange, and its own search in full.

    python benchmarks/search.py [--quick] [--json FILE] [--corpus DIR] [--scenes N]

Plain codes: 256 random bits, radius 31, every peer exact and in agreement, answers compared with a scan in each run.
Camera-like codes: three looks of a camera that differ in a few bits. The detector's own search: codes with masks, 24
keys, all placings, beside a compiled scan by the same distance; its scenes are synthetic (benchmarks/synthetic.py),
each key made of the halves of two drawn ones, so that ten million are all different; its queries are stills that no
scene shows. Every time is of one thread, in its own CPU time, ours and the peers' in turns; each of
the four runs in a process of its own.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import faiss
import numpy as np
from numpy.typing import NDArray
from threatexchange.signal_type.pdq.pdq_index import PDQIndex

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import synthetic
from plain import RADIUS, PlainIndex, scan
from rows import Bar, Row, Say, show

from models.code import Hypotheses, fine_of, hypotheses
from models.index import Index
from models.keys import KEYS, Lookup, keys_of, lookup
from models.placing import RARE, USUAL

SCENES = 10_000_000
BATCH = 10_000
"""Codes inserted at once,"""
TURN = 100_000
"""and by ours before the peer has its turn, or as many as there are: what one of them read is not in the caches when
the other one begins."""
HAD = 600
"""Bytes of memory that both have need of for a code, with some to spare."""
MMAP_MAX, TRIM = -4, -1
"""glibc's numbers, malloc.h: M_MMAP_MAX, M_TRIM_THRESHOLD."""
GROWS = 800_000
"""Codes of which a table has divided buckets."""
QUERIES = 200
WARMING = 600
"""Queries that are asked before those that count: what was just written is not yet where the processor, and the machine
beneath, keep what is read."""
SCANNED = 2
"""Queries of the compiled scan."""
PEER_QUERIES = 12
"""Queries of the slow peers: their time hardly varies."""
LOOKS = 3
"""Camera-like codes of one camera."""
POOL = 30_000
"""Scenes drawn, of which the ten million are made."""
RADIUS_OWN, LEAST_BITS = 0.18, 80
"""The distance that the detector searches by (detector/match.py)."""


def under(levels: NDArray[np.int8], placings: NDArray[np.float32]) -> Hypotheses:
    """A still under these placings."""
    return hypotheses(fine_of(levels), placings)


def spent(work: Callable[[], object]) -> float:
    """Milliseconds of this thread's CPU."""
    begin = time.thread_time()
    work()
    return (time.thread_time() - begin) * 1e3


def turned(codes: NDArray[np.uint64], rng: np.random.Generator) -> NDArray[np.uint64]:
    """A query: a stored code with up to 36 bits turned."""
    query: NDArray[np.uint64] = codes[rng.integers(len(codes))].copy()
    for bit in rng.choice(256, rng.integers(0, 37), replace=False):
        query[bit // 64] ^= np.uint64(1) << np.uint64(bit % 64)
    return query


def camera_like(n: int, rng: np.random.Generator) -> NDArray[np.uint64]:
    """Codes of cameras' looks: the first at random, the others with a few bits turned."""
    first = rng.integers(0, 2**64, (n // LOOKS + 1, 4), dtype=np.uint64)
    codes = np.repeat(first, LOOKS, axis=0)[:n]
    for _ in range(8):
        at = rng.integers(0, 256, n)
        codes[np.arange(n), at // 64] ^= np.where(np.arange(n) % LOOKS > 0, np.uint64(1), np.uint64(0)) << (
            at % 64
        ).astype(np.uint64)
    return codes


def as_bytes(codes: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """The form that faiss reads."""
    return np.ascontiguousarray(codes).view(np.uint8).reshape(-1, 32)


def plain(n: int, say: Say, *, cameras: bool) -> list[Row]:
    """Ours beside faiss's flat search and hashing, on the same codes and queries."""
    rng = np.random.default_rng(2)
    codes = camera_like(n, rng) if cameras else rng.integers(0, 2**64, (n, 4), dtype=np.uint64)
    index, hashing = PlainIndex(n), faiss.IndexBinaryMultiHash(256, 16, 16)
    for start in range(0, n, BATCH):
        index.extend(codes[start : start + BATCH])
        hashing.add(as_bytes(codes[start : start + BATCH]))
        if start % (n // 5) == 0:
            say(f"{start} codes inserted")
    flat = faiss.IndexBinaryFlat(256)
    flat.add(as_bytes(codes))
    for _ in range(WARMING):
        index.search(turned(codes, rng))
    queries = [turned(codes, rng) for _ in range(QUERIES)]
    out = np.empty(65536, np.int64)
    scan(codes[:10], codes[0], out)
    times: dict[str, list[float]] = {"ours": [], "flat": [], "hash": [], "scan": []}
    hashing.nflip = 1
    for k, query in enumerate(queries):
        found: list[NDArray[np.int64]] = []
        times["ours"].append(spent(lambda query=query, found=found: found.append(index.search(query))))
        if k >= PEER_QUERIES:
            continue
        asked = as_bytes(query[None])
        answer: list[NDArray[np.int64]] = []
        times["flat"].append(
            spent(lambda asked=asked, answer=answer: answer.append(flat.range_search(asked, RADIUS + 1)[2]))
        )
        times["hash"].append(
            spent(lambda asked=asked, answer=answer: answer.append(hashing.range_search(asked, RADIUS + 1)[2]))
        )
        count = 0

        def look(query: NDArray[np.uint64] = query) -> None:
            nonlocal count
            count = scan(codes, query, out)

        times["scan"].append(spent(look))
        same = found[0].tolist() == out[:count].tolist() == sorted(answer[0].tolist()) == sorted(answer[1].tolist())
        if not same:
            raise SystemExit(f"query {k}: the answers differ: {len(found[0])}, {count}, {[len(a) for a in answer]}")
    p50 = {name: median(each) for name, each in times.items()}
    p99 = float(np.quantile(times["ours"], 0.99))
    kind = "camera-like codes" if cameras else "random codes"
    bars = [Bar("times faiss flat", p50["flat"] / p50["ours"], 40 if cameras else 150, at_least=True)]
    if not cameras:
        bars.append(Bar("times ThreatExchange's index", p50["hash"] / p50["ours"], 250, at_least=True))
    bars.append(Bar("ms", p50["ours"], 0.9 if cameras else 0.3, at_least=False))
    rows = [
        Row(
            f"search, {n:,} {kind}, radius {RADIUS}, p50 (p99 {p99:.3f})",
            "ms",
            p50["ours"],
            {"faiss flat": p50["flat"], "faiss MultiHash 16x16": p50["hash"], "compiled scan": p50["scan"]},
            tuple(bars),
            f"11 keys; faiss {faiss.__version__}, one thread, MultiHash nflip 1 as {PDQIndex.__name__} of "
            f"ThreatExchange builds for large banks; {PEER_QUERIES} queries compared, all in agreement",
        )
    ]
    if not cameras:
        each = index.nbytes / n
        rows.append(
            Row("memory of an entry of 256 bits", "bytes", each, {}, (Bar("bytes", each, 120, at_least=False),))
        )
    return rows


def inserts(n: int, say: Say, *, used: bool) -> list[Row]:
    """Ours beside faiss's hashing while both grow: in memory that the system has to give, or that was `used` before."""
    if used:
        keep(HAD * n)
    rng = np.random.default_rng(3)
    codes = rng.integers(0, 2**64, (n, 4), dtype=np.uint64)
    PlainIndex(GROWS).extend(rng.integers(0, 2**64, (GROWS, 4), dtype=np.uint64))  # all compiled code is loaded
    index, hashing = PlainIndex(n), faiss.IndexBinaryMultiHash(256, 16, 16)
    ours = theirs = 0.0
    for start in range(0, n, TURN):
        batches = [codes[at : at + BATCH] for at in range(start, min(start + TURN, n), BATCH)]
        ours += spent(lambda batches=batches: [index.extend(batch) for batch in batches])
        theirs += spent(lambda batches=batches: [hashing.add(as_bytes(batch)) for batch in batches])
        if start % (n // 5) == 0:
            say(f"{start} codes inserted")
    rate, other = n / ours / 1e3, n / theirs / 1e3
    bars = (Bar("M/s", rate, 1, at_least=True), Bar("times faiss MultiHash", rate / other, 10, at_least=True))
    return [
        Row(
            f"inserts while growing to {n:,}" + (", in memory that was used before" if used else ""),
            "M/s",
            rate,
            {"faiss MultiHash": other},
            () if used else bars,
            f"{BATCH} at a time, searchable at once, no rebuild; one thread, CPU time"
            + (f"; {rate / other:.1f} times faiss MultiHash" if used else ""),
        )
    ]


def keep(size: int) -> None:
    """Have so much memory, and keep it for whoever asks for some, ours and the peer alike. Where a host gives memory
    away for the first time, that takes as long as an insert: more than half of it is for those who ask for large pages,
    as ours does."""
    tell = ctypes.CDLL(None).mallopt
    for what, value in ((MMAP_MAX, 0), (TRIM, -1)):
        tell(what, value)
    np.ones(size, np.uint8)


def filled(n: int, say: Say) -> Index:
    """An index of n scenes, each key made of the halves of two drawn scenes' keys."""
    rng = np.random.default_rng(4)
    pool = min(POOL, n)
    drawn = list(synthetic.chunks(pool, 5))
    codes = np.concatenate([c.codes for c in drawn])
    masks = np.concatenate([c.masks for c in drawn])
    say(f"{pool} scenes drawn")
    keys = np.stack([keys_of(synthetic.levels(k, 5)) for k in range(pool)], axis=1)
    low = np.uint32((1 << 14) - 1)
    index = Index()
    for start in range(0, n, 100_000):
        size = min(100_000, n - start)
        made = np.empty((KEYS, size), np.uint32)
        for t in range(KEYS):
            one, two = keys[t][rng.integers(0, pool, size)], keys[t][rng.integers(0, pool, size)]
            made[t] = np.where((one >> 28) | (two >> 28), 0xFFFFFFFF, (one & ~low) | (two & low))
        at = rng.integers(0, pool, size)
        cameras = np.arange(start, start + size, dtype=np.int32) // LOOKS
        index.extend(codes[at], masks[at], cameras, np.ones(size, np.uint8), None, made)
        if start % (n // 5 or 1) == 0:
            say(f"{start} scenes inserted")
    return index


def compared(index: Index, query: Lookup, *, short: bool) -> int:
    """Search and compare, as the detector does; how many rows were compared in full."""
    rows = index.candidates(query, skip=[], standings=[1])
    index.match(rows, query.codes, query.masks, radius=RADIUS_OWN, least=LEAST_BITS, short=short)
    return len(rows)


def searched(index: Index, levels: NDArray[np.int8], n: int) -> tuple[float, float, int]:
    """One still's search: milliseconds for its common placings, for its rare ones, and how many rows were compared."""
    begin = time.thread_time()
    query = lookup(under(levels, USUAL), scenes=n, usual=len(USUAL), as_is=True)
    found = compared(index, query, short=True)
    between = time.thread_time()
    found += compared(index, lookup(under(levels, RARE), scenes=n, whole=0), short=False)
    return (between - begin) * 1e3, (time.thread_time() - between) * 1e3, found


def own(n: int, say: Say, stills: list[NDArray[np.int8]]) -> list[Row]:
    """The detector's own search beside a compiled scan by the same distance under the same placings. The first half of
    the stills is searched for before the others count."""
    index = filled(n, say)
    placings = np.concatenate([USUAL, RARE])
    near, far, scanned = [], [], []
    found, before = 0, len(stills) // 2
    for levels in stills[:before]:
        searched(index, levels, n)
    stills = stills[before:]
    for k, levels in enumerate(stills):
        common, rare, rows = searched(index, levels, n)
        near.append(common)
        far.append(rare)
        found += rows
        if k < SCANNED:
            begin = time.thread_time()
            query = lookup(under(levels, placings))
            everything = index.rows(skip=[], standings=[1])
            index.match(everything, query.codes, query.masks, radius=RADIUS_OWN, least=LEAST_BITS, short=True)
            scanned.append((time.thread_time() - begin) * 1e3)
    whole = [a + b for a, b in zip(near, far, strict=True)]
    p50, scan_p50 = median(whole), median(scanned)
    search, apart = index.nbytes
    each, beside = search / len(index), apart / len(index)
    return [
        Row(
            f"the detector's own search, {n:,} scenes, all placings, p50 (p99 {np.quantile(whole, 0.99):.2f})",
            "ms",
            p50,
            {"compiled scan": scan_p50},
            (Bar("times a compiled scan", scan_p50 / p50, 100, at_least=True), Bar("ms", p50, 3, at_least=False)),
            f"{len(stills)} stills that no scene shows; common placings {median(near):.2f} ms, rare ones "
            f"{median(far):.2f} ms, making the query's keys included; {found / len(stills):.1f} rows compared a still",
        ),
        Row("memory of a scene, searched", "bytes", each, {}, (Bar("bytes", each, 300, at_least=False),)),
        Row(
            "beside it, for the second look and for growing",
            "bytes",
            beside,
            {},
            (Bar("bytes", beside, 1024, at_least=False),),
        ),
    ]


def novel(corpus: Path | None, count: int) -> list[NDArray[np.int8]]:
    """Thumbnails of stills: of a folder of cameras, or drawn."""
    if corpus is None:
        return [synthetic.levels(k, 99) for k in range(0, count * synthetic.LOOKS, synthetic.LOOKS)]
    from streams.decode import Decoder

    decode, out = Decoder(b"bench"), []
    for path in sorted(corpus.glob("cameras/*/*.jpg"))[:: max(1, len(list(corpus.glob("cameras/*/*.jpg"))) // count)]:
        found = decode.still(path.read_bytes()).fingerprint
        if found is not None:
            out.append(found.levels)
    return out[:count]


def measure(say: Say, *, quick: bool, corpus: Path | None = None, n: int = SCENES) -> list[Row]:
    """All rows."""
    faiss.omp_set_num_threads(1)
    n = 100_000 if quick else n
    rows = apart(lambda: inserts(n, say, used=False)) + apart(lambda: inserts(n, say, used=True))
    rows += apart(lambda: plain(n, say, cameras=False)) + apart(lambda: plain(n, say, cameras=True))
    return rows + apart(lambda: own(n, say, novel(corpus, 40 if quick else 400)))


def apart(work: Callable[[], list[Row]]) -> list[Row]:
    """What a process of its own makes of it: memory that another search has given back comes in small pages, and who
    uses it next is two to three times slower."""
    context = get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=lambda: theirs.send(work()))
    process.start()
    theirs.close()
    rows: list[Row] = ours.recv()
    process.join()
    return rows


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="100,000 scenes, to see that it runs")
    parser.add_argument("--json", type=Path, help="write the rows to this file as well")
    parser.add_argument("--corpus", type=Path, help="a folder of cameras/<name>/*.jpg whose stills are the queries")
    parser.add_argument("--scenes", type=int, default=SCENES)
    chosen = parser.parse_args()
    rows = measure(
        lambda line: print(line, file=sys.stderr, flush=True), quick=chosen.quick, corpus=chosen.corpus, n=chosen.scenes
    )
    print(show(rows))
    if chosen.json:
        chosen.json.write_text(json.dumps([asdict(row) | {"met": row.met} for row in rows], indent=1) + "\n")
    sys.exit(0 if chosen.quick or all(row.met for row in rows) else 1)


if __name__ == "__main__":
    main()
