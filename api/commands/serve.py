"""`strayframe serve`: the HTTP API under uvicorn."""

from __future__ import annotations

import ipaddress
import socket

import structlog

from api.app import create_app
from api.options import fail
from api.roles import run_server, serve_by_many
from models.errors import StrayframeError
from streams import tracing
from streams.settings import Settings
from streams.store.database import Database

log = structlog.get_logger(__name__)


def run(settings: Settings) -> int:
    """Serve until SIGINT or SIGTERM. Exit code 2: the address cannot be had, or the store's URL is no good."""
    if not is_loopback(settings.host):
        log.warning("serve.open", host=settings.host, meaning="there is no sign-in: anybody who reaches it may read")
    try:
        Database(settings.store).close()
        if settings.traces and settings.processes == 1:
            tracing.begin()
    except StrayframeError as error:
        fail(str(error))
    with listener(settings) as listening:
        log.info("serve.listening", address="{}:{}".format(*listening.getsockname()), processes=settings.processes)
        if settings.processes == 1:
            run_server(create_app(settings), settings, [listening])
        else:
            serve_by_many(settings, listening)
    return 0


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listener(settings: Settings) -> socket.socket:
    """The socket that the API listens on. Ends the command with a sentence when it cannot be had."""
    host, port = settings.host, settings.port
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        fail(f"cannot listen on {host}:{port} ({error.strerror}); choose another with --host and --port")
