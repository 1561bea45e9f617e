"""How a worker is: a small HTTP server with /metrics, /healthz and /readyz.

Owns readiness in words. /healthz says that the process lives, /readyz that stills are being judged: it fails while
the index is loaded, while rights are read and while a standby waits. Refuses everything else.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar, Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from models.errors import StrayframeError
from streams.metrics import Metrics

READY = "judging"
SILENT_SECONDS: Final = 10.0
"""How long who connects may be silent: a probe asks at once, and each connection has a thread."""


class PortTaken(StrayframeError):
    """The address on which health is to be shown cannot be listened on."""


class Health:
    """What a process is doing, in a word or two. `READY` is the one state in which it is ready."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self._state = "starting"
        self._lag: float | None = None
        self._behind = 0
        self._kill_switch: Callable[[], str] | None = None
        self.metrics.ready.set(0)

    @property
    def state(self) -> str:
        """What it does now."""
        return self._state

    def now(self, state: str) -> None:
        """Say what it does from here on."""
        self._state = state
        self.metrics.ready.set(state == READY)

    def lags(self, seconds: float | None, behind: int) -> None:
        """Say how old the last still is that was judged (None before the first), and how many messages still wait."""
        self._lag, self._behind = seconds, behind
        self.metrics.behind.set(behind)
        if seconds is not None:
            self.metrics.lag_seconds.set(seconds)

    def watches(self, kill_switch: Callable[[], str] | None) -> None:
        """Say where to ask how the kill switch stands, in words; None while nobody can be asked."""
        self._kill_switch = kill_switch

    def told(self) -> dict[str, object]:
        """State, lag, backlog and kill switch, as /readyz says them. A large lag without a backlog says that nothing
        arrives. The kill switch is asked for each time, and changes nothing of readiness."""
        lag = None if self._lag is None else round(self._lag, 1)
        behind = {"lag_seconds": lag, "messages_behind": self._behind}
        return {"detail": self._state, **behind, "kill_switch": self._killed()}

    def _killed(self) -> str:
        ask = self._kill_switch
        try:
            return "unknown" if ask is None else ask()
        except StrayframeError as error:
            return f"unknown: {error}"


class HealthServer:
    """Serves `health` on host and port, port 0 being any free one, until closed. Raises PortTaken."""

    def __init__(self, health: Health, host: str, port: int) -> None:
        handler = type("Handler", (_Handler,), {"health": health})
        try:
            self._server = ThreadingHTTPServer((host, port), handler)
        except OSError as error:
            raise PortTaken(f"metrics_port {port} on {host} cannot be listened on ({error.strerror})") from None
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="strayframe-health", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    health: ClassVar[Health]
    timeout = SILENT_SECONDS

    def do_GET(self) -> None:
        match self.path.partition("?")[0]:
            case "/metrics":
                self._answer(HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(self.health.metrics.registry))
            case "/healthz":
                self._say(HTTPStatus.OK, {"detail": "ok"})
            case "/readyz":
                ready = self.health.state == READY
                self._say(HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE, self.health.told())
            case _:
                self._say(HTTPStatus.NOT_FOUND, {"detail": "here are /metrics, /healthz and /readyz"})

    def _say(self, status: HTTPStatus, said: dict[str, object]) -> None:
        self._answer(status, "application/json", json.dumps(said).encode())

    def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Probes every few seconds are no news."""
