"""A thread that looks at stills beside the judge, which waits for brokers and store between its verdicts.

Decoding is compiled code that leaves Python's lock to others: while the judge waits for a transaction or for messages,
this thread goes on with what was read ahead, on a core that would stand still. Where the judge needs a still that the
thread has in hand, it looks at the next one meanwhile.

Owns that thread, and which still is whose. Refuses to judge, and to keep anything: what was seen is the message's. A
still that kills its decoder takes the process with it, as it does without the thread; processes of their own
(streams/crew.py) are the remedy.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Final

from models.fingerprint import Still
from streams.decode import Decoder

AHEAD: Final = 32
"""Stills that wait to be looked at before no more is read ahead: some 30 ms of work, as long as a batch's transaction
and the poll behind it take."""


class Look:
    """A still to be looked at. Calling it waits for what was seen."""

    __slots__ = ("_beside", "_data", "_over", "_still")

    def __init__(self, beside: Beside, data: bytes) -> None:
        self._beside = beside
        self._data = data
        self._still: Still | None = None
        self._over = threading.Event()

    def __call__(self) -> Still:
        """What is compared of the still. Raises what the decoder raises."""
        while not self._over.is_set():
            if not self._beside.help():
                self._over.wait()  # the thread has it in hand
        return self._beside.see(self._data) if self._still is None else self._still

    def look(self) -> None:
        """Look, once. Where the decoder raises, whoever asks meets it again."""
        with suppress(Exception):
            self._still = self._beside.see(self._data)
            self._data = b""
        self._over.set()


class Beside:
    """One thread that looks at stills, oldest first. A context manager; leaving it ends the thread.

    What a look gives does not depend on who looks; `took` is told the seconds that each took, in either thread. Stills
    are handed over and asked for by one thread.
    """

    def __init__(self, decoder: Decoder, took: Callable[[float], None] = lambda _: None) -> None:
        self._decoder = decoder
        self._took = took
        self._waiting: SimpleQueue[Look | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="strayframe-look", daemon=True)
        self._thread.start()

    def __enter__(self) -> Beside:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the thread, after the still that it has in hand. What waits is forgotten."""
        with suppress(Empty):
            while True:
                self._waiting.get_nowait()
        self._waiting.put(None)
        self._thread.join()

    @property
    def hungry(self) -> bool:
        """Whether few stills wait: who reads ahead goes on for as long as this holds."""
        return self._waiting.qsize() < AHEAD

    def look(self, data: bytes) -> Look:
        """Hand a still over. The looks may be asked for what they saw in any order, or never."""
        look = Look(self, data)
        self._waiting.put(look)
        return look

    def help(self) -> bool:
        """Look at the oldest still that waits, in the thread that calls; False where none does."""
        try:
            look = self._waiting.get_nowait()
        except Empty:
            return False
        if look is not None:
            look.look()
        return look is not None

    def _run(self) -> None:
        while (look := self._waiting.get()) is not None:
            look.look()

    def see(self, data: bytes) -> Still:
        """What is compared of a still, in the thread that calls."""
        return self._decoder.timed(data, self._took)
