"""Who takes part in a simulation: accounts, their cameras, their guests; and when which still is due.

Owns the cast and its timetable, both drawn from a seed. Refuses to draw pictures and to deliver (simulate.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from random import Random

from models.records import AccountId, CameraId
from streams.simulator.render import Mode, outdoors
from streams.simulator.scenario import Region, Scenario


class Act(StrEnum):
    """What is due: the camera's own still, the same one for a guest, or one of the oddities."""

    OWN = "own"
    GUEST = "household"
    INFRARED = "infrared"
    FLICKER = "flicker"
    OCCLUDED = "occluded"
    DARK = "dark"
    PLACEHOLDER = "placeholder"
    SIBLING = "sibling"


@dataclass(frozen=True, slots=True)
class Player:
    """One camera of the simulation. `seed` is its place's: a camera that was reset keeps it. Times are UTC."""

    camera: CameraId
    account: AccountId
    seed: str
    outdoors: bool
    region: Region
    guests: tuple[AccountId, ...] = ()
    reset_of: CameraId | None = None

    def local(self, when: datetime) -> datetime:
        """What the camera's own clock shows."""
        return when + self.region.offset

    def mode(self, when: datetime) -> Mode:
        """The light at that time: homes light their rooms in the evening and switch cameras to infrared at night."""
        local = self.local(when)
        hour = local.hour + local.minute / 60 + (sum(self.seed.encode()) % 40 - 20) / 60
        if 7.6 <= hour < 16.6:
            return Mode.DAY
        if 6.6 <= hour < 7.6 or 16.6 <= hour < (17.8 if self.outdoors else 22.6):
            return Mode.DUSK
        return Mode.NIGHT


@dataclass(frozen=True, slots=True, order=True)
class Due:
    """One delivery that is due: `serial` makes every one different, and breaks ties."""

    when: datetime
    serial: int
    player: int
    account: AccountId
    act: Act


@dataclass(frozen=True, slots=True)
class Cast:
    """All players, and all deliveries in time order."""

    players: tuple[Player, ...]
    timetable: tuple[Due, ...]


def cast(scenario: Scenario, seed: int) -> Cast:
    """The cast of a scenario: the same seed gives the same one."""
    rng = Random(f"cast/{scenario.name}/{seed}")
    players = _players(scenario, seed, rng)
    players += _reset(scenario, players, rng)
    timetable = [*_plain(scenario, players, rng), *_odd(scenario, players, rng)]
    ordered = sorted(timetable, key=lambda due: due.when)
    return Cast(tuple(players), tuple(Due(d.when, n, d.player, d.account, d.act) for n, d in enumerate(ordered)))


def _players(scenario: Scenario, seed: int, rng: Random) -> list[Player]:
    crowd, players = scenario.crowd, list[Player]()
    accounts = [AccountId(f"acct-{n:05d}") for n in range(crowd.accounts)]
    for account in accounts:
        region = rng.choices(crowd.regions, [r.weight for r in crowd.regions])[0]
        for _ in range(2 if rng.random() < crowd.second_camera else 1):
            guest = rng.choice(accounts)
            guests = (guest,) if rng.random() < crowd.shared and guest != account else ()
            name = f"cam-{len(players):05d}"
            place = f"{scenario.name}/{seed}/{name}"
            players.append(Player(CameraId(name), account, place, outdoors(place), region, guests))
    return players


def _reset(scenario: Scenario, players: list[Player], rng: Random) -> list[Player]:
    """Cameras that will be reset: each comes again under another id and another account."""
    alone = [p for p in players if not p.guests and sum(q.account == p.account for q in players) == 1]
    return [
        Player(
            CameraId(f"{p.camera}-again"), AccountId(f"acct-again-{n}"), p.seed, p.outdoors, p.region, reset_of=p.camera
        )
        for n, p in enumerate(rng.sample(alone, min(scenario.crowd.reset, len(alone))))
    ]


def _plain(scenario: Scenario, players: list[Player], rng: Random) -> Iterator[Due]:
    """Every camera's own stills, evenly with some jitter, and the same ones for its guests a moment later."""
    again = {p.reset_of: n for n, p in enumerate(players) if p.reset_of}
    spans = (
        (scenario.start, scenario.change, scenario.crowd.own_before),
        (scenario.start + scenario.change, scenario.end - scenario.change, scenario.crowd.own_after),
    )
    for n, player in enumerate(players):
        if player.reset_of:
            continue
        for late, (begin, span, count) in enumerate(spans):
            for k in range(count):
                when = begin + span * ((k + rng.random() * 0.8) / count)
                who = again.get(player.camera, n) if late else n
                yield Due(when, 0, who, players[who].account, Act.OWN)
                for guest in player.guests:
                    yield Due(when + timedelta(seconds=rng.uniform(0.1, 2)), 0, n, guest, Act.GUEST)


def _odd(scenario: Scenario, players: list[Player], rng: Random) -> Iterator[Due]:
    """The oddities, from a third of the clean time on, when cameras are known a little."""
    siblings = [n for n, p in enumerate(players) if sum(q.account == p.account for q in players) > 1]
    steady = [n for n, p in enumerate(players) if not p.reset_of and p.camera not in {q.reset_of for q in players}]
    first = scenario.change / 3
    odd = scenario.odd
    counts = {
        Act.INFRARED: odd.infrared, Act.FLICKER: odd.flicker, Act.OCCLUDED: odd.occluded, Act.DARK: odd.dark,
        Act.PLACEHOLDER: odd.placeholder, Act.SIBLING: odd.sibling,
    }  # fmt: skip
    for act, count in counts.items():
        among = siblings if act is Act.SIBLING else steady
        for n in rng.sample(among, min(count, len(among))):
            when = scenario.start + first + (scenario.end - first) * rng.random() * 0.95
            for k in range(4 if act is Act.INFRARED else 1):
                yield Due(when + timedelta(seconds=40 * k), 0, n, players[n].account, act)
