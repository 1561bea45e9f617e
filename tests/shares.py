"""Several engines that share the cameras of a test, over a model of the store and of its log.

Owns who judges what, and when each takes up what the others wrote. Refuses to write a row when nothing is to be told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from detector.engine import Changes, Engine, Knowledge
from detector.learned import Learned
from models.fingerprint import Still
from models.placeholder import Placeholder, PlaceholderId, Shelf, Sighting
from models.records import (
    Alert,
    AlertId,
    CameraId,
    Delivery,
    Judgement,
    Kind,
    RightChanged,
    SceneId,
    Withdrawal,
)
from models.scene import Camera, Scene

Step = tuple[Delivery, Still]


@dataclass
class Tables:
    """What the store keeps: how everything stands, and the log of what changed."""

    rights: list[RightChanged] = field(default_factory=list)
    cameras: dict[CameraId, Camera] = field(default_factory=dict)
    scenes: dict[SceneId, Scene] = field(default_factory=dict)
    alerts: dict[AlertId, Alert] = field(default_factory=dict)
    withdrawn: dict[AlertId, Withdrawal] = field(default_factory=dict)
    placeholders: dict[PlaceholderId, Placeholder] = field(default_factory=dict)
    sightings: list[Sighting] = field(default_factory=list)
    log: list[tuple[int, Changes, list[Judgement]]] = field(default_factory=list)

    def write(self, share: int, changes: Changes, judged: list[Judgement]) -> None:
        """One transaction."""
        self.rights += changes.rights
        self.cameras |= {each.id: each for each in changes.cameras}
        self.scenes |= {each.id: each for each in changes.scenes}
        for id_ in changes.removed:
            self.scenes.pop(id_, None)
        self.alerts |= {each.id: each for each in changes.raised if each.id not in self.alerts}
        self.withdrawn |= {each.alert: each for each in changes.withdrawn if each.alert not in self.withdrawn}
        self.placeholders |= {each.id: each for each in changes.placeholders}
        self.sightings += [each for each in changes.sightings if each not in self.sightings]
        if any((changes.scenes, changes.removed, changes.cameras, changes.raised, changes.withdrawn, judged)) or any(
            (changes.placeholders, changes.sightings, changes.sought, changes.went_on, changes.alive)
        ):
            self.log.append((share, changes, judged))

    def read(self, row: int) -> tuple[int, Learned]:
        """A row, and how stands by now what it tells of."""
        share, told, judged = self.log[row]
        raised = [self.alerts[each.id] for each in told.raised if each.id not in self.withdrawn]
        return share, Learned(
            scenes=[self.scenes[each.id] for each in told.scenes if each.id in self.scenes],
            removed=told.removed,
            cameras=[self.cameras[each.id] for each in told.cameras],
            sought=told.sought,
            went_on=[replace(each, attributes={}) for each in told.went_on],
            alive=told.alive,
            placeholders=[
                self.placeholders[i] for i in {s.placeholder for s in told.sightings} if i in self.placeholders
            ],
            sightings=told.sightings,
            raised=raised,
            withdrawn=[self.withdrawn[each.alert] for each in told.withdrawn],
            judged=judged,
        )

    def leaks(self) -> set[tuple[str, str, str]]:
        """Delivery, viewer and owner of every leak that stands."""
        return leaks(self.alerts[id_] for id_ in self.alerts.keys() - self.withdrawn.keys())

    def knowledge(self) -> Knowledge:
        """What a share starts from."""
        standing = [alert for id_, alert in self.alerts.items() if id_ not in self.withdrawn]
        shelf = Shelf(0, tuple(self.placeholders.values()), tuple(self.sightings))
        return Knowledge(
            list(self.rights), list(self.cameras.values()), list(self.scenes.values()), standing, (), shelf
        )


class Share:
    """One matcher: judges, commits, folds. `folded` is stored with what it led to."""

    def __init__(self, number: int, mine: Callable[[CameraId], bool], tables: Tables) -> None:
        self.number = number
        self.mine = mine
        self.tables = tables
        self.engine = Engine(mine=mine, desk=number == 1)
        self.judged: list[Judgement] = []
        self.batch: list[Step] = []
        self.read = self.folded = 0

    def judge(self, step: Step) -> None:
        """Judge one delivery."""
        self.batch.append(step)
        self.judged.append(self.engine.judge(step[0], lambda: step[1]))

    def fold(self, rows: int) -> None:
        """Take up so many rows of the log at most."""
        for _ in range(min(rows, len(self.tables.log) - self.read)):
            share, learned = self.tables.read(self.read)
            self.read += 1
            if share != self.number:
                self.engine.fold(learned)

    def commit(self) -> None:
        """Store what changed."""
        self.tables.write(self.number, self.engine.drain(), self.judged)
        self.judged, self.batch, self.folded = [], [], self.read

    def die(self) -> list[Step]:
        """Lose what was not stored, and start from the store; what is to be judged again."""
        again, self.batch, self.judged = self.batch, [], []
        self.engine = Engine(mine=self.mine, desk=self.number == 1)
        self.engine.restore(self.tables.knowledge())
        self.read = self.folded
        return again


def leaks(alerts: Sequence[Alert] | object) -> set[tuple[str, str, str]]:
    """Delivery, viewer and owner of the leaks among them."""
    return {(a.delivery.id, str(a.recipient), str(a.owner)) for a in alerts if a.kind is Kind.LEAK}  # type: ignore[attr-defined]
