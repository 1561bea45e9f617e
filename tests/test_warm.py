"""Compiled code is ready before the first still: nothing is compiled in the middle of the stream."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent

STREAM = """
import gc, io, sys
from datetime import UTC, datetime, timedelta
from random import Random

import numpy as np
from PIL import Image

sys.path.insert(0, {tests!r})
from numba.core.dispatcher import Dispatcher
from places import Cloud, place
from streams.decode import Decoder
from streams.evaluation.damage import KINDS
from streams.warm import warm


def compiled():
    ours = ("models.", "streams.")
    found = [o for o in gc.get_objects() if isinstance(o, Dispatcher) and o.py_func.__module__.startswith(ours)]
    return {{f"{{d.py_func.__module__}}.{{d.py_func.__name__}}{{s}}" for d in found for s in d.signatures}}


def encoded(grey, form="JPEG"):
    out = io.BytesIO()
    Image.fromarray(grey).convert("RGB").save(out, form)
    return out.getvalue()


warm()
before = compiled()
decode, cloud = Decoder(b"k"), Cloud()
for seed in range(3):
    for moment in range(4):
        cloud.deliver(f"cam-{{seed}}", decode.still(encoded(place(seed, moment))))
image = Image.open(io.BytesIO(encoded(place(0, 9))))
for n, kind in enumerate(list(KINDS.values())[::5]):
    cloud.deliver(f"cam-{{1 + n % 2}}", decode.still(kind(image, encoded(place(0, 9)), Random(n))))
cloud.deliver("cam-1", decode.still(encoded(place(50, 1))))
for form in ("PNG", "WEBP"):
    cloud.deliver("cam-2", decode.still(encoded(place(2, 5), form)))
large = np.kron(place(1, 5), np.ones((2, 2), np.uint8))
for picture in (large, large[:, :-3]):  # of whole blocks and not
    cloud.deliver("cam-1", decode.still(encoded(picture)))
dark = np.random.default_rng(1).integers(0, 6, (360, 640), dtype=np.uint8)
for n in range(4):
    cloud.deliver(f"cam-{{n}}", decode.still(encoded(dark)))
    cloud.deliver(f"cam-{{n}}", decode.still(encoded(np.zeros((360, 640), np.uint8))))
cloud.restart()
cloud.deliver("cam-0", decode.still(encoded(place(0, 7))))
print(*sorted({{judged.rule for judged in cloud.judged}}), sep=" ")
print(*sorted(compiled() - before), sep="\\n")
"""


def test_after_warming_up_no_still_compiles_anything() -> None:
    script = STREAM.format(tests=str(HERE))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=HERE.parent)
    assert done.returncode == 0, done.stderr
    rules, *late = done.stdout.strip().splitlines()
    assert {"own-code", "young", "foreign-scene", "held", "unjudged"} <= set(rules.split())
    assert not late, f"compiled in the middle of the stream: {late}"
