"""What a person does with hooks: the rules that the API and the command line share.

Owns who may be called, secrets shown once and the attempt made by hand. Refuses to schedule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from detector.notice import Notice, NoticeType
from streams.outbox.call import Attempt
from streams.outbox.reach import Reach
from streams.outbox.secret import secret_of
from streams.outbox.trial import attempt, test_notice
from streams.outbox.webhook import HookTarget
from streams.settings import Settings
from streams.store.hooks import Hook, Hooks
from streams.store.sql import SqlStore


@dataclass(frozen=True, slots=True)
class Manual:
    """Hooks as a person deals with them: their store, the key of their secrets, what they may reach, the clock."""

    hooks: Hooks
    key: bytes
    reach: Reach
    now: Callable[[], datetime]

    @classmethod
    def of(cls, settings: Settings, store: SqlStore, now: Callable[[], datetime]) -> Manual:
        """The parts that these settings name."""
        key = settings.hook_key.get_secret_value().encode() or store.hook_key()
        return cls(Hooks(store.database), key, Reach.of(settings.hook_networks), now)

    def add(
        self, url: str, integration: str | None, events: frozenset[NoticeType] | None, *, dry_run: bool
    ) -> tuple[Hook, str]:
        """A new hook and, this once, its secret. Raises BadHookUrl."""
        self.reach.check_url(url)
        hook = self.hooks.add(url, self.now(), integration, events, dry_run=dry_run)
        return hook, secret_of(self.key, hook.id, hook.generation)

    def change(self, id: str, given: dict[str, Any]) -> Hook | None:
        """Change what is given; None when there is no such hook. Raises BadHookUrl."""
        if "url" in given:
            self.reach.check_url(given["url"])
        return self.hooks.change(id, given, self.now())

    def rotate(self, id: str, keep: timedelta) -> tuple[Hook, str] | None:
        """The hook with its next secret; the present one goes on for so long. None when there is no such hook."""
        hook = self.hooks.rotate(id, self.now() + keep)
        return None if hook is None else (hook, secret_of(self.key, hook.id, hook.generation))

    def test_notice(self, hook: Hook) -> Notice:
        """A notice that says of itself that it is a test; each is another one."""
        return test_notice("hook", hook.id, hook.integration or "", self.now())

    async def attempt(self, hook: Hook, told: Notice) -> Attempt:
        """Call the hook once, now, whoever dispatches, and whether or not it is disabled."""
        return await attempt(HookTarget(hook, self.key, self.reach), told, self.now)
