"""What routes ask of the gate: under whose name an act is done, and whose integration it is.

Owns the problems that come of it. Refuses to know who may: the door has seen to that.
"""

from __future__ import annotations

from api.problems import BAD_PARAMETER, NOT_ALLOWED, ProblemError
from detector.access import NotYou, Unnamed
from streams.acting import acting


def actor(said: str | None) -> str:
    """The name that stands under an act: the signed-in one; where nobody signs in, the one that was given."""
    try:
        return acting.get().actor(said)
    except NotYou as error:
        raise ProblemError(NOT_ALLOWED, f"{error}.") from None
    except Unnamed as error:
        raise ProblemError(
            BAD_PARAMETER, f"actor: {error}.", errors=[{"parameter": "actor", "detail": str(error)}]
        ) from None


def refuse_foreign(integration: str) -> None:
    """Raise ProblemError when the caller's integrations are named and this is none of them."""
    if not acting.get().sees(integration):
        raise ProblemError(NOT_ALLOWED, f"The integration {integration!r} is not among yours.")
