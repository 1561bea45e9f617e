"""An independent witness: how many points of two pictures agree in one geometry, by SIFT and RANSAC.

Owns the link to OpenCV, which is an optional extra. Refuses to take part in any verdict: it only says whether a still
that was missed could have been recognised at all.
"""

from __future__ import annotations

import importlib.util
import io
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.errors import StrayframeError
from streams.decode import FORMATS

RATIO: Final = 0.75
"""A point's best match must be nearer than this share of its second best (Lowe, 2004)."""
REACH: Final = 4.0
"""Pixels by which a match may miss the common geometry (a homography), at `LONGEST` pixels."""
LONGEST: Final = 960
FEWEST: Final = 4
"""Matches that a homography needs."""
ABSENT: Final = "SIFT inliers are not counted: OpenCV is not installed (pip install 'strayframe[evaluate]')."


class WitnessAbsentError(StrayframeError):
    """OpenCV is not installed."""


def present() -> bool:
    """Whether the witness can be asked."""
    return importlib.util.find_spec("cv2") is not None


def inliers(still: bytes, intact: bytes) -> int:
    """Points of `still` that lie where one homography puts those of `intact`; the better of it and its mirror image.

    Unrelated pictures have 0 to 10. Raises WitnessAbsentError without OpenCV; 0 for bytes that cannot be decoded.
    """
    _opencv()
    a, b = _grey(still), _grey(intact)
    if a is None or b is None:
        return 0
    return max(_agreeing(a, b), _agreeing(np.ascontiguousarray(a[:, ::-1]), b))


@lru_cache(maxsize=1)
def _opencv() -> Any:
    if not present():
        raise WitnessAbsentError(ABSENT)
    import cv2

    cv2.setNumThreads(1)
    return cv2


def _grey(data: bytes) -> NDArray[np.uint8] | None:
    """The picture at `LONGEST` pixels, cut-off bytes as far as they go (streams/decode.py has told Pillow so)."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            grey = image.convert("L")
    except (OSError, SyntaxError, ValueError):
        return None
    scale = LONGEST / max(grey.size)
    return np.asarray(grey.resize((round(grey.width * scale), round(grey.height * scale)), Image.Resampling.BOX))


def _agreeing(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> int:
    cv2 = _opencv()
    sift = cv2.SIFT_create(nfeatures=4000)
    (here, left), (there, right) = sift.detectAndCompute(a, None), sift.detectAndCompute(b, None)
    if left is None or right is None or len(left) < 2 or len(right) < 2:
        return 0
    pairs = cv2.BFMatcher().knnMatch(left, right, k=2)
    good = [best for best, second in pairs if best.distance < RATIO * second.distance]
    if len(good) < FEWEST:
        return 0
    source = np.array([here[match.queryIdx].pt for match in good], np.float32)
    target = np.array([there[match.trainIdx].pt for match in good], np.float32)
    cv2.setRNGSeed(1)
    _, mask = cv2.findHomography(source, target, cv2.RANSAC, REACH)
    return 0 if mask is None else int(mask.sum())
