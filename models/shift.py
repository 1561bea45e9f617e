"""The scene-shift model: how likely is a still that nothing explains another place, and not this place changed?

Owns the names and meaning of the evidence, the model's form and how it is read. Refuses to gather evidence
(detector/evidence.py), to fit (streams/evaluation/training.py) and to decide: the rules of detector/shift.py do, see
docs/decisions/shift-model.md. What it is worth, and on what: docs/model-card.md.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from functools import cache
from importlib.resources import files
from math import exp, log1p
from typing import Any, Final

SHIPPED: Final = "shift.skops"
"""The model that this package carries. It is part of the package as its code is, and read once, when first needed."""
TRUSTED: Final[list[str]] = []
"""Types beyond those that skops trusts by itself (scikit-learn's and NumPy's) that a model file may hold: none."""
FORM: Final = 1
"""Version of the model file."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a novel still when it comes: how it compares with its camera's own scenes, and what went before.

    `own` is the best score of the second look under any placing; `correlation`, `fine`, `intact` and `blocks` are the
    best of each over the nearest scenes as they are (models/agreement.py; `blocks` as a share). `distance` is the
    share of reliable bits that differ from the nearest scene, 1 where too few are common. `valid` and `textured` are
    shares of the still itself.

    `stills` the camera has shown in different bytes, `moves` it has made, `scenes` it has; `wander` is how far apart
    these lie: the mean share of bits by which each differs from the nearest other one, 0 of a single scene. `waiting`
    stills came since its own scene was last seen; `alike` held ones look like this still.
    """

    own: float
    correlation: float
    fine: float
    intact: float
    blocks: float
    distance: float
    valid: float
    textured: float
    stills: int
    moves: int
    scenes: int
    wander: float
    waiting: int
    alike: int


FEATURES: Final = tuple(each.name for each in fields(Evidence))
"""The names of the evidence, in the order of a row."""
PIXELS: Final = FEATURES[:8]
"""Those that one still gives."""
TIME: Final = FEATURES[8:]
"""Those that follow from what the camera did before."""


def row(evidence: Evidence) -> tuple[float, ...]:
    """What the model is given: shares as they are, counts as log(1 + n), in the order of `FEATURES`."""
    return tuple(log1p(v) if isinstance(v, int) else v for v in astuple(evidence))


class ModelError(ValueError):
    """A model file cannot be used: another form, other evidence, or a type in it that is not trusted."""


class ShiftModel:
    """A logistic regression as one weight for each figure: a probability takes microseconds, not scikit-learn's."""

    def __init__(self, weights: tuple[float, ...], bias: float) -> None:
        self.weights, self.bias = weights, bias

    @classmethod
    def read(cls, body: bytes) -> ShiftModel:
        """The model in a skops file that `strayframe train` wrote. Raises ModelError; runs nothing from the file."""
        from zipfile import BadZipFile

        from skops.io import loads
        from skops.io.exceptions import UntrustedTypesFoundException

        try:
            kept: Any = loads(body, trusted=TRUSTED)
        except UntrustedTypesFoundException as error:
            raise ModelError(f"the model file holds types that are not trusted: {error}") from None
        except (BadZipFile, KeyError, TypeError, ValueError) as error:
            raise ModelError(f"not a model file: {error}") from None
        if not isinstance(kept, dict) or kept.get("form") != FORM or tuple(kept.get("features", ())) != FEATURES:
            raise ModelError(f"not a scene-shift model of form {FORM} over {', '.join(FEATURES)}")
        scaler, logistic = kept["model"][0], kept["model"][-1]
        weights = logistic.coef_[0] / scaler.scale_
        bias = float(logistic.intercept_[0] - (weights * scaler.mean_).sum())
        return cls(tuple(weights.tolist()), bias)

    def probability(self, evidence: Evidence) -> float:
        """How likely it is another place, where both are equally likely beforehand; 0 to 1.

        For other odds beforehand, multiply the odds p / (1 - p) by them.
        """
        logit = self.bias + sum(w * v for w, v in zip(self.weights, row(evidence), strict=True))
        return 1.0 / (1.0 + exp(-max(min(logit, 40.0), -40.0)))


def undecided() -> ShiftModel:
    """A model that knows nothing: what an engine is given while evidence is gathered for another one."""
    return ShiftModel((0.0,) * len(FEATURES), 0.0)


@cache
def shipped() -> ShiftModel:
    """The model inside this package. The first call imports scikit-learn and takes about a second."""
    return ShiftModel.read(files("models").joinpath(SHIPPED).read_bytes())
