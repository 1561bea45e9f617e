"""Getting warm: compiled code and models are loaded before the first still comes, never in the middle of the stream.

Owns the few stills of places that do not exist by which every compiled function is called once. Refuses to keep
anything of them.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

import numpy as np
from PIL import Image

from detector.engine import Engine
from models.code import WORDS, code_of, fine_of, hypotheses
from models.distance import distances
from models.keys import KEYS, lookup
from models.packing import PACKED
from models.places import Places
from models.placing import USUAL
from models.records import AccountId, CameraId, Delivery, DeliveryId
from models.shift import shipped
from models.signs import signs_of
from models.table import FULL, ROUND, Tables
from models.thumbnail import SIDE
from streams.decode import Decoder


def warm() -> None:
    """Load compiled code and the shift model, seconds that would else be some still's in the middle of the stream.

    A few stills of places that do not exist are judged and forgotten: as they are, cropped, cut off, dark, foreign,
    on a page and leaning, so that every compiled function is called once. What is not cached on disk yet is compiled
    now.
    """
    shipped()
    engine, decoder = Engine(), Decoder(b"warm")
    for n, (camera, data) in enumerate(_rehearsed()):
        key = DeliveryId("warm", str(n))
        delivery = Delivery(key, datetime.now(UTC), AccountId(f"of-{camera}"), CameraId(camera))
        engine.judge(delivery, partial(decoder.still, data))
    engine.drain()
    # the search by keys, which so few scenes do without
    query = lookup(hypotheses(fine_of(np.zeros((SIDE, SIDE), np.int8)), USUAL), usual=1, as_is=True)
    engine.memory.index.candidates(query, skip=[], standings=[])
    # the code by itself, and all signs, which a matcher takes of what others looked at
    code_of(np.zeros((SIDE, SIDE), np.int8))
    signs_of(np.zeros((1, PACKED), np.uint8))
    # codes that do not lie beside their masks, as placeholders' do
    alone = np.zeros((1, WORDS), np.uint64)
    distances(alone[0], alone[0], alone, alone, np.zeros(1, np.int64))
    # its tables as they grow, and as rows go
    rows = 8 * FULL * ROUND
    tables = Tables(KEYS, rows + 1, 16)
    tables.extend(np.tile(np.arange(rows, dtype=np.uint32) % 32, (KEYS, 1)))
    tables.insert(rows, np.zeros(KEYS, np.uint32))
    tables.remove(0, np.zeros(KEYS, np.uint32))
    # the places of cameras and scenes
    places = Places()
    places.extend(np.zeros(1, np.int64), np.zeros(1, np.int32))
    places.remove(0, 0)


def warm_look(decoder: Decoder) -> None:
    """Load the compiled code of who only looks at stills."""
    for _, data in _rehearsed():
        decoder.still(data)


def _rehearsed() -> Iterator[tuple[str, bytes]]:
    """Claimed cameras and stills, one for each way through the engine."""
    rng = np.random.default_rng(1)
    one, two, three = (
        Image.fromarray(rng.integers(0, 255, (9, 16), dtype=np.uint8)).resize((640, 360), Image.Resampling.BICUBIC)
        for _ in range(3)
    )
    yield from (("one", _encoded(one, quality)) for quality in (80, 85, 90))
    yield from (("two", _encoded(two, quality)) for quality in (80, 85, 90))
    yield "two", _encoded(one.crop((40, 20, 620, 340)), 85)
    yield "one", _encoded(three, 85)
    yield "one", _encoded(three, 85)[:-900]
    yield "two", _encoded(Image.new("L", (640, 360)), 85)
    yield "one", _encoded(one, 70)
    page = Image.new("L", (640, 360), 236)
    page.paste(one.resize((320, 180)), (250, 100))
    yield "two", _encoded(page, 85)
    leaning = [np.roll(row, n // 3) for n, row in enumerate(np.asarray(one))]
    yield "two", _encoded(Image.fromarray(np.stack(leaning)), 85)
    yield "two", _encoded(two.resize((1280, 720)), 85)


def _encoded(picture: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return out.getvalue()
