"""Anything that Apprise knows, from a chat to a mail: the headline, and why.

Owns the words. The package is an extra: `pip install strayframe[apprise]`. Its URL is a secret as a whole, and what
Apprise itself logs may repeat it, so nothing of that is kept. https://github.com/caronc/apprise
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any, Final

from detector.notice import Notice
from streams.outbox.call import Outcome, Result
from streams.sinks.configuration import Apprise, SinkError
from streams.sinks.severity import Severity, ends, severity
from streams.sinks.sink import Sink
from streams.sinks.wording import headline

SECONDS: Final = 30.0
"""What one attempt may take; most services of Apprise wait 4 s for a connection and 4 s for an answer."""
_LEVELS: Final = {Severity.HIGH: "warning", Severity.CRITICAL: "failure"}


class AppriseSink(Sink):
    """Notifies the service of one Apprise URL."""

    def __init__(self, spec: Apprise) -> None:
        super().__init__(spec)
        self._url = spec.url
        self._apprise = _library(spec.name)
        if not self._apprise.Apprise().add(self._url.read()):
            raise SinkError(f"[{spec.name}] url: Apprise knows no such service")

    @property
    def place(self) -> str:
        """The kind of service: the rest of its URL is secret."""
        return f"{self._url.read().partition(':')[0]}:// by Apprise"

    async def attempt(self, notice: Notice, at: datetime) -> Outcome:
        """Notify once."""
        try:
            async with asyncio.timeout(SECONDS):
                taken = await asyncio.to_thread(self._notify, notice)
        except TimeoutError:
            return Outcome(Result.RETRY, f"no answer within {SECONDS:g} s")
        return Outcome(Result.DELIVERED, "taken") if taken else Outcome(Result.RETRY, "the service did not take it")

    def _notify(self, notice: Notice) -> bool:
        service = self._apprise.Apprise()
        service.add(self._url.read())
        why = str(notice.data.get("why") or notice.data.get("sentence") or notice.data.get("message") or "")
        level = "success" if ends(notice) else _LEVELS.get(severity(notice), "info")
        return bool(service.notify(title=headline(notice), body=f"{why}\n({notice.id})".strip(), notify_type=level))


def _library(name: str) -> Any:
    try:
        import apprise
    except ModuleNotFoundError:
        raise SinkError(f"[{name}] needs the package apprise: pip install 'strayframe[apprise]'") from None
    return apprise
