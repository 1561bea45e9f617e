"""A server of the API for tests: the real application under uvicorn on a loopback port, and stills to send it.

Owns starting, waiting and stopping. Refuses to fake anything; tests hand their own parts to `create_app`.
"""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import uvicorn
from fastapi import FastAPI
from PIL import Image, ImageDraw

from api.patience import Patient, Server

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
WAIT_SECONDS = 60.0
"""How long a server may take to come up or an expectation to come true, on a machine that is busy with other tests."""


class Expired(AssertionError):
    """What was expected did not come true in time."""


@dataclass(frozen=True)
class Served:
    """A running server and a client of it."""

    client: httpx.Client
    url: str
    app: FastAPI

    def ready(self) -> Served:
        """Wait until it says that it is ready."""
        self.until(lambda: self.client.get("/readyz").status_code == 200)
        return self

    def until(self, holds: Callable[[], bool]) -> None:
        """Look until `holds` does; an event that nobody sets paces the looks."""
        never = threading.Event()
        for _ in range(int(WAIT_SECONDS / 0.02)):
            if holds():
                return
            never.wait(0.02)
        raise Expired(self.client.get("/readyz").text)


@contextmanager
def serving(app: FastAPI, protocol: type[Patient] = Patient) -> Iterator[Served]:
    """The app under uvicorn on a free port; stopped in order afterwards, as SIGTERM does it."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            app, http=protocol, ws="none", log_config=None, lifespan="on", timeout_graceful_shutdown=10
        )
        server = Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            limits = httpx.Limits(max_connections=100)
            # nothing here speaks TLS, and to read the system's authorities takes 40 ms each time
            with httpx.Client(base_url=url, timeout=WAIT_SECONDS, limits=limits, verify=False) as client:
                served = Served(client, url, app)
                served.until(lambda: server.started or not thread.is_alive())
                yield served
        finally:
            server.should_exit = True
            thread.join(WAIT_SECONDS)
            assert not thread.is_alive()


def picture(place: int, moment: int = 0, *, kind: str = "JPEG", size: tuple[int, int] = (640, 360)) -> bytes:
    """A still of a place that no other number shows: shapes and texture of its own, with each moment's own noise."""
    rng = np.random.default_rng(place)
    width, height = size
    image = Image.fromarray(rng.integers(40, 216, (9, 16), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for _ in range(60):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        w, h = int(rng.integers(8, width // 5)), int(rng.integers(8, height // 4))
        shade = int(rng.integers(0, 256))
        (draw.rectangle if rng.random() < 0.5 else draw.ellipse)((x, y, x + w, y + h), fill=shade)
    noise = np.random.default_rng((place, moment)).normal(0, 3, (height, width))
    grey = np.clip(np.asarray(image, dtype=float) + noise, 0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(grey).save(out, kind, quality=85)
    return out.getvalue()


def at(minute: float) -> str:
    """A time some minutes after the tests' beginning, as events write it."""
    return (START + timedelta(minutes=minute)).isoformat().replace("+00:00", "Z")


def still(id: str, account: str, camera: str, minute: float, **more: str) -> dict[str, str]:
    """The attributes of a still.delivered."""
    core = {"specversion": "1.0", "type": "still.delivered", "source": "cloud", "id": id, "time": at(minute)}
    return {**core, "account": account, "camera": camera, "integration": "homeview", **more}


def right(id: str, action: str, camera: str, account: str, minute: float = -1) -> dict[str, str]:
    """The attributes of a camera.enrolled or camera.shared."""
    kind = "camera.shared" if action in ("grant", "revoke") else "camera.enrolled"
    core = {"specversion": "1.0", "type": kind, "source": "accounts", "id": id, "time": at(minute)}
    return {**core, "camera": camera, "account": account, "action": action}


def headers(attributes: Mapping[str, str], kind: str = "image/jpeg") -> dict[str, str]:
    """CloudEvents' binary mode over HTTP."""
    return {"content-type": kind, **{f"ce-{name}": quote(value) for name, value in attributes.items()}}


def post(client: httpx.Client, attributes: Mapping[str, str], data: bytes) -> httpx.Response:
    """Hand in a still in binary mode."""
    return client.post("/v1/stills", content=data, headers=headers(attributes))


def events(client: httpx.Client, *batch: Mapping[str, Any]) -> dict[str, Any]:
    """Hand in a batch of events; the answer's body."""
    answer = client.post("/v1/events", json=list(batch), headers={"content-type": "application/cloudevents-batch+json"})
    assert answer.status_code in (200, 202), answer.text
    taken: dict[str, Any] = answer.json()
    return taken
