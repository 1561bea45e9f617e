"""A hook as a target: notices posted as Standard Webhooks, signed so that the receiver knows who sends.

Owns the signature and what a dry run says. Refuses to schedule. https://www.standardwebhooks.com
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from standardwebhooks import Webhook, WebhookVerificationError
from standardwebhooks.webhooks import EmptyWebhookSecretError

from detector.notice import Notice
from models.errors import StrayframeError
from models.records import utc
from streams.outbox.call import Outcome, Result, body
from streams.outbox.http import attempted
from streams.outbox.reach import Reach
from streams.outbox.secret import secret_of
from streams.store.hooks import Hook

MEDIA_TYPE: Final = "application/json"
AGENT: Final = "strayframe"


class BadSecret(StrayframeError):
    """A secret that cannot sign or verify: it is `whsec_` and base64."""


class BadSignature(StrayframeError):
    """What arrived was not signed with this secret, was changed, is too old, or is no webhook."""


class HookTarget:
    """One hook, as it is called now."""

    def __init__(self, hook: Hook, key: bytes, reach: Reach) -> None:
        self.hook = hook
        self._key = key
        self._reach = reach

    @property
    def name(self) -> str:
        """The hook's id."""
        return self.hook.id

    def wants(self, notice: Notice) -> bool:
        """Whether the hook asked for it."""
        return self.hook.wants(notice)

    def secrets(self, at: datetime) -> list[str]:
        """The secrets that hold at a time: the present one, and for a while after a rotation the one before."""
        hook, generations = self.hook, [self.hook.generation]
        if hook.previous_until is not None and at < hook.previous_until and hook.generation > 1:
            generations.append(hook.generation - 1)
        return [secret_of(self._key, hook.id, generation) for generation in generations]

    async def send(self, notice: Notice, at: datetime) -> Outcome:
        """Post the notice, signed at `at` with every secret that holds; in dry run, say what would have been posted."""
        told = body(notice)
        if self.hook.dry_run:
            return Outcome(Result.DRY_RUN, f"dry run: {notice.type} would have been posted, {len(told)} bytes")
        headers = signed(self.secrets(at), notice.id, at, told)
        if notice.trace is not None:
            headers["traceparent"] = notice.trace
        return await attempted(self.hook.url, told, headers | {"user-agent": AGENT}, self._reach)


def signed(secrets: list[str], id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The headers of a webhook, with a signature by each secret. Raises BadSecret, NaiveTimeError."""
    moment = utc(at)  # the library takes any zone's clock for UTC
    signatures = [signed_by(secret).sign(id, moment, body.decode()) for secret in secrets]
    return {
        "content-type": MEDIA_TYPE,
        "webhook-id": id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def verified(secret: str, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """What a webhook tells, once its signature is found right and its timestamp within five minutes of now.

    Raises BadSecret, BadSignature: the library lets errors of decoding through as they are.
    """
    webhook = signed_by(secret)
    try:
        webhook.verify(body, dict(headers), json_parse=False)
        told: dict[str, Any] = json.loads(body)
    except WebhookVerificationError as error:
        raise BadSignature(str(error)) from None
    except ValueError as error:  # no UTF-8, no base64, no comma in the signature, no JSON
        raise BadSignature(f"not a webhook: {error}") from None
    return told


def signed_by(secret: str) -> Webhook:
    """What signs and verifies with a secret. Raises BadSecret."""
    try:
        return Webhook(secret)
    except (binascii.Error, ValueError, EmptyWebhookSecretError):
        raise BadSecret("a secret is whsec_ and base64") from None
