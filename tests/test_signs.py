"""Many scenes at once are found by what each is found by alone."""

from __future__ import annotations

import numpy as np
import pytest
from places import still

from models.code import code_of
from models.keys import keys_of
from models.packing import pack, unpack
from models.signs import signs_of
from models.thumbnail import INVALID


def packed() -> np.ndarray:
    """Thumbnails of drawn places: whole, parts hidden, and one of nothing."""
    found = []
    for seed in range(9):
        fingerprint = still(seed).fingerprint
        assert fingerprint is not None
        for part in range(4):
            levels = fingerprint.levels.copy()
            levels[: 12 * part] = INVALID
            found.append(pack(levels)[0])
    return np.array([*found, np.zeros_like(found[0])])


def test_many_scenes_have_the_signs_that_each_has_alone() -> None:
    thumbs = packed()
    signs = signs_of(thumbs)
    for k, one in enumerate(thumbs):
        code, mask = code_of(unpack(one))
        np.testing.assert_array_equal(signs.codes[k], code)
        np.testing.assert_array_equal(signs.masks[k], mask)
        np.testing.assert_array_equal(signs.keys[:, k], keys_of(unpack(one)))


def test_a_torn_thumbnail_among_many_is_named() -> None:
    thumbs = packed()
    thumbs[7] = 255
    with pytest.raises(ValueError, match=f"the 8th of {len(thumbs)}"):
        signs_of(thumbs)
