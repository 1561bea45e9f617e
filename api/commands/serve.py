"""`strayframe serve`: the HTTP API under uvicorn."""

from __future__ import annotations

import ipaddress
import signal
import socket
import sys

import structlog
import uvicorn

from api.app import create_app
from api.options import fail
from models.errors import StrayframeError
from streams.settings import Settings

log = structlog.get_logger(__name__)

LEAVE_SECONDS = 10
"""Time that requests in hand get to end when the process is told to stop."""


def run(settings: Settings) -> int:
    """Serve until SIGINT or SIGTERM. Exit code 2: the address cannot be had, or the store's URL is no good."""
    if not is_loopback(settings.host):
        log.warning("serve.open", host=settings.host, meaning="there is no sign-in: anybody who reaches it may read")
    require_free(settings)
    try:
        app = create_app(settings)
    except StrayframeError as error:
        fail(str(error))
    # uvicorn raises the signal again once it has ended in order: told to stop and stopped is no failure
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=LEAVE_SECONDS,
    )
    return 0


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def require_free(settings: Settings) -> None:
    """End the command with a sentence when something else listens where the API is to be."""
    host, port = settings.host, settings.port
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        fail(f"cannot listen on {host}:{port} ({error.strerror}); choose another with --host and --port")
