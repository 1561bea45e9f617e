"""Logs: events with fields, on standard error, as text for people or as JSON for collectors.

Owns how log events look and which of them are written; libraries that use Python's logging come out in the same form.
Refuses pictures and secrets: the Kafka client's debug events quote whole messages, so they are never switched on.
"""

from __future__ import annotations

import logging
import sys
from typing import Literal, TextIO

import structlog
from structlog.typing import Processor

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["text", "json"]

CLIENT_LEVELS = {"debug": logging.WARNING}
"""Least severe event of the Kafka client that is written. It warns of every reconnect, which is of use to somebody
who looks for a fault only; below a warning it quotes values, which are pictures."""

HTTP_CLIENTS = ("httpx", "httpcore", "httpx2", "httpcore2", "authlib")
"""Libraries that write down whole addresses below a warning; those of pictures may carry a signature."""


def configure(level: Level = "info", format: Format = "text", stream: TextIO | None = None) -> None:
    """Write log events of at least `level` to `stream` (standard error). A second call replaces the first."""
    target = sys.stderr if stream is None else stream
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.UnicodeDecoder(),
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=_rendering(format, target))
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("alembic").setLevel(logging.WARNING)
    for client in HTTP_CLIENTS:
        logging.getLogger(client).setLevel(logging.WARNING)
    logging.getLogger("kafka").setLevel(CLIENT_LEVELS.get(level, logging.ERROR))


def _rendering(format: Format, target: TextIO) -> list[Processor]:
    last = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if format == "json":
        return [last, structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    return [
        last,
        structlog.dev.ConsoleRenderer(
            colors=target.isatty(),
            timestamp_key="time",
            exception_formatter=structlog.dev.plain_traceback,  # the default one prints local variables: pictures
        ),
    ]
