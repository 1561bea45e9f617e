"""What can happen to a still between sensor and screen, as seeded functions (docs/damages.md).

Owns the list of kinds, which are held apart from tuning, and their order. Refuses to judge how a detector fares:
evaluate.py and benchmarks/damages.py do.

    data = KINDS["letterbox"](image, data, Random(7))
"""

from __future__ import annotations

from types import ModuleType
from typing import Final

from streams.evaluation.damage import display, encoder, everyday, network, sensor, transcoder
from streams.evaluation.damage.kind import Damage, Stage, jpeg, picture, pixels


def _of(*modules: ModuleType) -> dict[str, Damage]:
    return {kind.name: kind for module in modules for kind in vars(module).values() if isinstance(kind, Damage)}


EVERYDAY: Final = _of(everyday)
"""The kinds that labelled replays draw their leaks from."""
FURTHER: Final = _of(sensor, encoder, network, transcoder, display)
"""All others, in the order of the stages."""
KINDS: Final = EVERYDAY | FURTHER
HELD: Final = {name: kind for name, kind in FURTHER.items() if kind.held}
"""The newest of the further kinds: reported apart, never looked at while the matcher is tuned."""
TUNED: Final = {name: kind for name, kind in FURTHER.items() if not kind.held}

__all__ = ["EVERYDAY", "FURTHER", "HELD", "KINDS", "TUNED", "Damage", "Stage", "jpeg", "picture", "pixels"]
