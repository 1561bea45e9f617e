"""The processes that look at stills: bytes out, what is compared of a still back.

Owns those processes: how they start and end, how much each is given ahead, and what becomes of a still whose bytes
kill the process that decodes them. Refuses to judge, and to decode in the process that does: there, such a still
would take all that is known with it.

Each process has a pipe for stills and one for answers, and answers in the order in which it was given stills. So a
process that dies names the still that it had in hand, and one that outlives its judge finds its pipes closed and ends.
"""

from __future__ import annotations

import fcntl
import pickle
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from typing import IO, ClassVar, Final

import structlog

from models.errors import StrayframeError
from models.fingerprint import Still
from streams.decode import Decoder
from streams.stop import SIGNALS
from streams.warm import warm_look

log = structlog.get_logger(__name__)

PIPE_BYTES: Final = 1024 * 1024
"""Bytes that wait in a pipe: the most that Linux gives without asking. As stills they are some 30 ms of work, so that
a process has enough to do while the judge is busy with a verdict or a transaction (10 to 50 ms)."""
ANSWER_BYTES: Final = 12288
"""Room that one answer takes in its pipe: 9.7 kB, the greater part levels and greys of 4,096 cells. The answers of all
that a process was given fit into the pipe, so that neither end ever waits for the other for good."""
DEATHS: Final = 2
"""Processes that a still may take with it before it counts as undecodable: the first may have been killed from
outside, for want of memory."""
STARTS: Final = 3
"""Starts in a row that may fail before the crew is given up."""
LAST_SECONDS: Final = 5.0
"""How long a process that has closed its pipes may take to end and say why."""
GONE: Final = (EOFError, OSError, pickle.UnpicklingError)
"""What reading from a process says that is gone: nothing is left, or half a word is."""
DIED: Final = "undecodable: its decoder died"


class CrewFailed(StrayframeError):
    """No process that looks at stills could be started. Trying again may help: memory or process ids may be short."""

    retry: ClassVar[bool] = True


class Look:
    """A still that was handed over to be looked at. Calling it waits for what was seen."""

    __slots__ = ("_crew", "data", "deaths", "looker", "still")

    def __init__(self, crew: Crew, data: bytes) -> None:
        self._crew = crew
        self.data = data
        self.deaths = 0
        self.looker: _Looker | None = None
        self.still: Still | None = None

    def __call__(self) -> Still:
        """What is compared of the still. Raises CrewFailed."""
        return self._crew.await_(self)


class Crew:
    """`processes` that look at stills, by `decoder`. A context manager; leaving it ends them at once.

    What a look gives does not depend on how many there are; `took` is told the seconds that each took. Used by one
    thread.
    """

    def __init__(self, decoder: Decoder, processes: int, took: Callable[[float], None] = lambda _: None) -> None:
        self._decoder = decoder
        self._took = took
        self._waiting: deque[Look] = deque()
        self._stillborn = 0
        self._lookers = [_Looker(decoder, took) for _ in range(processes)]

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes. What they had in hand is forgotten."""
        for looker in self._lookers:
            looker.end()

    def await_ready(self) -> None:
        """Return once every process has loaded its compiled code. Raises CrewFailed."""
        while unready := next((looker for looker in self._lookers if not looker.ready), None):
            self._receive(unready)

    @property
    def hungry(self) -> bool:
        """Whether some process has room for another still: who reads ahead goes on for as long as this holds."""
        return not self._waiting and any(looker.has_room(0) for looker in self._lookers)

    def look(self, data: bytes) -> Look:
        """Hand a still over. The looks may be asked for what they saw in any order, or never."""
        look = Look(self, data)
        self._waiting.append(look)
        self._hand_out()
        return look

    def await_(self, look: Look) -> Still:
        """What `look` saw; while it still waits for its turn, what was handed out before is received."""
        while look.still is None:
            self._receive(look.looker or max(self._lookers, key=lambda looker: len(looker.given)))
            self._hand_out()
        return look.still

    def _hand_out(self) -> None:
        while self._waiting:
            looker = min(self._lookers, key=lambda each: each.bytes)
            if not looker.has_room(len(self._waiting[0].data)):
                return
            look = self._waiting.popleft()
            try:
                looker.give(look)
            except OSError:
                self._bury(looker)

    def _receive(self, looker: _Looker) -> None:
        try:
            looker.receive()
        except GONE:
            self._bury(looker)
        else:
            self._stillborn = 0

    def _bury(self, dead: _Looker) -> None:
        """Put a fresh process in the place of one that died, and have what it was given looked at again."""
        with suppress(*GONE):
            while True:
                dead.receive()  # what it answered before it died
        code = dead.end(LAST_SECONDS)
        again = list(dead.given)
        log.warning("looker.died", exit_code=code, given=len(again))
        if not dead.ready:
            self._stillborn += 1
            if self._stillborn == STARTS:
                raise CrewFailed(f"a process that looks at stills ended at its start {STARTS} times, with code {code}")
        elif again:
            self._blame(again[0])
        for look in reversed(again):
            look.looker = None
            if look.still is None:
                self._waiting.appendleft(look)
        self._lookers[self._lookers.index(dead)] = _Looker(self._decoder, self._took)

    def _blame(self, look: Look) -> None:
        look.deaths += 1
        if look.deaths == DEATHS:
            look.still = self._decoder.unseen(look.data, DIED)


@contextmanager
def crew_of(decoder: Decoder, processes: int, took: Callable[[float], None]) -> Iterator[Crew | None]:
    """A crew of so many processes; none for one, where the judging process looks itself."""
    if processes == 1:
        yield None
        return
    with Crew(decoder, processes, took) as crew:
        yield crew


class _Looker:
    """One process as the judge sees it: what it was given, in order, and whether it is ready."""

    def __init__(self, decoder: Decoder, took: Callable[[float], None]) -> None:
        spawn = get_context("spawn")  # a fork would copy the threads of Kafka's client and of the store
        to_do, self._work = spawn.Pipe(duplex=False)
        self._answers, said = spawn.Pipe(duplex=False)
        self._work_bytes, answer_bytes = _widened(self._work), _widened(self._answers)
        self._most = max(1, answer_bytes // ANSWER_BYTES)
        self._process = spawn.Process(target=_work, args=(to_do, said, decoder), name="looker")
        with _deaf():
            self._process.start()
        to_do.close()
        said.close()
        self._to, self._from = _writer(self._work), _reader(self._answers)
        self._took = took
        self.given: deque[Look] = deque()
        self.bytes = 0
        self.ready = False

    def has_room(self, size: int) -> bool:
        """Whether a still of so many bytes can wait in the pipe. An idle process takes one of any size."""
        return not self.given or (len(self.given) < self._most and self.bytes + size < self._work_bytes)

    def give(self, look: Look) -> None:
        """Hand over a still. Raises OSError when the process is gone; the still counts as given all the same."""
        look.looker = self
        self.given.append(look)
        self.bytes += len(look.data)
        _say(self._to, look.data)

    def receive(self) -> None:
        """Wait for its next word. Raises EOFError, OSError, UnpicklingError when the process is gone."""
        said = pickle.load(self._from)  # noqa: S301 - written by our own process
        if said is None:
            self.ready = True
            return
        look = self.given.popleft()
        self.bytes -= len(look.data)
        look.data, look.looker = b"", None
        seconds, look.still = said
        self._took(seconds)

    def end(self, seconds: float = 0.0) -> int | None:
        """Give it so long to end by itself, then end it; its exit code, negative for a signal."""
        self._process.join(seconds)
        self._process.kill()
        self._process.join()
        with suppress(OSError):
            self._to.close()  # left to itself it would write its rest to whatever has its number by then
        self._work.close()
        self._answers.close()
        return self._process.exitcode


def _work(stills: Connection, answers: Connection, decoder: Decoder) -> None:
    """What a looking process does until nobody is left to answer to."""
    warm_look(decoder)  # the decoder's libraries and compiled code
    to_do, said = _reader(stills), _writer(answers)
    with suppress(*GONE):
        _say(said, None)
        while True:
            data = pickle.load(to_do)  # noqa: S301 - written by the judge
            begin = time.perf_counter()
            still = decoder.still(data)
            _say(said, (time.perf_counter() - begin, still))


def _say(pipe: IO[bytes], word: object) -> None:
    pickle.dump(word, pipe, pickle.HIGHEST_PROTOCOL)
    pipe.flush()


def _writer(pipe: Connection) -> IO[bytes]:
    """The pipe as a file: pickle writes a picture to it, and reads it, in one piece without a copy of its own."""
    return open(pipe.fileno(), "wb", closefd=False)


def _reader(pipe: Connection) -> IO[bytes]:
    return open(pipe.fileno(), "rb", closefd=False)


def _widened(pipe: Connection) -> int:
    """Make a pipe as wide as is allowed; how wide it is."""
    with suppress(OSError):
        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return fcntl.fcntl(pipe.fileno(), fcntl.F_GETPIPE_SZ)


@contextmanager
def _deaf() -> Iterator[None]:
    """A process started within hears nobody who asks to stop: the judge finishes its batch first, then ends it."""
    resource_tracker.ensure_running()  # else the first start does, and lets the signals through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
