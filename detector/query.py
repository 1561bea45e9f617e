"""A still as it is looked up: its placings, codes and candidates, each worked out once, when it is first asked for.

Owns what is kept of a still while it is judged. Refuses to compare and to decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from detector.known import Known
from detector.memory import Memory
from detector.reading import Reading, readings
from models.agreement import Agreement, compare
from models.code import Hypotheses, fine_of, hypotheses
from models.fingerprint import Fingerprint
from models.looked import Looked
from models.placing import RARE, USUAL, boxed
from models.records import SceneId
from models.view import WORDS_OF, View, frames, seen


class Query:
    """A still as it is looked up. What only novel stills need is worked out when it is asked for."""

    def __init__(self, found: Fingerprint) -> None:
        self.found = found
        self._looked: dict[View, Looked] = {}
        self._near: tuple[tuple[object, ...], NDArray[np.int64]] | None = None
        self._as_is: dict[SceneId, Agreement] = {}

    def seen(self, view: View) -> Looked:
        """Made ready for the second look, as the view sees it."""
        if view not in self._looked:
            self._looked[view] = Looked(seen(self.found.levels, view))
        return self._looked[view]

    @property
    def looked(self) -> Looked:
        """Made ready for the second look, wholly."""
        return self.seen(View.WHOLE)

    def as_is(self, memory: Memory, known: Known) -> Agreement:
        """How it agrees with a scene as it is; looked at once."""
        id_ = known.record.id
        if id_ not in self._as_is:
            self._as_is[id_] = compare(self.looked, memory.looked(known))
        return self._as_is[id_]

    @cached_property
    def fine(self) -> NDArray[np.float32]:
        """Smoothed, at half cells."""
        return fine_of(self.found.levels)

    @cached_property
    def usual(self) -> Hypotheses:
        """It under the common placings."""
        return hypotheses(self.fine, np.concatenate([USUAL, boxed(self.found.box)]))

    @cached_property
    def rare(self) -> Hypotheses:
        """It under the rarer placings."""
        return hypotheses(self.fine, np.concatenate([RARE, frames(self.found.levels)]))

    def near(self, memory: Memory, skip: Sequence[int], standings: Sequence[int]) -> NDArray[np.int64]:
        """Rows that may show it under a common placing, whole or in part. Asked several times of one search."""
        asked = (memory, *skip, None, *standings)
        if self._near is None or self._near[0] != asked:
            rows = memory.candidates(self.usual, skip, standings, usual=len(self.usual.placings))
            self._near = asked, rows
        return self._near[1]

    def farther(self, memory: Memory, skip: Sequence[int], standings: Sequence[int]) -> NDArray[np.int64]:
        """Rows that may show it under a rarer placing."""
        return memory.candidates(self.rare, skip, standings, whole=0)

    @cached_property
    def anew(self) -> list[Reading]:
        """The still read otherwise than as it came."""
        return readings(self.found)

    @cached_property
    def partial(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Codes and masks of the partial views, as it is, in the order of `PARTIAL`."""
        masks = self.found.mask[None] & WORDS_OF
        return np.repeat(self.found.code[None], len(masks), axis=0), masks
