"""An entropy code read in parts has the blocks that one reader finds from its first bit on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_eighth import flat, jpeg

from streams import entropy
from streams.eighth import Form, _headed, head_of
from streams.entropy import BEYOND, LEAST, Whole, block_begins, unstuffed


def opened(data: bytes) -> tuple[Form, Any, Any]:
    """The form of a JPEG, its code and where its intervals end."""
    head = head_of(data)
    form = _headed(head)
    assert form is not None
    code, ends = np.empty(len(data) + BEYOND, np.uint8), np.empty(1, np.int64)
    assert unstuffed(np.frombuffer(data, np.uint8), len(head), code, ends)
    return form, code, ends


@pytest.mark.parametrize(
    "data",
    [jpeg(640, 360), jpeg(640, 360, "L"), jpeg(640, 360, subsampling=0, quality=97), flat(1600, 1200)],
    ids=["as cameras write it", "grey", "of full colour", "of one grey for the most part"],
)
def test_who_reads_in_parts_finds_what_one_reader_finds(data: bytes) -> None:
    form, code, ends = opened(data)
    tall, wide = form.unit
    blocks = -(-form.height // (8 * tall)) * -(-form.width // (8 * wide)) * form.codes.rows.size
    assert 8 * ends[-1] >= LEAST
    found = np.empty(blocks, np.int32)
    assert block_begins(code, ends, form.codes, blocks, found)
    at: Whole = 0
    alone = []
    for block in range(blocks):
        alone.append(int(at))
        at = entropy._block_end(code, at, form.codes.rows[block % form.codes.rows.size], form.codes)
    assert np.array_equal(found, alone)
    assert 8 * ends[-1] - 8 < at <= 8 * ends[-1]


def test_zeros_behind_ones_are_left_out_and_any_other_marker_ends_it() -> None:
    rng = np.random.default_rng(5)
    for size in range(1, 60):
        plain = bytes(rng.choice([0, 1, 0x7F, 0xFE, 0xFF], size).astype(np.uint8))
        data = np.frombuffer(plain.replace(b"\xff", b"\xff\x00") + b"\xff\xd9" + b"\x00" * 20, np.uint8)
        code, ends = np.full(data.size + BEYOND, 7, np.uint8), np.empty(1, np.int64)
        assert unstuffed(data, 0, code, ends)
        assert ends[0] == size
        assert code[:size].tobytes() == plain
        assert not code[size : size + BEYOND].any()
        for torn in (data[:-22], data[: size // 2], np.append(data[: size // 3], [0xFF, 0xC4]).astype(np.uint8)):
            assert not unstuffed(torn, 0, code, ends)
