"""What goes wrong, when, and how often: the public incidents as data.

Owns the scenarios and their registry. Refuses to draw and to deliver (simulate.py). Facts are from public reports
(docs/scenarios.md); where no report gives a rate it is ours, and its line says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from models.errors import StrayframeError


class UnknownScenarioError(StrayframeError):
    """There is no scenario of that name; the message lists those that there are."""


@dataclass(frozen=True, slots=True)
class Region:
    """Where accounts live: `weight` among the regions, `offset` of its clocks from UTC."""

    name: str
    weight: float
    offset: timedelta


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who has cameras and how often their stills are delivered. Shares are of cameras; all of it is ours.

    `own_before` and `own_after` are deliveries of each camera to its owner before and after the change;
    `app` is the share of deliveries that the camera's own app gets, the control path; `reset` cameras are reset in
    the middle and go on under another id and account.
    """

    accounts: int
    second_camera: float = 0.08
    shared: float = 0.06
    own_before: int = 10
    own_after: int = 8
    app: float = 0.25
    reset: int = 1
    regions: tuple[Region, ...] = (
        Region("eu", 0.6, timedelta(hours=1)),
        Region("us", 0.25, timedelta(hours=-5)),
        Region("ap", 0.15, timedelta(hours=8)),
    )


@dataclass(frozen=True, slots=True)
class CacheFault:
    """A release of a cache after which fetches over a poor network return other homes' stills.

    `poor` is the share of deliveries over a poor network, at any time and on any surface; only those on `surface`
    that the new release serves go wrong. `foreign` of them show another home's latest still, and `damaged` of those
    are grey or cut off. `nodes` caches serve every region; the new release reaches the first `updated` of them.
    """

    component: str
    version_before: str
    version_after: str
    surface: str
    poor: float
    foreign: float
    damaged: float
    nodes: int = 8
    updated: int = 8


@dataclass(frozen=True, slots=True)
class Oddities:
    """Honest stills that look odd, how many of each: none of them may accuse anybody. The numbers are ours."""

    infrared: int = 4
    flicker: int = 6
    occluded: int = 6
    dark: int = 4
    placeholder: int = 6
    sibling: int = 3


@dataclass(frozen=True, slots=True)
class Scenario:
    """One incident to be played. `start` to `change` is the clean time, `change` to `end` the incident."""

    name: str
    sentence: str
    start: datetime
    change: timedelta
    end: timedelta
    crowd: Crowd
    fault: CacheFault
    odd: Oddities = field(default_factory=Oddities)

    def scaled(self, accounts: int) -> Scenario:
        """The same scenario with another number of accounts; rates stay, so leaks grow with them."""
        return replace(self, crowd=replace(self.crowd, accounts=accounts))

    def as_reported(self) -> Scenario:
        """The same scenario at the size and with the rates that were reported, for large runs: leaks get rare."""
        crowd = replace(self.crowd, accounts=REPORTED_ACCOUNTS)
        fault = replace(self.fault, poor=REPORTED_POOR, updated=self.fault.nodes)
        return replace(self, crowd=crowd, fault=fault)


REPORTED_ACCOUNTS = 1044
"""Accounts that had the integration in December 2019, as the display's maker said."""
REPORTED_POOR = 0.005
"""Share of deliveries over a poor network, fit to the few customers that were affected. Ours: no report gives it."""
DEMO_POOR = 0.2
"""The same for 120 accounts and a few hours, where the reported rate would leak three stills: some sixty, if nothing
stops them, and three within ten minutes, as a crowd of the reported size and more would see. Ours."""
DEMO_UPDATED = 4
"""Caches of eight that the new release reaches: releases are rolled out in steps. Ours: no report tells of it."""

XIAOMI_2019 = Scenario(
    name="xiaomi_2019",
    sentence="a cache update, under poor network conditions, makes smart displays show strangers' stills",
    start=datetime(2019, 12, 26, 7, 0, tzinfo=UTC),
    change=timedelta(hours=4, minutes=30),
    end=timedelta(hours=8),
    crowd=Crowd(accounts=120),
    fault=CacheFault(
        component="image-cache",
        version_before="2019.12.12-3",
        version_after="2019.12.26-1",
        surface="hub",
        poor=DEMO_POOR,
        foreign=0.85,
        damaged=0.40,
        updated=DEMO_UPDATED,
    ),
)

SCENARIOS = {scenario.name: scenario for scenario in (XIAOMI_2019,)}
"""Every scenario that can be played, by name."""


def scenario(name: str) -> Scenario:
    """The scenario of that name. Raises UnknownScenarioError."""
    if name not in SCENARIOS:
        raise UnknownScenarioError(f"there is no scenario {name!r}; there is {', '.join(SCENARIOS)}")
    return SCENARIOS[name]
