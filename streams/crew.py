"""The processes that look at stills: bytes out, what is compared of a still back.

Owns those processes: how they start and end, how much each is given ahead, and what becomes of a still whose bytes
kill the process that decodes them. Refuses to judge, and to decode in the process that does: there, such a still
would take all that is known with it.

The bytes of stills lie in one piece of memory that all of them have open (streams/ring.py), and what was seen of a
still is laid behind it. Each process has a pipe that says where its next stills lie and one that says what it is done
with, in the order in which it was given stills. So a process that dies names the still that it had in hand, and one
that outlives its judge finds its pipes closed and ends.

The judge is a process beside them. Each time that it asks for a still it takes in whatever was answered and hands out
what there is room for, so that those that look have work while it is busy with a verdict or a transaction.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import struct
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from typing import ClassVar, Final

import structlog

from models.errors import StrayframeError
from models.fingerprint import Still
from streams.decode import Decoder
from streams.ring import Place, Reading, Ring
from streams.stop import SIGNALS
from streams.warm import warm_look

log = structlog.get_logger(__name__)

AHEAD_BYTES: Final = 2 * 1024 * 1024
"""Bytes of stills that lie ready, for each process: of 140 kB some 14, 8 ms of work. So long the judge may be busy with
a verdict, or wait for its turn on a core (3 to 5 ms each). Neither half as many nor twice as many do better, and of
what lies ready when the last still was handed over the judge judges the rest alone (benchmarks/processes.py)."""
SEEN_BYTES: Final = 10240
"""Room for what was seen of a still: 9.4 kB, the greater part levels and greys of 4,096 cells."""
BEHIND: Final = 5
"""By so many steps the system puts a process that looks behind the judge (nice). Three that want two cores would each
get two thirds of one: those that look would be done long before the judge, which would judge the rest alone."""
DEATHS: Final = 2
"""Processes that a still may take with it before it counts as undecodable: the first may have been killed from
outside, for want of memory."""
STARTS: Final = 3
"""Starts in a row that may fail before the crew is given up."""
LAST_SECONDS: Final = 5.0
"""How long a process that has closed its pipes may take to end and say why."""
DIED: Final = "undecodable: its decoder died"

PLACE: Final = struct.Struct("=QQ")
"""What a process is told of a still: where in the ring it lies, and its length."""
DONE: Final = struct.Struct("=dQ")
"""What a process says of a still: the seconds that it took, and how many bytes lie behind it; of no bytes, that it is
ready."""
MOST: Final = select.PIPE_BUF // DONE.size
"""Stills that a process is given ahead at most: what it says of them fits into its pipe, however narrow that is, so
that neither end ever waits for the other for good."""


class CrewFailed(StrayframeError):
    """No process that looks at stills could be started. Trying again may help: memory or process ids may be short."""

    retry: ClassVar[bool] = True


class Look:
    """A still that was handed over to be looked at. Calling it waits for what was seen."""

    __slots__ = ("_crew", "_data", "_ring", "deaths", "place", "size", "still")

    def __init__(self, crew: Crew, ring: Ring, data: bytes) -> None:
        self._crew = crew
        self._ring = ring
        self._data = data
        self.size = len(data)
        self.place: Place | None = None
        self.deaths = 0
        self.still: Still | None = None

    def __call__(self) -> Still:
        """What is compared of the still. Raises CrewFailed."""
        return self._crew.await_(self)

    @property
    def data(self) -> bytes:
        """Its bytes, until it was seen."""
        return self._data if self.place is None else self._ring.get(self.place)

    def lay_ready(self) -> bool:
        """Lay its bytes where others can read them, unless they lie there; whether there was room."""
        if self.place is None:
            self.place = self._ring.put(self._data)
            if self.place is None:
                return False
            self._data = b""
        return True

    def hear(self, size: int) -> None:
        """So many bytes of what was seen lie behind it."""
        assert self.place is not None
        self.tell(pickle.loads(self._ring.said(self.place, size)))  # noqa: S301 - written by our own process

    def tell(self, still: Still) -> None:
        """This is what was seen; the bytes are not needed any more."""
        self.still = still
        if self.place is not None:
            self._ring.free(self.place)


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
        self._ring = Ring(processes * AHEAD_BYTES, SEEN_BYTES)
        self._poll = select.poll()
        self._lookers: dict[int, _Looker] = {}  # by the number of the file that their answers come from
        for _ in range(processes):
            self._start()

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes. What they had in hand is forgotten."""
        for looker in self._lookers.values():
            looker.end()
        self._ring.close()

    def await_ready(self) -> None:
        """Return once every process has loaded its compiled code. Raises CrewFailed."""
        while not all(looker.ready for looker in self._lookers.values()):
            self._receive()

    @property
    def hungry(self) -> bool:
        """Whether some process has room for another still: who reads ahead goes on for as long as this holds."""
        return not self._waiting and any(looker.has_room for looker in self._lookers.values())

    def look(self, data: bytes) -> Look:
        """Hand a still over. The looks may be asked for what they saw in any order, or never."""
        look = Look(self, self._ring, data)
        self._waiting.append(look)
        self._hand_out()
        return look

    def await_(self, look: Look) -> Still:
        """What `look` saw. Whatever else was seen until then is taken in, too, and its room given to the next."""
        self._receive(wait=look.still is None)
        while look.still is None:
            self._receive()
        return look.still

    def _hand_out(self) -> None:
        while self._waiting:
            free = [looker for looker in self._lookers.values() if looker.has_room]
            if not free or not self._waiting[0].lay_ready():
                return
            looker = min(free, key=lambda each: each.bytes)
            look = self._waiting.popleft()
            try:
                looker.give(look)
            except OSError:  # it was gone before: the still has no part in that
                self._waiting.appendleft(look)
                self._bury(looker)

    def _receive(self, *, wait: bool = True) -> None:
        for number, _ in self._poll.poll(None if wait else 0):
            looker = self._lookers[number]
            if looker.receive():
                self._stillborn = 0
            else:
                self._bury(looker)
        self._hand_out()

    def _start(self) -> None:
        looker = _Looker(self._decoder, self._ring, self._took)
        self._lookers[looker.number] = looker
        self._poll.register(looker.number, select.POLLIN)

    def _bury(self, dead: _Looker) -> None:
        """Put a fresh process in the place of one that died, and have what it was given looked at again."""
        while dead.receive():
            pass  # what it answered before it died
        self._poll.unregister(dead.number)
        del self._lookers[dead.number]
        code = dead.end(LAST_SECONDS)
        again = list(dead.given)
        log.warning("looker.died", exit_code=code, given=len(again))
        if not dead.ready:
            self._stillborn += 1
            if self._stillborn == STARTS:
                raise CrewFailed(f"a process that looks at stills ended at its start {STARTS} times, with code {code}")
        elif again:
            self._blame(again[0])
        self._waiting.extendleft(look for look in reversed(again) if look.still is None)
        self._start()

    def _blame(self, look: Look) -> None:
        look.deaths += 1
        if look.deaths == DEATHS:
            look.tell(self._decoder.unseen(look.data, DIED))


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

    def __init__(self, decoder: Decoder, ring: Ring, took: Callable[[float], None]) -> None:
        spawn = get_context("spawn")  # a fork would copy the threads of Kafka's client and of the store
        to_do, self._work = spawn.Pipe(duplex=False)
        self._answers, said = spawn.Pipe(duplex=False)
        self._process = spawn.Process(target=_work, args=(to_do, said, ring, decoder), name="looker")
        with _deaf():
            self._process.start()
        to_do.close()
        said.close()
        self.number = self._answers.fileno()
        self._took = took
        self.given: deque[Look] = deque()
        self.bytes = 0
        self.ready = False

    @property
    def has_room(self) -> bool:
        """Whether one more word would fit into its pipe."""
        return len(self.given) < MOST

    def give(self, look: Look) -> None:
        """Hand over a still that lies ready. Raises OSError when the process is gone; then it is not given."""
        assert look.place is not None
        os.write(self._work.fileno(), PLACE.pack(look.place.at, look.size))  # few are under way: this never waits
        self.given.append(look)
        self.bytes += look.size

    def receive(self) -> bool:
        """Take in what it has said, waiting for it if that is nothing yet. False when the process is gone."""
        try:
            said = os.read(self.number, MOST * DONE.size)
        except OSError:
            return False
        for seconds, size in DONE.iter_unpack(said):
            self._hear(seconds, size)
        return bool(said)

    def end(self, seconds: float = 0.0) -> int | None:
        """Give it so long to end by itself, then end it; its exit code, negative for a signal."""
        self._process.join(seconds)
        self._process.kill()
        self._process.join()
        self._work.close()
        self._answers.close()
        return self._process.exitcode

    def _hear(self, seconds: float, size: int) -> None:
        if not size:
            self.ready = True
            return
        look = self.given.popleft()
        self.bytes -= look.size
        look.hear(size)
        self._took(seconds)


def _work(stills: Connection, done: Connection, ring: Reading, decoder: Decoder) -> None:
    """What a looking process does until nobody is left to answer to."""
    os.nice(BEHIND)
    warm_look(decoder)  # the decoder's libraries and compiled code
    with suppress(OSError):
        os.write(done.fileno(), DONE.pack(0.0, 0))
        while places := os.read(stills.fileno(), select.PIPE_BUF):
            for at, size in PLACE.iter_unpack(places):
                begin = time.perf_counter()
                still = decoder.still(ring.get(at, size))
                seconds = time.perf_counter() - begin
                said = pickle.dumps(still, pickle.HIGHEST_PROTOCOL)
                ring.say(at, size, said)
                os.write(done.fileno(), DONE.pack(seconds, len(said)))


@contextmanager
def _deaf() -> Iterator[None]:
    """A process started within hears nobody who asks to stop: the judge finishes its batch first, then ends it."""
    resource_tracker.ensure_running()  # else the first start does, and lets the signals through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
