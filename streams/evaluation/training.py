"""Fits the scene-shift model, and says what it is worth: cross-validated by camera, against the rule.

Owns the forms that are compared, the weights of samples and the model file. Refuses to make samples (rehearsal.py,
rulings.py) and to print. Folds share no camera on either side of a pair; every probability here is of a fold that the
model has not seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from skops.io import dumps

from models.errors import StrayframeError
from models.shift import FEATURES, FORM, PIXELS, TIME, row
from streams.evaluation.rehearsal import Sample, Told
from streams.evaluation.rulings import GROUP

Floats = NDArray[np.float64]

MOST: Final = 20
"""Samples of one camera and label that count in full; a restless camera has a hundred, and is still one camera."""
RULED: Final = 10.0
"""Rehearsed stills that a ruling counts for: it is of a camera of the very cloud, and there are few. Ours, not
measured: a hundred rulings weigh as much as a rehearsal of a thousand."""
DECREASING: Final = frozenset({"own", "correlation", "fine", "intact", "blocks", "moves", "alike"})
"""Evidence of which more can only speak for this place; the boosted model is held to that."""
BINS: Final = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
"""Probabilities that calibration is told between."""
DRAWS: Final = 200
"""Draws of cameras, with replacement, that an interval comes from."""
ALL: Final = "pixels and time"
PARTS: Final[Mapping[str, tuple[str, ...]]] = {"pixels": PIXELS, "time": TIME, ALL: FEATURES}
"""The evidence that a form is given, by name."""
SHIPPED: Final = ("logistic", ALL)
"""The form that is written: microseconds a still (docs/decisions/shift-model.md)."""


class TrainingError(StrayframeError):
    """There is nothing to learn from: one of the two kinds of stills is missing in some fold."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Samples whose probability lay between two of `BINS`: how many, the mean said, and the share that was foreign."""

    count: int
    said: float
    was: float


@dataclass(frozen=True, slots=True)
class Measured:
    """One form's worth. `low` and `high` bound the AUC with 95 % confidence, resampled by camera.

    `caught` is the share of strangers' stills above the probability that one own still in a hundred exceeds.
    """

    form: str
    given: str
    auc: float
    low: float
    high: float
    brier: float
    caught: float
    bins: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """The shipped form's worth on a part of the samples: of one source of cameras, or of one kind of still.

    `own` and `foreign` count stills; `alarmed` and `caught` are the shares of them above one half. `auc` is None where
    one of the two is missing.
    """

    name: str
    own: int
    foreign: int
    alarmed: float
    caught: float
    auc: float | None


class Samples:
    """Samples as arrays: `x` rows of evidence, `y` whether it was another place, and even weights for both.

    `told` is what the rule made of each.
    """

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.all = samples
        self.x = np.array([row(s.evidence) for s in samples], float).reshape(-1, len(FEATURES))
        self.y = np.array([bool(s.foreign) for s in samples], bool)
        self.fold = np.array([s.fold for s in samples], int)
        self.told = np.array([s.told for s in samples], int)
        self.weight = _weights(samples)
        for k in np.unique(self.fold):
            if len(np.unique(self.y[self.fold == k])) < 2:
                missing = "own stills that nothing explains" if self.y[self.fold == k].any() else "strangers' stills"
                raise TrainingError(f"fold {k} has no {missing}: give it more cameras, controls or seeds")
        if len(np.unique(self.fold)) < 2:
            raise TrainingError("fewer than two folds have samples")


def measure(samples: Samples) -> list[Measured]:
    """Every form with every part of the evidence, the rule first."""
    said = {("rule", ALL): ruled(samples)}
    for given, names in PARTS.items():
        said["logistic", given] = _crossed(samples, _logistic, names)
        said["boosted", given] = _crossed(samples, _boosted, names)
    return [_measured(samples, form, given, p) for (form, given), p in said.items()]


def parts(samples: Samples) -> list[Part]:
    """The shipped form by the source of the camera that was shown the still, then by the kind of still."""
    p = _crossed(samples, _logistic, FEATURES)
    groups, kinds = [s.group for s in samples.all], [s.kind for s in samples.all]
    return [_part(samples, p, names, name) for names in (groups, kinds) for name in sorted(set(names))]


def write(samples: Samples) -> bytes:
    """The model file, fitted on all samples."""
    model = _logistic(FEATURES)
    _fit(model, samples.x, samples.y, samples.weight)
    return bytes(dumps({"form": FORM, "features": list(FEATURES), "model": model}))


# --- the forms


def _logistic(names: Sequence[str]) -> Pipeline:
    return Pipeline([("scale", StandardScaler()), ("fit", LogisticRegression(C=0.3, max_iter=1000))])


def _boosted(names: Sequence[str]) -> Pipeline:
    signs = [-1 if name in DECREASING else 0 for name in names]
    model = HistGradientBoostingClassifier(
            max_iter=100, learning_rate=0.06, max_leaf_nodes=8, min_samples_leaf=20, l2_regularization=1.0,
            monotonic_cst=signs, random_state=0,
    )  # fmt: skip
    return Pipeline([("fit", model)])


Form = Callable[[Sequence[str]], Any]


def _fit(model: Any, x: Floats, y: NDArray[np.bool_], weight: Floats) -> None:
    model.fit(x, y, fit__sample_weight=weight)


# --- cross-validation


def _crossed(samples: Samples, form: Form, names: Sequence[str]) -> Floats:
    """For each sample the probability by a model that knows none of its fold's cameras."""
    columns = [FEATURES.index(name) for name in names]
    x, y, p = samples.x[:, columns], samples.y, np.zeros(len(samples.y))
    for k in np.unique(samples.fold):
        rest = samples.fold != k
        p[~rest] = _calibrated(form, names, x[rest], y[rest], samples.weight[rest], samples.fold[rest], x[~rest])
    return p


def ruled(samples: Samples) -> Floats:
    """For each sample the probability by the rule: the share of strangers among what it told alike in other folds."""
    p = np.full(len(samples.y), 0.5)
    for k in np.unique(samples.fold):
        rest = samples.fold != k
        for told in Told:
            like = samples.told == told
            if (rest & like).any():
                p[~rest & like] = np.average(samples.y[rest & like], weights=samples.weight[rest & like])
    return p


def _calibrated(
    form: Form,
    names: Sequence[str],
    x: Floats,
    y: NDArray[np.bool_],
    weight: Floats,
    fold: NDArray[np.int64],
    at: Floats,
) -> Floats:
    """Fitted on x, asked at `at`. Boosting is too sure of itself: Platt's scaling over the other folds mends that."""
    model = form(names)
    _fit(model, x, y, weight)
    p: Floats = model.predict_proba(at)[:, 1]
    if form is not _boosted or len(np.unique(fold)) < 2:
        return p
    inner = np.zeros(len(y))
    for k in np.unique(fold):
        rest = fold != k
        part = form(names)
        _fit(part, x[rest], y[rest], weight[rest])
        inner[~rest] = part.predict_proba(x[~rest])[:, 1]
    platt = LogisticRegression(C=1e3).fit(_logit(inner), y, sample_weight=weight)
    scaled: Floats = platt.predict_proba(_logit(p))[:, 1]
    return scaled


def _logit(p: Floats) -> Floats:
    q = np.clip(p, 1e-4, 1 - 1e-4)
    out: Floats = np.log(q / (1 - q))[:, None]
    return out


def _weights(samples: Sequence[Sample]) -> Floats:
    """A camera counts for `MOST` samples at most, one that a person ruled on for more (`RULED`); the two labels weigh
    the same."""
    counts = Counter((s.camera, bool(s.foreign)) for s in samples)
    weight = np.array([min(1.0, MOST / counts[s.camera, bool(s.foreign)]) for s in samples])
    weight[np.array([s.group == GROUP for s in samples], bool)] *= RULED
    foreign = np.array([bool(s.foreign) for s in samples], bool)
    for label in (foreign, ~foreign):
        if label.any():
            weight[label] *= len(samples) / 2 / weight[label].sum()
    return weight


# --- what it is worth


def _measured(samples: Samples, form: str, given: str, p: Floats) -> Measured:
    y, weight = samples.y, samples.weight
    low, high = _interval(samples, p)
    edge = _quantile(p[~y], weight[~y], 0.99)
    return Measured(
        form,
        given,
        float(roc_auc_score(y, p, sample_weight=weight)),
        low,
        high,
        float(np.average((p - y) ** 2, weights=weight)),
        float(np.average(p[y] > edge, weights=weight[y])),
        tuple(_bins(y, p, weight)),
    )


def _part(samples: Samples, p: Floats, names: Sequence[str], name: str) -> Part:
    mine = np.array(names) == name
    own, foreign = mine & ~samples.y, mine & samples.y
    both = own.any() and foreign.any()
    return Part(
        name,
        int(own.sum()),
        int(foreign.sum()),
        float((p[own] > 0.5).mean()) if own.any() else 0.0,
        float((p[foreign] > 0.5).mean()) if foreign.any() else 0.0,
        float(roc_auc_score(samples.y[mine], p[mine], sample_weight=samples.weight[mine])) if both else None,
    )


def _interval(samples: Samples, p: Floats) -> tuple[float, float]:
    rng = np.random.default_rng(7)
    names, at = np.unique([s.camera for s in samples.all], return_inverse=True)
    drawn = []
    for _ in range(DRAWS):
        weight = samples.weight * np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))[at]
        drawn.append(roc_auc_score(samples.y, p, sample_weight=weight))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def _quantile(values: Floats, weight: Floats, share: float) -> float:
    order = np.argsort(values)
    total = np.cumsum(weight[order])
    return float(values[order][np.searchsorted(total, share * total[-1]).clip(0, len(values) - 1)])


def _bins(y: NDArray[np.bool_], p: Floats, weight: Floats) -> list[Bin]:
    found = []
    for low, high in pairwise(BINS):
        mine = (p >= low) & ((p < high) | (high == BINS[-1]))
        if not mine.any():
            found.append(Bin(0, 0.0, 0.0))
            continue
        said, was = (float(np.average(v[mine], weights=weight[mine])) for v in (p, y))
        found.append(Bin(int(mine.sum()), said, was))
    return found
