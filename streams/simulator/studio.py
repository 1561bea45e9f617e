"""Draws a simulation's stills, in this process or ahead of time in others.

Owns the stages that are kept, and which process draws which camera. Refuses to know what is delivered to whom: it is
asked for shots. A shot is a pure function of what it names, so the bytes do not depend on who draws it.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from multiprocessing import get_context
from random import Random
from typing import Final
from zlib import crc32

from streams.simulator.render import Mode, Moment, Stage, damage, jpeg, stage, still

PROCESSES: Final = min(2, os.cpu_count() or 1)
"""Processes that a command draws with: drawing costs some five times the judging; more than two were not tried."""
STAGES: Final = 150
"""Stages that a process keeps: each takes a tenth of a second to draw and lasts while its camera's light does."""


@dataclass(frozen=True, slots=True)
class Shot:
    """One still to be drawn: the camera's seed, its light, the moment; `odd` is done to it, seeded by `odd_seed`."""

    camera: str
    mode: Mode
    serial: int
    local: datetime
    odd: damage.Odd | None = None
    odd_seed: str = ""


class Studio:
    """Draws shots in `processes` of its own, or with 0 in this one, when they are asked for.

    `expect` tells a shot ahead, so that it is drawn meanwhile; `shoot` returns its JPEG. As a context manager it ends
    its processes.
    """

    def __init__(self, processes: int = 0) -> None:
        spawn = get_context("spawn")  # a fork would copy the threads of the judge and of its store
        self._others = [ProcessPoolExecutor(1, spawn) for _ in range(processes)]
        self._ahead: dict[Shot, Future[bytes]] = {}

    def __enter__(self) -> Studio:
        return self

    def __exit__(self, *_: object) -> None:
        for other in self._others:
            other.shutdown(wait=True, cancel_futures=True)

    def expect(self, shot: Shot) -> None:
        """Have the shot drawn ahead. The same camera is always drawn by the same process, which keeps its stage."""
        if self._others:
            other = self._others[crc32(shot.camera.encode()) % len(self._others)]
            self._ahead[shot] = other.submit(_draw, shot)

    def shoot(self, shot: Shot) -> bytes:
        """The shot's JPEG; waits for it where it was expected."""
        drawn = self._ahead.pop(shot, None)
        return _draw(shot) if drawn is None else drawn.result()

    def forget(self, shot: Shot) -> None:
        """The shot will not be asked for after all."""
        drawn = self._ahead.pop(shot, None)
        if drawn is not None:
            drawn.cancel()


_stages: OrderedDict[tuple[str, Mode], Stage] = OrderedDict()
"""The stages that this process used last."""


def _draw(shot: Shot) -> bytes:
    key = (shot.camera, shot.mode)
    scene = _stages.pop(key, None) or stage(*key)
    _stages[key] = scene
    if len(_stages) > STAGES:
        _stages.popitem(last=False)
    picture = still(scene, Moment(shot.serial, shot.local))
    if shot.odd is not None:
        picture = shot.odd(picture, Random(shot.odd_seed))
    return jpeg(picture, scene.quality)
