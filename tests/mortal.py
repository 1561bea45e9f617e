"""Decoders that end the process they are in. A module of its own, which such a process loads in no time."""

from __future__ import annotations

import os
import signal
import sys

from models.records import Picture
from streams.decode import Decoder

DEADLY = b"this picture kills whoever decodes it"


class Mortal(Decoder):
    """A decoder that a certain picture kills."""

    def __call__(self, data: bytes) -> Picture:
        if data.startswith(DEADLY):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(data)


class Unborn(Decoder):
    """A decoder that ends the process to which it is sent."""

    def __reduce__(self) -> tuple[object, ...]:
        return sys.exit, (7,)
