"""The homes of a labelled replay: who owns which camera, who else may see it, and the stills that it delivers.

Owns accounts, roles and the plain deliveries' times. Refuses to leak (plan.py).
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Final

from PIL import Image

from streams.evaluation.corpus import Corpus, CorpusError, Source, moment, opened
from streams.evaluation.damage.kind import jpeg

START: Final = datetime(2026, 1, 5, 6, tzinfo=UTC)
SPAN: Final = timedelta(hours=20)
LATE: Final = START + timedelta(hours=14)
"""When the cameras that come late deliver their first still."""
COLD: Final = START + timedelta(hours=12)
"""When the accounts that begin with a stranger's still see their own first one."""
FEWEST: Final = 8
"""Cameras and photographs that a replay needs at least: one for each role and a few that lead plain lives."""
QUALITIES: Final = (75, 82, 88)


@dataclass(frozen=True, slots=True)
class Options:
    """How a replay is made. `per_still` deliveries are drawn from each real still, at least `min_own` a camera."""

    seed: int = 1
    photos: int = 400
    leaks: int = 300
    controls: int = 300
    per_still: int = 3
    min_own: int = 8
    cap: int = 40


class Role(StrEnum):
    """What happens to a home: `early` ones leak and are leaked to; `unseen` ones never deliver to their owner."""

    EARLY = "early"
    LATE = "late"
    UNSEEN = "unseen"
    COLD = "cold"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class Shot:
    """One still of a camera: what it is drawn from, when, its own randomness. `part` is its left and right end."""

    when: datetime
    path: Path
    quality: int
    seed: str
    part: tuple[float, float] = (0.0, 1.0)

    def image(self) -> Image.Image:
        """The picture before it is encoded."""
        still = opened(self.path)
        box = (int(still.width * self.part[0]), 0, int(still.width * self.part[1]), still.height)
        return moment(still.crop(box), Random(self.seed))

    def data(self) -> bytes:
        """The bytes that its owner is sent."""
        return jpeg(self.image(), self.quality)


@dataclass(slots=True)
class Home:
    """A camera with its account, its further viewers and its stills in time order (none for `unseen` ones)."""

    source: Source
    account: str
    role: Role = Role.EARLY
    guests: list[str] = field(default_factory=list)
    shots: list[Shot] = field(default_factory=list)

    @property
    def camera(self) -> str:
        """The camera's id."""
        return self.source.name

    def may_see(self, account: str) -> bool:
        """Whether the account owns this camera or was given leave."""
        return account == self.account or account in self.guests

    def before(self, when: datetime) -> int:
        """How many stills it delivered before that moment."""
        return bisect_left([shot.when for shot in self.shots], when)


def homes(corpus: Corpus, options: Options, rng: Random) -> list[Home]:
    """The homes of a replay with all their stills. Raises CorpusError for a corpus that is too small."""
    sources = corpus.drawn(options.photos, rng)
    if len(sources) < FEWEST:
        raise CorpusError(f"{len(sources)} cameras and photographs are too few for a replay: it needs {FEWEST}")
    found = _accounts(sources, rng)
    _roles(found, rng)
    accounts = sorted({home.account for home in found})
    for home in found:
        if home.role in (Role.EARLY, Role.LATE) and rng.random() < 0.06:
            home.guests = [guest for guest in rng.sample(accounts, 1) if guest != home.account]
        if home.role is not Role.UNSEEN:
            home.shots = _shots(home, options, rng)
    return found


def _accounts(sources: list[Source], rng: Random) -> list[Home]:
    """Most accounts own one camera, one in twelve owns two."""
    found: list[Home] = []
    serial, second = 0, False
    for source in sources:
        found.append(Home(source, f"acct-{serial:05d}"))
        second = not second and rng.random() < 0.08
        serial += not second
    return found


def _roles(found: list[Home], rng: Random) -> None:
    """Hand out the rare roles; only homes with an account of one camera are reset."""
    order = rng.sample(found, len(found))
    n = len(found)
    for role, count in ((Role.UNSEEN, n // 25), (Role.LATE, n // 12), (Role.COLD, n // 30)):
        for _ in range(max(1, count)):
            order.pop().role = role
    accounts = [home.account for home in found]
    alone = [home for home in order if accounts.count(home.account) == 1]
    for home in alone[: n // 60 if n >= 240 else min(4, n // 8)]:
        home.role = Role.RESET


def _shots(home: Home, options: Options, rng: Random) -> list[Shot]:
    files = home.source.files[: options.cap]
    total = max(options.min_own, len(files) * options.per_still)
    begin = LATE if home.role is Role.LATE else START
    room = START + SPAN - begin
    times = [begin + room * ((k + 0.8 * rng.random()) / total) for k in range(total)]
    return [
        Shot(when, files[k * len(files) // total], rng.choice(QUALITIES), f"{options.seed}/{home.camera}/{k}")
        for k, when in enumerate(times)
        if home.role is not Role.COLD or when >= COLD
    ]
