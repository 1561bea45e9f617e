"""Scopes: which part of the delivery path a suspension switches off, from one account's link to a whole integration.

Owns how a scope is named, what lies in it and what the next wider one is. Refuses to choose one: the policy does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NewType

from models.errors import StrayframeError
from models.records import AccountId, Delivery, derived_id

SuspensionId = NewType("SuspensionId", str)

ACCOUNT: Final = "account"
NODE: Final = "cachenode"
RELEASE: Final = "release"
SURFACE: Final = "surface"
REGION: Final = "region"
NODES_MOST: Final = 16
"""Cache nodes in one scope, at most: a fault on more of them is the surface's."""

Where = tuple[tuple[str, tuple[str, ...]], ...]


class BadScope(StrayframeError):
    """What was given names no scope; the message says what is accepted."""


class Breadth(StrEnum):
    """What a scope switches off, narrowest first. The values go over the wire; none ever changes its meaning."""

    LINK = "account-link"
    NODE = "cache-node"
    NODES = "cache-nodes"
    RELEASE = "release"
    ATTRIBUTES = "attributes"
    SURFACE = "surface"
    INTEGRATION = "integration"


@dataclass(frozen=True, slots=True)
class Scope:
    """The deliveries of one integration that have one of the values for each attribute in `where`.

    `account` in `where` is the viewer. Two scopes with the same values are one, and have one id.
    """

    breadth: Breadth
    integration: str
    where: Where = ()

    @property
    def id(self) -> SuspensionId:
        """The id of the scope's one suspension."""
        parts = [part for name, values in self.where for part in (name, str(len(values)), *values)]
        return SuspensionId(derived_id("su", self.integration, self.breadth.value, *parts))

    @property
    def is_wide(self) -> bool:
        """Whether it is wider than one account's link: to resume it takes two persons."""
        return self.breadth is not Breadth.LINK

    def holds(self, integration: str, account: str, attributes: Mapping[str, str]) -> bool:
        """Whether a delivery with these values lies in it."""
        if integration != self.integration:
            return False
        return all((account if name == ACCOUNT else attributes.get(name)) in values for name, values in self.where)

    def has(self, delivery: Delivery) -> bool:
        """Whether the delivery lies in it."""
        return self.holds(delivery.integration, delivery.account, delivery.attributes)

    def record(self) -> dict[str, Any]:
        """As JSON says it; `of_record` reads it."""
        where = {name: list(values) for name, values in self.where}
        return {"breadth": self.breadth.value, "integration": self.integration, "where": where}

    def __str__(self) -> str:
        told = " and ".join(f"{name} {', '.join(values)}" for name, values in self.where)
        return f"{told} of {self.integration or '(no integration)'}" if told else f"all of {self.integration}"


def scope(breadth: Breadth, integration: str, where: Mapping[str, str | tuple[str, ...]]) -> Scope:
    """The scope, values in their order. Raises BadScope where the attributes are not those of the breadth."""
    sorted_values = {
        name: (values,) if isinstance(values, str) else tuple(sorted(set(values))) for name, values in where.items()
    }
    made = Scope(breadth, integration, tuple(sorted(sorted_values.items())))
    if (wrong := _wrong(made)) is not None:
        raise BadScope(f"a scope of breadth {breadth.value} {wrong}")
    return made


def link(integration: str, account: AccountId | str) -> Scope:
    """One account's link to the integration."""
    return scope(Breadth.LINK, integration, {ACCOUNT: str(account)})


def whole(integration: str) -> Scope:
    """All of an integration."""
    return Scope(Breadth.INTEGRATION, integration)


def named(integration: str, where: Mapping[str, str | Sequence[str]]) -> Scope:
    """The scope of these attributes, its breadth told by their names. Raises BadScope."""
    values = {name: (each,) if isinstance(each, str) else tuple(each) for name, each in where.items()}
    alone = {ACCOUNT: Breadth.LINK, NODE: Breadth.NODE, RELEASE: Breadth.RELEASE, SURFACE: Breadth.SURFACE}
    breadth = Breadth.ATTRIBUTES if values else Breadth.INTEGRATION
    if len(values) == 1:
        name = next(iter(values))
        breadth = Breadth.NODES if name == NODE and len(set(values[name])) > 1 else alone.get(name, breadth)
    return scope(breadth, integration, values)


def of_record(record: Mapping[str, Any]) -> Scope:
    """The scope that `record` wrote. Raises BadScope."""
    try:
        breadth = Breadth(record["breadth"])
        where = {str(name): tuple(map(str, values)) for name, values in record["where"].items()}
        return scope(breadth, str(record["integration"]), where)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        known = ", ".join(each.value for each in Breadth)
        raise BadScope(f"a scope has breadth ({known}), integration and where ({error})") from None


def wider(narrow: Scope, account: str, attributes: Mapping[str, str]) -> Scope | None:
    """The next wider scope that holds a delivery with these values; None beyond the integration."""
    order = list(Breadth)
    for breadth, name in ((Breadth.NODE, NODE), (Breadth.RELEASE, RELEASE), (Breadth.SURFACE, SURFACE)):
        value = attributes.get(name)
        wide = breadth is Breadth.SURFACE or not narrow.is_wide
        if value and wide and order.index(breadth) > order.index(narrow.breadth):
            return scope(breadth, narrow.integration, {name: value})
    return None if narrow.breadth is Breadth.INTEGRATION else whole(narrow.integration)


def _wrong(made: Scope) -> str | None:
    """What is wrong with a scope's attributes, as the end of a sentence."""
    named = {
        Breadth.LINK: (ACCOUNT,),
        Breadth.NODE: (NODE,),
        Breadth.NODES: (NODE,),
        Breadth.RELEASE: (RELEASE,),
        Breadth.SURFACE: (SURFACE,),
        Breadth.INTEGRATION: (),
    }.get(made.breadth)
    names = tuple(name for name, _ in made.where)
    if named is not None and names != named:
        return f"names {', '.join(named) or 'no attribute'}, and nothing else"
    if named is None and (len(names) != 2 or ACCOUNT in names):
        return (
            f"names two attributes of a delivery; alone, only {ACCOUNT}, {NODE}, {RELEASE} and {SURFACE} can be named"
        )
    least, most = (2, NODES_MOST) if made.breadth is Breadth.NODES else (1, 1)
    if not all(least <= len(values) <= most and all(values) for _, values in made.where):
        return f"has from {least} to {most} values for each attribute" if most > 1 else "has one value an attribute"
    if made.breadth is Breadth.INTEGRATION and not made.integration:
        return "names the integration"
    return None
