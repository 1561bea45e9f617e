"""`strayframe serve`: the HTTP API under uvicorn."""

from __future__ import annotations

import socket

import structlog

from api.app import create_app
from api.gate.door import is_loopback
from api.options import fail
from api.roles import run_server, serve_by_many
from models.errors import StrayframeError
from streams import allocation, tracing
from streams.settings import Settings
from streams.sinks.roster import sinks_of
from streams.store.database import Database

log = structlog.get_logger(__name__)


def run(settings: Settings) -> int:
    """Serve until SIGINT or SIGTERM. Exit code 2: address, store or sinks are no good."""
    allocation.keep()
    try:
        Database(settings.store).close()
        sinks_of(settings)
        if settings.traces and settings.processes == 1:
            tracing.begin()
    except StrayframeError as error:
        fail(str(error))
    with listener(settings) as listening:
        log.info("serve.listening", address="{}:{}".format(*listening.getsockname()), processes=settings.processes)
        if settings.access == "open":
            log.warning("serve.open", meaning="nobody signs in: whoever reaches this address may do everything")
        if settings.processes == 1:
            run_server(create_app(settings), settings, [listening])
        else:
            serve_by_many(settings, listening)
    return 0


def listener(settings: Settings) -> socket.socket:
    """The socket that the API listens on. Ends the command with a sentence when it cannot be had, or may not."""
    host, port = settings.host, settings.port
    if settings.access == "open" and not is_loopback(host):
        fail(
            f"others can reach {host}, and access is open: whoever reaches it may do everything. Listen on 127.0.0.1, "
            "or say --access sign-in (docs/access.md)"
        )
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        fail(f"cannot listen on {host}:{port} ({error.strerror}); choose another with --host and --port")
