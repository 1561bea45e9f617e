"""Plays a scenario: events, stills and the truth about them, in time order, as they happen.

Owns the simulated delivery path and the writers to a folder. Refuses to judge. A detector may stand in the path: the
`gate` is asked before each delivery, so that a suspension really stops what comes after it. The same scenario, seed
and answers of the gate give the same bytes.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Final

from models.records import (
    AccountId,
    CameraId,
    ChangeDeployed,
    Delivery,
    DeliveryId,
    Event,
    RightAction,
    RightChanged,
)
from streams.cloudevents import to_json
from streams.simulator.cast import Act, Due, Player, cast
from streams.simulator.render import Mode, damage
from streams.simulator.scenario import Scenario
from streams.simulator.studio import Shot, Studio

Gate = Callable[[Delivery], bool]
"""Asked before each delivery: False stops it, as a suspension does."""
AHEAD = 48
"""Deliveries whose stills are drawn ahead: some seconds of drawing, and 10 MB of stills."""
DISPLAY: Final = "home-display"
APP: Final = "camera-app"
"""The integrations: displays of another maker, where the fault is, and the cameras' own app."""
Progress = Callable[[int, int], None]
"""Told after each event: how many are done, of how many."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What a delivery that is not plain and legitimate really was.

    `owner` and `owner_camera` are whose still it showed; None for an oddity of the camera's own.
    """

    delivery: DeliveryId
    recipient: AccountId
    camera: CameraId
    kind: str
    owner: AccountId | None = None
    owner_camera: CameraId | None = None

    @property
    def leaked(self) -> bool:
        """Whether the recipient had no right to see it."""
        return self.owner is not None and self.kind != Act.GUEST

    def line(self) -> dict[str, str]:
        """The truth as one JSON object of truth.jsonl."""
        out = {"id": self.delivery.id, "recipient": self.recipient, "camera": self.camera, "kind": self.kind}
        if self.owner is not None and self.owner_camera is not None:
            out |= {"owner": self.owner, "owner_camera": self.owner_camera}
        return out


@dataclass(frozen=True, slots=True)
class Happening:
    """One event with its key; for a delivery the picture's bytes, and the truth where it was not plain."""

    event: Event
    key: DeliveryId
    data: bytes | None = None
    truth: Truth | None = None


def always_open(delivery: Delivery) -> bool:
    """The gate of a path in which nothing suspends anything."""
    return True


class Simulation:
    """One run of a scenario. Iterate it once; it renders as it goes.

    `total` is how many events there will be if the gate stops none; `withheld` counts what it stopped so far, `spared`
    those of them that the fault would have answered with a stranger's still.
    """

    def __init__(
        self, scenario: Scenario, seed: int = 1, gate: Gate = always_open, studio: Studio | None = None
    ) -> None:
        self.scenario = scenario
        self.withheld = 0
        self.spared = 0
        self._seed = seed
        self._gate = gate
        self._cast = cast(scenario, seed)
        self._players = self._cast.players
        self._prelude = list(self._rights())
        self.total = len(self._prelude) + 1 + len(self._resets(scenario.start)) + len(self._cast.timetable)
        self._studio = studio or Studio()
        self._latest: dict[int, bytes] = {}
        again = {p.reset_of for p in self._players if p.reset_of}
        self._twice = {n for n, p in enumerate(self._players) if p.reset_of or p.camera in again}

    def __iter__(self) -> Iterator[Happening]:
        fault, change = self.scenario.fault, self.scenario.start + self.scenario.change
        for n, right in enumerate(self._prelude):
            yield Happening(right, self._key(f"right-{n:05d}"))
        changed = False
        for due, shot in self._ahead():
            if not changed and due.when >= change:
                changed = True
                yield Happening(ChangeDeployed(fault.component, fault.version_after, change), self._key("change-1"))
                for n, right in enumerate(self._resets(change)):
                    yield Happening(right, self._key(f"reset-{n:05d}"))
            happening = self._deliver(due, shot, changed)
            if shot is not None:
                self._studio.forget(shot)
            if happening is not None:
                yield happening

    def _key(self, id: str) -> DeliveryId:
        return DeliveryId(f"/simulate/{self.scenario.name}/{self._seed}", id)

    def _rights(self) -> Iterator[RightChanged]:
        """Enrolments and grants from before the start."""
        start = self.scenario.start
        for player in self._players:
            if not player.reset_of:
                yield RightChanged(player.camera, player.account, RightAction.ENROL, start - timedelta(minutes=10))
        for player in self._players:
            for guest in player.guests:
                yield RightChanged(player.camera, guest, RightAction.GRANT, start - timedelta(minutes=5))

    def _resets(self, when: datetime) -> list[RightChanged]:
        """The enrolments of cameras that were reset and come back under another id."""
        return [RightChanged(p.camera, p.account, RightAction.ENROL, when) for p in self._players if p.reset_of]

    def _deliver(self, due: Due, shot: Shot | None, changed: bool) -> Happening | None:
        """One due delivery, as the path lets it through; None when the gate stops it."""
        player, rng = self._players[due.player], Random(f"{self._seed}/due/{due.serial}")
        attributes = self._attributes(player, changed, rng)
        key = self._key(f"{due.serial:07d}")
        delivery = Delivery(key, due.when, due.account, player.camera, attributes)
        wrong = changed and due.act is Act.OWN and self._goes_wrong(attributes, rng)
        if not self._gate(delivery):
            self.withheld += 1
            self.spared += wrong
            return None
        if wrong and (leaked := self._leak(delivery, rng)) is not None:
            return leaked
        data = self._picture(due, shot, player, rng)
        return Happening(delivery, key, data, _truth_of(delivery, due, player))

    def _attributes(self, player: Player, changed: bool, rng: Random) -> dict[str, str]:
        fault = self.scenario.fault
        app = rng.random() < self.scenario.crowd.app
        node = rng.randint(1, fault.nodes)
        return {
            "integration": APP if app else DISPLAY,
            "surface": "app" if app else fault.surface,
            "region": player.region.name,
            "cachenode": f"cache-{node}",
            "release": fault.version_after if changed and node <= fault.updated else fault.version_before,
            "network": "poor" if rng.random() < fault.poor else "good",
        }

    def _goes_wrong(self, attributes: dict[str, str], rng: Random) -> bool:
        fault = self.scenario.fault
        updated = attributes["release"] == fault.version_after
        exposed = updated and attributes["surface"] == fault.surface and attributes["network"] == "poor"
        return exposed and rng.random() < fault.foreign

    def _leak(self, delivery: Delivery, rng: Random) -> Happening | None:
        """The cache answers with another home's latest still; None while it holds none."""
        held = [n for n in self._latest if n not in self._twice and delivery.account not in _allowed(self._players[n])]
        if not held:
            return None
        n = rng.choice(held)
        owner, data = self._players[n], self._latest[n]
        kind, data = _spoiled(data, self.scenario.fault.damaged, rng)
        truth = Truth(delivery.key, delivery.account, delivery.camera, kind, owner.account, owner.camera)
        return Happening(delivery, delivery.key, data, truth)

    def _picture(self, due: Due, shot: Shot | None, player: Player, rng: Random) -> bytes:
        """The bytes of a legitimate delivery; only a plain one is what the cache then holds."""
        if shot is not None:
            data = self._studio.shoot(shot)
            if due.act is Act.OWN:
                self._latest[due.player] = data
            return data
        if due.act is Act.DARK:
            return damage.dark(rng)
        if due.act is Act.PLACEHOLDER:
            return damage.placeholder()
        own = Shot(player.seed, player.mode(due.when), due.serial, player.local(due.when))
        return self._latest.get(due.player) or self._studio.shoot(own)

    def _ahead(self) -> Iterator[tuple[Due, Shot | None]]:
        """What is due, in order, with its shot; the shots of the next `AHEAD` are told to the studio."""
        coming: deque[tuple[Due, Shot | None]] = deque()
        for due in self._cast.timetable:
            shot = self._shot(due)
            coming.append((due, shot))
            if shot is not None:
                self._studio.expect(shot)
            if len(coming) > AHEAD:
                yield coming.popleft()
        yield from coming

    def _shot(self, due: Due) -> Shot | None:
        """The still that the due delivery wants of a camera; None where it wants another picture."""
        player, serial = self._players[due.player], due.serial
        mode, local, odd = player.mode(due.when), player.local(due.when), f"{self._seed}/odd/{due.serial}"
        match due.act:
            case Act.OWN:
                return Shot(player.seed, mode, serial, local)
            case Act.SIBLING:
                sibling = self._sibling(player)
                return Shot(sibling.seed, sibling.mode(due.when), serial, sibling.local(due.when))
            case Act.INFRARED:
                return Shot(player.seed, Mode.NIGHT, serial, local)
            case Act.FLICKER:
                return Shot(player.seed, mode, serial, local, damage.flickered, odd)
            case Act.OCCLUDED:
                return Shot(player.seed, mode, serial, local, damage.occluded, odd)
            case Act.GUEST | Act.DARK | Act.PLACEHOLDER:
                return None

    def _sibling(self, player: Player) -> Player:
        return next(p for p in self._players if p.account == player.account and p.camera != player.camera)


def _allowed(player: Player) -> tuple[AccountId, ...]:
    return (player.account, *player.guests)


def _spoiled(data: bytes, damaged: float, rng: Random) -> tuple[str, bytes]:
    """What the fault makes of a still, with the kind that the truth calls it."""
    if rng.random() < damaged:
        grey = damage.greyed(damage.opened(data), rng)
        return ("truncated", damage.cut(grey, rng)) if rng.random() < 0.5 else ("corrupt", grey)
    if rng.random() < 0.5:
        return "copy", data
    return "transcode", damage.for_display(damage.opened(data), rng)


def _truth_of(delivery: Delivery, due: Due, player: Player) -> Truth | None:
    if due.act is Act.GUEST:
        return Truth(delivery.key, due.account, player.camera, due.act, player.account, player.camera)
    kind = "reenrolled" if player.reset_of else due.act
    return None if kind is Act.OWN else Truth(delivery.key, due.account, player.camera, kind)


@dataclass(frozen=True, slots=True)
class Written:
    """What a folder now holds."""

    events: int
    deliveries: int
    leaks: int


def write_folder(simulation: Simulation, out: Path, progress: Progress | None = None) -> Written:
    """Write events.jsonl, stills/*.jpg and truth.jsonl into `out`, which is made if need be.

    Files of an earlier run of the same names are overwritten. Raises OSError.
    """
    (out / "stills").mkdir(parents=True, exist_ok=True)
    done = deliveries = leaks = 0
    with (out / "events.jsonl").open("w") as events, (out / "truth.jsonl").open("w") as truths:
        for done, happening in enumerate(simulation, 1):
            dataref = None
            if happening.data is not None:
                dataref = f"stills/{happening.key.id}.jpg"
                (out / dataref).write_bytes(happening.data)
                deliveries += 1
            line = to_json(happening.event, id=happening.key.id, source=happening.key.source, dataref=dataref)
            events.write(json.dumps(line) + "\n")
            if happening.truth is not None:
                leaks += happening.truth.leaked
                truths.write(json.dumps(happening.truth.line()) + "\n")
            if progress is not None:
                progress(done, simulation.total)
    return Written(done, deliveries, leaks)
