"""The secrets that hooks are signed with: derived from one key when they are needed, never stored.

Owns the derivation. A store, or its backup, that falls into other hands signs nothing, where the key is a setting
(`hook_key`) and not the store's own. Refuses to show a secret twice by itself: who may ask is the API's matter.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

PREFIX = "whsec_"
"""What a symmetric secret begins with in Standard Webhooks."""


def secret_of(key: bytes, hook: str, generation: int) -> str:
    """The secret of a hook, 32 bytes in base64: HMAC-SHA-256, which nobody can turn back into the key, of the hook's id
    and the number of its rotation."""
    derived = hmac.digest(key, f"strayframe hook {hook} {generation}".encode(), hashlib.sha256)
    return PREFIX + base64.b64encode(derived).decode()
