"""The processes of one `serve --processes N`: N that speak HTTP, and one that answers for them all.

Owns who is started, with what, and who is started anew; the parent does nothing else. All share one listening address.
Refuses to judge and to route. What each end of the line between them does is in `api.relay`.

Told to stop, the HTTP processes first finish what they have in hand; the one that answers leaves when they have left.
A parent that is killed takes all with it: an orphan would keep the address and the lease.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

import structlog
import uvicorn
from fastapi import FastAPI

from api.app import create_app
from api.intake import OwnCounts
from api.judging import WAITING_BYTES
from api.patience import Patient, Server
from api.relay import AT_ONCE_BYTES, Answering, Relaying
from api.wiring import intake_of, open_look
from streams import allocation, tracing
from streams.log import configure
from streams.metrics import Metrics
from streams.outbox.dispatch import Dispatcher
from streams.settings import Settings
from streams.stop import GLANCE_SECONDS, Stop

LEAVE_SECONDS: Final = 10
"""Time that requests in hand get to end when the process is told to stop."""
KILL_SECONDS: Final = 2 * LEAVE_SECONDS
"""Time after which a process that was told to stop is killed: it had its time for requests, and the store its own."""
ANEW_SECONDS: Final = 1.0
"""Least time between two starts of one process: what ends at its start does not keep the machine busy."""

_log = structlog.get_logger()


class Role:
    """A process that is started, and started anew when it ends."""

    def __init__(self, name: str, target: Callable[..., None], *args: object) -> None:
        self._name = name
        self._target = target
        self._args = args
        self._begun = 0.0
        self.process = self._start()

    def mend(self) -> None:
        """Start it anew if it has ended, but not sooner than `ANEW_SECONDS` after its last start."""
        if self.process.is_alive() or time.monotonic() < self._begun + ANEW_SECONDS:
            return
        _log.warning("process.ended", role=self._name, exit_code=self.process.exitcode)
        self.process.close()
        self.process = self._start()

    def tell_to_stop(self) -> None:
        """Tell it; it is not waited for."""
        self.process.terminate()

    def await_end(self) -> None:
        """Wait until it has ended; kill it when that takes too long."""
        self.process.join(KILL_SECONDS)
        if self.process.exitcode is None:
            _log.warning("process.killed", role=self._name)
            self.process.kill()
            self.process.join()

    def _start(self) -> BaseProcess:
        self._begun = time.monotonic()
        process = get_context("spawn").Process(target=self._target, args=self._args, name=self._name)
        process.start()
        _log.info("process.started", role=self._name, pid=process.pid)
        return process


def serve_by_many(settings: Settings, listener: socket.socket) -> None:
    """Serve on the listener by `settings.processes` HTTP processes until SIGINT or SIGTERM."""
    with Stop() as stop, tempfile.TemporaryDirectory(prefix="strayframe-") as folder:
        path = Path(folder) / "answers"
        with socket.socket(socket.AF_UNIX) as desk:
            desk.bind(str(path))  # held here: a process that answers anew is found where the last one was
            answers = Role("answers", answer_all, settings, desk)
            speaks = [Role(f"http-{n}", speak, settings, listener, path) for n in range(1, settings.processes + 1)]
            try:
                while not stop.asked:
                    for role in (answers, *speaks):
                        role.mend()
                    wait([role.process.sentinel for role in (answers, *speaks)], GLANCE_SECONDS)
            finally:
                listener.close()
                _end(speaks)
                _end([answers])


def _end(roles: list[Role]) -> None:
    for role in roles:
        role.tell_to_stop()
    for role in roles:
        role.await_end()


def speak(settings: Settings, listener: socket.socket, path: Path) -> None:
    """What an HTTP process does."""
    _begin(settings)
    relay = Relaying(
        path,
        None if settings.kafka else partial(open_look, settings),
        receipt_only=bool(settings.kafka),
        waiting_bytes=WAITING_BYTES // settings.processes,
    )
    run_server(create_app(settings, intake=relay, counts=relay), settings, [listener])


def answer_all(settings: Settings, desk: socket.socket) -> None:
    """What the process does that answers: it judges, or with Kafka produces, for every HTTP process, and dispatches."""
    _begin(settings)
    asyncio.run(_answer(settings, desk))


async def _answer(settings: Settings, desk: socket.socket) -> None:
    leave = asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, leave.set)
    metrics = Metrics()
    dispatcher = Dispatcher(settings, metrics)
    intake = intake_of(settings, metrics, partial(datetime.now, UTC), dispatcher.noticed)
    answering = Answering(intake, OwnCounts(metrics))
    await intake.start()
    dispatcher.start()
    server = await asyncio.start_unix_server(answering.answer, sock=desk, limit=AT_ONCE_BYTES)
    await leave.wait()
    await answering.deserted()  # the same signal may have reached all at once, as Ctrl-C does
    server.close()
    await intake.stop()
    await asyncio.to_thread(dispatcher.stop)


def run_server(app: FastAPI, settings: Settings, listeners: list[socket.socket] | None = None) -> None:
    """Run uvicorn in this process until SIGINT or SIGTERM; then the process ends with 0."""
    for each in (signal.SIGINT, signal.SIGTERM):
        # uvicorn raises the signal again once it has ended in order: told to stop and stopped is no failure
        signal.signal(each, lambda *_: sys.exit(0))
    config = uvicorn.Config(
        app,
        http=Patient,
        ws="none",
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=LEAVE_SECONDS,
    )
    Server(config).run(listeners)


def _begin(settings: Settings) -> None:
    allocation.keep()
    configure(settings.log_level, settings.log_format)
    if settings.traces:
        tracing.begin()
    threading.Thread(target=_leave_with, args=(parent_process(),), daemon=True, name="parent").start()


def _leave_with(parent: Any) -> None:
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
