"""`strayframe hooks listen`: a receiver that verifies and prints what arrives, for people who write theirs."""

from __future__ import annotations

from collections import deque
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Final

from rich.console import Console
from rich.json import JSON

from api.options import fail
from streams.outbox.call import BODY_BYTES
from streams.outbox.webhook import BadSecret, BadSignature, signed_by, verified

REMEMBERED: Final = 1000
"""Ids of notices by which a repeated one is told."""
SILENT_SECONDS: Final = 10.0
"""How long a sender may be silent within its request."""


def run(host: str, port: int, secret: str) -> int:
    """Listen until interrupted. Exit code 2: the secret is none, or the address cannot be had."""
    try:
        server = listening(host, port, secret, Console())
    except BadSecret as error:
        fail(str(error))
    except OSError as error:
        fail(f"cannot listen on {host}:{port} ({error.strerror})")
    place = "http://{}:{}".format(*server.server_address[:2])
    Console(stderr=True).print(f"listening on {place}; make a hook with that URL. Ctrl-C ends.")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
    return 0


def listening(host: str, port: int, secret: str, console: Console) -> ThreadingHTTPServer:
    """The receiver, bound and not yet serving. Raises BadSecret, OSError."""
    signed_by(secret)
    members = {"secret": secret, "console": console, "seen": deque(maxlen=REMEMBERED)}
    return ThreadingHTTPServer((host, port), type("Handler", (_Handler,), members))


class _Handler(BaseHTTPRequestHandler):
    secret: ClassVar[str]
    console: ClassVar[Console]
    seen: ClassVar[deque[str]]
    timeout = SILENT_SECONDS

    def do_POST(self) -> None:
        length = self.headers.get("content-length", "")
        if not length.isdecimal() or int(length) > BODY_BYTES:
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        body = self.rfile.read(int(length))
        try:
            told = verified(self.secret, dict(self.headers.items()), body)
        except BadSignature as error:
            self.console.print(f"[red]refused[/red]: {error}", highlight=False)
            self._answer(HTTPStatus.UNAUTHORIZED)
            return
        self._answer(HTTPStatus.NO_CONTENT)
        self._print(told)

    def _print(self, told: dict[str, Any]) -> None:
        id_ = self.headers["webhook-id"]
        again = " [yellow]again: to be ignored[/yellow]" if id_ in self.seen else ""
        self.seen.append(id_)
        self.console.print(f"[bold]{told.get('type')}[/bold] {told.get('timestamp')} {id_}{again}", highlight=False)
        self.console.print(JSON.from_data(told.get("data")))

    def _answer(self, status: HTTPStatus) -> None:
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """What arrives is printed, not that it did."""
