"""A worker's health: who connects and says nothing is not waited for."""

from __future__ import annotations

import socket

import pytest

from streams import health
from streams.health import Health, HealthServer
from streams.metrics import Metrics


def test_a_silent_connection_is_closed_and_holds_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 < health.SILENT_SECONDS <= 60
    monkeypatch.setattr("streams.health._Handler.timeout", 0.05)
    server = HealthServer(Health(Metrics()), "127.0.0.1", 0)
    try:
        with socket.create_connection(("127.0.0.1", server.port), 30) as silent:
            assert silent.recv(1) == b""
    finally:
        server.close()
