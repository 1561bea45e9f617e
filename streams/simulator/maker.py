"""The display maker's side: a receiver of hooks that holds deliveries back in the scopes it was told to shut.

Owns the maker's own switch, written as a stranger would write it: from docs/hooks.md, knowing nothing of the product
but the signature and the words on the wire. It knows on and off only: it shuts at `suspension.requested` and opens at
`suspension.lifted`. Refuses to deliver: the simulation asks its `gate` before each delivery.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Final

from detector.notice import NoticeType
from models.records import Delivery
from streams.outbox.call import BODY_BYTES
from streams.outbox.webhook import BadSignature, verified

WANTED: Final = frozenset(
    {NoticeType.SUSPENSION_REQUESTED, NoticeType.SUSPENSION_CHANGED, NoticeType.SUSPENSION_LIFTED}
)
"""What the maker's hook asks to be told."""
SILENT_SECONDS: Final = 10.0
"""How long a sender may be silent within its request."""


@dataclass(slots=True)
class _Switches:
    """What is shut: scope by suspension; the newest version heard of each; when each order was first answered."""

    shut: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    answered: dict[tuple[str, int], float] = field(default_factory=dict)
    refused: int = 0
    secret: str | None = None
    changed: threading.Condition = field(default_factory=threading.Condition)


class Maker:
    """Receives on a free port of loopback from `__enter__` to `__exit__`. Safe to ask from any thread.

    Until it was told the secret it trusts nobody.
    """

    def __init__(self) -> None:
        self._switches = _Switches()
        handler = type("Handler", (_Handler,), {"switches": self._switches})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="maker", daemon=True)

    def __enter__(self) -> Maker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where the maker wants its hook called."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/strayframe"

    @property
    def refused(self) -> int:
        """Calls that were not signed with the secret."""
        return self._switches.refused

    def trust(self, secret: str) -> None:
        """Believe what is signed with this secret."""
        self._switches.secret = secret

    def gate(self, delivery: Delivery) -> bool:
        """Whether the delivery may go out: False in a scope that was told to be shut."""
        with self._switches.changed:
            return not any(_lies_in(scope, delivery) for scope in self._switches.shut.values())

    def await_request(self, suspension: str, version: int, seconds: float) -> float | None:
        """When (time.monotonic) the call of that version was answered, waiting for so long; None if not by then."""
        with self._switches.changed:
            self._switches.changed.wait_for(lambda: (suspension, version) in self._switches.answered, seconds)
            return self._switches.answered.get((suspension, version))


class _Handler(BaseHTTPRequestHandler):
    switches: ClassVar[_Switches]
    timeout = SILENT_SECONDS

    def do_POST(self) -> None:
        length = self.headers.get("content-length", "")
        if not length.isdecimal() or int(length) > BODY_BYTES:
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        told = self._verified(self.rfile.read(int(length)))
        if told is None:
            self._answer(HTTPStatus.UNAUTHORIZED)
            return
        self._obey(told["type"], told["data"])
        self._answer(HTTPStatus.NO_CONTENT)
        if told["type"] in WANTED:
            with self.switches.changed:
                order = (told["data"]["suspension"], told["data"]["version"])
                self.switches.answered.setdefault(order, time.monotonic())
                self.switches.changed.notify_all()

    def _verified(self, body: bytes) -> dict[str, Any] | None:
        try:
            if self.switches.secret is not None:
                return verified(self.switches.secret, dict(self.headers.items()), body)
        except BadSignature:
            pass
        with self.switches.changed:
            self.switches.refused += 1
        return None

    def _obey(self, type_: str, data: Mapping[str, Any]) -> None:
        """Throw the switch, unless something newer was heard of it: so the same webhook twice is one."""
        if type_ not in WANTED:
            return
        id_, version = data["suspension"], data["version"]
        with self.switches.changed:
            if version <= self.switches.versions.get(id_, 0):
                return
            self.switches.versions[id_] = version
            if type_ == NoticeType.SUSPENSION_REQUESTED:
                self.switches.shut[id_] = data["scope"]
            elif type_ == NoticeType.SUSPENSION_LIFTED:
                self.switches.shut.pop(id_, None)

    def _answer(self, status: HTTPStatus) -> None:
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """The demonstration says what was done."""


def _lies_in(scope: Mapping[str, Any], delivery: Delivery) -> bool:
    if scope["integration"] != delivery.integration:
        return False
    has = {**delivery.attributes, "account": delivery.account}
    return all(has.get(name) in values for name, values in scope["where"].items())
