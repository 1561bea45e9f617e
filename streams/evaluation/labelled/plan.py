"""What happens in a labelled replay, delivery by delivery, before any picture is made.

Owns the kinds of leaks and controls and their times. Refuses to write files (write.py). A planned delivery knows how
to make its bytes, so that a replay of any length needs little memory.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

from PIL import Image

from streams.cloudevents import CAMERA_SHARED, CHANGE_DEPLOYED, STILL_DELIVERED
from streams.evaluation.corpus import Corpus, Source, moment, opened
from streams.evaluation.damage import EVERYDAY
from streams.evaluation.damage.everyday import shown
from streams.evaluation.damage.kind import jpeg
from streams.evaluation.labelled.homes import QUALITIES, SPAN, START, Home, Options, Role, Shot, homes
from streams.evaluation.labelled.views import CHANGES, dark, placeholder

LEAKS: Final = ("copy", "transcode", "fresh", "truncated", "corrupt", "overlay", "crop", "cold", "before", "unseen")
"""Kinds of leaks, one after the other; `wrongid`, one for every twenty of these, comes on top."""
CONTROLS: Final = ("infrared", "flicker", "occluded", "dark", "placeholder", "sibling")
"""Kinds of controls, one after the other; `household`, `reenrolled` and `neighbour` follow from the homes."""
RELEASE: Final = START + timedelta(hours=10)
"""When the change is deployed that the leaks follow from."""
WARM: Final = 3
"""Stills that an owner has received before one of them leaks."""
NIGHT: Final = 4
"""Stills of the night mode in a row, 40 seconds apart."""
TRIES: Final = 60
"""Owners that are drawn before a leak is given up: small corpora may have none that is warm."""

Make = Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Planned:
    """One event: its time, its attributes, how its picture is made, and the truth where it is not plain."""

    when: datetime
    event: dict[str, str]
    make: Make | None = None
    truth: dict[str, str | None] | None = None


def plan(corpus: Corpus, options: Options) -> list[Planned]:
    """All events in time order. Raises CorpusError for a corpus that is too small."""
    rng = Random(f"replay/{options.seed}")
    draft = _Draft(homes(corpus, options, rng), options, rng)
    draft.rights_and_changes()
    draft.plain()
    draft.leaks()
    draft.wrong_ids()
    draft.controls()
    draft.neighbours(corpus)
    return sorted(draft.planned, key=lambda planned: planned.when)


class _Draft:
    def __init__(self, found: list[Home], options: Options, rng: Random) -> None:
        self._homes, self._options, self._rng = found, options, rng
        self._early = self._of(Role.EARLY)
        self.planned: list[Planned] = []

    def rights_and_changes(self) -> None:
        """Grants to guests before everything, and the release."""
        for home in self._homes:
            for guest in home.guests:
                grant = {"type": CAMERA_SHARED, "camera": home.camera, "account": guest, "action": "grant"}
                self.planned.append(Planned(START - timedelta(minutes=5), grant))
        change = {"type": CHANGE_DEPLOYED, "component": "image-cache", "version": "2026.01.05-2"}
        self.planned.append(Planned(RELEASE, change))

    def plain(self) -> None:
        """Every camera's own stills, to its owner and to its guests; a camera that is reset goes on as another one."""
        resets = {home.camera: n for n, home in enumerate(self._of(Role.RESET))}
        for home in self._homes:
            reset = START + timedelta(hours=self._rng.uniform(9, 16))
            for shot in home.shots:
                if home.role is Role.RESET and shot.when >= reset:
                    again = (f"acct-again-{resets[home.camera]}", f"{home.camera}-again")
                    self._deliver(shot.when, again, shot.data, {"kind": "reenrolled"})
                    continue
                self._deliver(shot.when, (home.account, home.camera), shot.data)
                for guest in home.guests:
                    after = shot.when + timedelta(seconds=self._rng.uniform(0, 2))
                    self._deliver(after, (guest, home.camera), shot.data, _of(home, "household"))

    def leaks(self) -> None:
        """As many leaks as the options say, the kinds taking turns."""
        for n in range(self._options.leaks):
            kind = LEAKS[n % len(LEAKS)]
            if kind == "cold":
                self._leak(kind, self._at(11, 11.9), self._rng.choice(self._of(Role.COLD)))
            elif kind == "before":
                self._leak(kind, self._at(3, 13.5), self._rng.choice(self._early))
            else:
                self._leak(kind, self._at(10.1, 19.5), self._rng.choice(self._early))

    def wrong_ids(self) -> None:
        """Stills under their own camera's id, to accounts without a right to it."""
        for _ in range(max(3, self._options.leaks // 20)):
            when, viewer = self._at(10.1, 19.5), self._rng.choice(self._early)
            found = self._victim(when, viewer.account)
            if found is not None:
                owner, k = found
                make = partial(_leaked, "transcode", owner.shots[k], self._seed())
                self._deliver(when, (viewer.account, owner.camera), make, _of(owner, "wrongid"), bad=True)

    def controls(self) -> None:
        """What happens to honest cameras, the kinds taking turns."""
        for n in range(self._options.controls):
            kind, when = CONTROLS[n % len(CONTROLS)], self._at(8, 19.5)
            home = self._rng.choice(self._early)
            past = home.before(when)
            if past > WARM:
                self._control(kind, when, home, home.shots[past - 1])

    def neighbours(self, corpus: Corpus) -> None:
        """Photographs that nobody else has, as two cameras of two accounts whose views overlap in part."""
        taken = {home.camera for home in self._homes}
        free = [source for source in corpus.photos if source.name not in taken]
        count = min(len(free), max(4, self._options.photos // 50))
        for n, source in enumerate(self._rng.sample(free, count)):
            apart = self._rng.uniform(0.25, 0.4)
            self._neighbour(n, 0, source, (0, 1 - apart))
            self._neighbour(n, 1, source, (apart, 1))

    def _neighbour(self, n: int, side: int, source: Source, part: tuple[float, float]) -> None:
        name, least = f"neighbour-{n}-{side}", self._options.min_own
        for k in range(least):
            when = START + SPAN * ((k + 0.8 * self._rng.random()) / least)
            shot = Shot(when, source.files[0], self._rng.choice(QUALITIES), self._seed(), part)
            self._deliver(when, (f"acct-{name}", name), shot.data, {"kind": "neighbour"})

    def _leak(self, kind: str, when: datetime, viewer: Home) -> None:
        to = (viewer.account, viewer.camera)
        if kind == "unseen":
            hidden = self._rng.choice(self._of(Role.UNSEEN))
            make = partial(_fresh, self._rng.choice(hidden.source.files), self._seed())
            self._deliver(when, to, make, {**_of(hidden, kind), "owner": None}, bad=True)
            return
        if kind == "before":
            strangers = [home for home in self._of(Role.LATE) if not home.may_see(viewer.account)]
            if strangers:
                later = self._rng.choice(strangers)
                make = partial(_fresh, later.shots[0].path, self._seed())
                self._deliver(when, to, make, _of(later, kind), bad=True)
            return
        found = self._victim(when, viewer.account)
        if found is None:
            return
        owner, k = found
        if kind == "fresh":
            make = partial(_fresh, owner.shots[min(k + 1, len(owner.shots) - 1)].path, self._seed())
        else:
            way = self._rng.choice(["copy", "transcode"]) if kind == "cold" else kind
            make = partial(_leaked, way, owner.shots[k], self._seed())
        self._deliver(when, to, make, _of(owner, kind), bad=True)

    def _control(self, kind: str, when: datetime, home: Home, last: Shot) -> None:
        to, truth = (home.account, home.camera), {"kind": kind}
        if kind in CHANGES:
            for k in range(NIGHT if kind == "infrared" else 1):
                make = partial(_changed, kind, last, self._seed())
                self._deliver(when + k * timedelta(seconds=40), to, make, {**truth})
        elif kind == "dark":
            self._deliver(when, to, partial(_dark, self._seed()), {**truth})
        elif kind == "placeholder":
            self._deliver(when, to, partial(placeholder, artwork=self._rng.random() < 0.5), {**truth})
        else:
            mine = [
                other for other in self._homes if other.account == home.account and other is not home and other.shots
            ]
            if mine:
                shot = Shot(when, mine[0].source.files[0], 85, self._seed())
                self._deliver(when, to, shot.data, {**truth})

    def _victim(self, when: datetime, viewer: str) -> tuple[Home, int] | None:
        """A home that the viewer has no right to, and its last still before that moment."""
        for _ in range(TRIES):
            home = self._rng.choice(self._early)
            past = home.before(when)
            if past >= WARM and not home.may_see(viewer):
                return home, past - 1
        return None

    def _deliver(
        self, when: datetime, to: tuple[str, str], make: Make, truth: dict[str, str | None] | None = None, *,
        bad: bool = False,
    ) -> None:  # fmt: skip
        event = {"type": STILL_DELIVERED, "account": to[0], "camera": to[1], **self._path(when, bad)}
        self.planned.append(Planned(when, event, make, truth))

    def _path(self, when: datetime, bad: bool) -> dict[str, str]:
        """The way that a still took; what leaks came through two of the eight caches, on a poor network."""
        rng = self._rng
        return {
            "integration": "home-display",
            "surface": "hub",
            "region": rng.choice(["eu", "us", "ap"]),
            "cachenode": f"cache-{rng.randint(3, 4) if bad else rng.randint(1, 8)}",
            "release": "2026.01.05-2" if when >= RELEASE else "2026.01.01-1",
            "network": "poor" if bad or rng.random() < 0.04 else "good",
            "datacontenttype": "image/jpeg",
        }

    def _of(self, role: Role) -> list[Home]:
        return [home for home in self._homes if home.role is role]

    def _at(self, first: float, last: float) -> datetime:
        return START + timedelta(hours=self._rng.uniform(first, last))

    def _seed(self) -> str:
        return f"{self._options.seed}/{self._rng.getrandbits(64):x}"


def _of(home: Home, kind: str) -> dict[str, str | None]:
    """The truth about a still of that home in other hands."""
    return {"kind": kind, "owner": home.account, "owner_camera": home.camera, "group": home.source.group}


def _leaked(way: str, shot: Shot, seed: str) -> bytes:
    """A still that its owner received, damaged on its way to somebody else."""
    data = shot.data()
    return EVERYDAY[way](Image.open(io.BytesIO(data)).convert("RGB"), data, Random(seed))


def _fresh(path: Path, seed: str) -> bytes:
    """A still that its owner never received, made for a display."""
    rng = Random(seed)
    return shown(moment(opened(path), rng), rng)


def _changed(kind: str, shot: Shot, seed: str) -> bytes:
    """The camera's own still under another light, or with somebody close to the lens."""
    rng = Random(seed)
    return jpeg(moment(CHANGES[kind](shot.image(), rng), rng), 85)


def _dark(seed: str) -> bytes:
    return dark(Random(seed))
