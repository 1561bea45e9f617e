"""Pictures that many unrelated accounts get: counted, shown to a person, and taken out once a person confirms them.

Owns which picture is a candidate, whose home it may be all the same, and what a confirmation undoes. Refuses
to confirm anything by itself. The rule (docs/placeholders.md): a picture that three unrelated accounts got through
cameras of their own accuses nobody, unless exactly one camera's history holds it confirmed. Once eight got it, that
camera must be a living one as well: one that showed it with changes that no new encoding makes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Sequence
from datetime import UTC, datetime
from typing import Final

import numpy as np

from detector import strip
from detector.alarms import Alarms
from detector.known import NUMBER, VISITED, Known
from detector.match import Match
from detector.memory import WHOSE, Memory
from detector.query import Query
from models.code import AS_IS, fine_of, hypotheses
from models.fingerprint import Fingerprint, Still
from models.placeholder import (
    ACCOUNTS,
    NEAR_BITS,
    NEAR_RADIUS,
    Gallery,
    Look,
    Placeholder,
    PlaceholderId,
    Shelf,
    Sighting,
    State,
    lives,
    placeholder_id,
    same_drawing,
)
from models.records import AccountId, Alert, CameraId, Delivery, DeliveryId, Kind, Numbers, SceneId
from models.rights import Rights
from models.scene import Standing

MANY: Final = 8
"""Unrelated accounts from which on a camera must live with the picture to be its owner. Four of five fixed cameras do
within two stills, 97 % within five; a new camera that is switched off shows the vendor's picture without a change."""
MOST_ACCOUNTS: Final = 10_000
"""Accounts that are counted of one picture; it then means "at least so many"."""
MOST_SUSPECTS: Final = 2_000
"""Pictures that no person is shown that are kept; beyond, the one not met for longest goes."""
NOBODYS: Final = CameraId("")
"""The camera whose scenes the confirmed pictures are, in a memory of their own."""


class Placeholders:
    """The pictures that more than one account got, and those that a person confirmed."""

    def __init__(self, memory: Memory, rights: Rights, alarms: Alarms) -> None:
        self._memory = memory
        self._rights = rights
        self._alarms = alarms
        self._confirmed = Gallery()
        self._met = Gallery()
        self._cards = Memory()
        self._hung: dict[PlaceholderId, Known] = {}
        self._records: dict[PlaceholderId, Placeholder] = {}
        self._accounts: dict[PlaceholderId, dict[AccountId, None]] = defaultdict(dict)
        self._cameras: dict[PlaceholderId, dict[CameraId, None]] = defaultdict(dict)
        self._changed: dict[PlaceholderId, None] = {}
        self._dropped: dict[PlaceholderId, None] = {}
        self._sightings: list[Sighting] = []
        self._alive: list[SceneId] = []

    # --- what persons said

    def take(self, shelf: Shelf) -> None:
        """Take up what the store holds: all of it at the start, later what persons ruled meanwhile.

        Scenes that were learned from a picture that is newly confirmed are taken out, and its alerts withdrawn.
        """
        held = {p.id: p for p in shelf.placeholders}
        for id_ in [id_ for id_ in self._records if id_ not in held]:
            self._drop(id_)
        for sighting in shelf.sightings:
            if sighting.placeholder in held and sighting.placeholder not in self._records:
                self._accounts[sighting.placeholder][sighting.account] = None
                self._cameras[sighting.placeholder][sighting.camera] = None
        for given in held.values():
            record = self._records.get(given.id)
            if record is None:
                record = self._records[given.id] = given
            record.state, record.label = given.state, given.label
            self._hang(record, Look.from_bytes(given.body))

    def _hang(self, record: Placeholder, look: Look) -> None:
        fresh = record.state is State.CONFIRMED and record.id not in self._confirmed
        for gallery, belongs in (
            (self._confirmed, record.state is State.CONFIRMED),
            (self._met, record.state is not State.CONFIRMED),
        ):
            if belongs:
                gallery.add(record.id, look)
            else:
                gallery.remove(record.id)
        if fresh:
            self._learn_card(record.id, look)
            self._take_out(record, look)
        elif record.state is not State.CONFIRMED:
            self._forget_card(record.id)

    def _learn_card(self, id_: PlaceholderId, look: Look) -> None:
        """A confirmed picture is a scene of nobody's camera: so it is found however it was damaged on its way."""
        if look.levels is None:
            return
        never = datetime.min.replace(tzinfo=UTC)
        delivery = Delivery(DeliveryId("placeholder", id_), never, AccountId(""), NOBODYS)
        still = Still(look.digest, b"", Fingerprint.of(look.levels), "")
        camera = self._cards.camera(delivery)
        self._hung[id_] = self._cards.learn(camera, delivery, still, Standing.CONFIRMED, novel=False)

    def _forget_card(self, id_: PlaceholderId) -> None:
        known = self._hung.pop(id_, None)
        if known is not None:
            self._cards.forget(known)

    def _take_out(self, record: Placeholder, look: Look) -> None:
        """Undo what was concluded from a placeholder: alerts on it are withdrawn, its scenes forgotten."""
        learned = {k.record.id: k for k in [*self._near(look), *self._memory.same_bytes(look.digest)]}
        shown = {k.record.camera for k in learned.values()}
        for known in learned.values():
            for alert in self._resting_on(known):
                self._alarms.withdraw(alert, alert.raised_at, f"it shows the placeholder {record.id}")
            camera = self._memory.cameras[known.record.camera]
            if camera.heir_of in shown:
                camera.heir_of = None
                self._memory.changed(camera)
        for known in learned.values():
            self._memory.forget(known)

    # --- what comes

    def recognise(self, delivery: Delivery, still: Still) -> Numbers | None:
        """The figures of the confirmed placeholder that the still shows, or None."""
        id_ = self._whole(still)
        return None if id_ is None else self._recognised(id_, delivery)

    def recognise_damaged(self, delivery: Delivery, query: Query) -> Numbers | None:
        """The same for a still that nothing of the account explains: cut off, cropped, mirrored, drawn over."""
        hit = self._damaged(query)
        return None if hit is None else self._recognised(PlaceholderId(hit.scene.record.delivery.id), delivery)

    def card(self, still: Still, query: Query, *, damaged: bool) -> tuple[Memory, Known, Match | None] | None:
        """The confirmed picture that a still shows, and the memory that it lies in; nothing is counted.

        One that is recognised as a whole has no match: its cells are compared one by one. Where it may be `damaged`,
        the match says how it lies in the still. None also for a picture in which there is too little to compare.
        """
        id_ = self._whole(still)
        if id_ is not None:
            return (self._cards, self._hung[id_], None) if id_ in self._hung else None
        hit = self._damaged(query) if damaged else None
        return None if hit is None else (self._cards, hit.scene, hit)

    def _whole(self, still: Still) -> PlaceholderId | None:
        return self._confirmed.find(look_of(still)) if len(self._confirmed) and still.complete else None

    def _damaged(self, query: Query) -> Match | None:
        hits = strip.search(self._cards, query, (), WHOSE) if self._hung else []
        return hits[0] if hits else None

    def _recognised(self, id_: PlaceholderId, delivery: Delivery) -> Numbers:
        record = self._records[id_]
        self._count(record, delivery.time)
        return {"placeholder": id_, "accounts": record.accounts}

    def meet(self, delivery: Delivery, still: Still, hits: Sequence[Match]) -> bool:
        """Take note of a still that its camera's history does not explain; whether it must not accuse anybody.

        `hits` are the confirmed scenes of other accounts that agree with it. A living camera's among them makes it
        that camera's still, and nothing is noted.
        """
        if any(hit.scene.lives for hit in hits):
            return False
        look = look_of(still)
        id_ = self._met.find(look)
        if id_ is None:
            others = self._elsewhere(delivery, look)
            if not others:
                return False
            first = min(others, key=lambda k: (k.record.first_seen, k.record.id))
            id_ = self._begin(look, first.record.camera, first.record.first_seen)
            for known in others:
                self._sight(id_, known.record.account, known.record.camera, known.record.first_seen)
        self._sight(id_, delivery.account, delivery.camera, delivery.time)
        near = self._if_nobodys(self._records[id_])
        if near is not None:
            self._take_back(self._records[id_], near, delivery.time)
        return near is not None

    def meet_flat(self, delivery: Delivery, still: Still) -> None:
        """Take note of a still that has too little in it to compare. A sensor's noise counts by its very bytes only."""
        look = look_of(still)
        id_ = self._met.find(look)
        if id_ is None and still.noisy and still.digest not in self._memory.digests:
            return
        if id_ is None:
            id_ = self._begin(look, delivery.camera, delivery.time)
            for known in self._memory.same_bytes(still.digest):
                self._sight(id_, known.record.account, known.record.camera, known.record.first_seen)
        self._sight(id_, delivery.account, delivery.camera, delivery.time)

    def shared(self, known: Known, hits: Sequence[Match] = ()) -> bool:
        """Whether a kept scene is a picture that accuses nobody; a living scene among `hits` says otherwise."""
        if known.lives or not len(self._met) or any(hit.scene.lives for hit in hits):
            return False
        id_ = self._met.find(self._look_at(known))
        return id_ is not None and self._if_nobodys(self._records[id_]) is not None

    def candidate(self, known: Known) -> PlaceholderId | None:
        """The candidate that a kept still shows, where a person is shown it already."""
        id_ = None if known.lives or not len(self._met) else self._met.find(self._look_at(known))
        if id_ is None:
            return None
        record = self._records[id_]
        return id_ if record.state is State.CANDIDATE and record.is_shown else None

    def _if_nobodys(self, record: Placeholder) -> list[Known] | None:
        """The scenes that show a picture that accuses nobody; None of one that does."""
        if record.state is not State.CANDIDATE or record.accounts < ACCOUNTS or record.homes == 1:
            return None
        near = self._near(self._met.look(record.id))
        holders = {k.record.account for k in near if k.record.standing is Standing.CONFIRMED}
        return None if len(holders) == 1 and record.accounts < MANY else near

    def comes_alive(self, known: Known, still: Still, rule: str) -> bool:
        """Note whether a camera lives with its scene; True when that scene is one that waited for its home."""
        if known.lives or rule != "own-code" or not still.complete or still.fingerprint is None:
            return False
        known.lives = lives(self._memory.index.levels(known.row), still.fingerprint.levels)
        if not known.lives:
            return False
        self._memory.touch(known)
        self._alive.append(known.record.id)
        id_ = self._met.find(self._look_at(known)) if len(self._met) else None
        return id_ is not None and self._at_home(self._records[id_], known)

    def lives_elsewhere(self, known: Known) -> bool:
        """The same of a scene with which its camera was seen to live by another matcher."""
        id_ = self._met.find(self._look_at(known)) if len(self._met) and known.row >= 0 else None
        return id_ is not None and self._at_home(self._records[id_], known)

    def fold(self, given: Sequence[Placeholder], sightings: Sequence[Sighting]) -> None:
        """Take up what another matcher met: the accounts that got one picture are counted together, whoever saw them.

        Two matchers may have begun the same picture under two names; each counts all of it under its own.
        """
        here = {record.id: self._here(record) for record in given}
        grown: dict[PlaceholderId, None] = {}
        for sighting in sightings:
            id_ = here.get(sighting.placeholder)
            if id_ is not None and self._share(id_, sighting):
                grown[id_] = None
        for id_ in grown:
            record = self._records[id_]
            self._changed[id_] = None
            near = self._if_nobodys(record)
            if near is not None:
                self._take_back(record, near, record.last_seen or datetime.min.replace(tzinfo=UTC))

    def _here(self, given: Placeholder) -> PlaceholderId | None:
        """What a picture is called here; None where a person has ruled that it counts no longer."""
        if given.id in self._records:
            return given.id
        look = Look.from_bytes(given.body)
        id_ = self._met.find(look)
        if id_ is None and given.state is State.CANDIDATE and self._confirmed.find(look) is None:
            assert given.camera is not None
            assert given.first_seen is not None
            id_ = self._begin(look, given.camera, given.first_seen)
            self._records[id_].last_seen = given.last_seen
        return id_

    def _share(self, id_: PlaceholderId, sighting: Sighting) -> bool:
        """Count an account that another matcher saw; False where it counts already."""
        record, accounts, cameras = self._records[id_], self._accounts[id_], self._cameras[id_]
        at = record.last_seen
        known = sighting.account in accounts or len(accounts) >= MOST_ACCOUNTS
        if known or (at is not None and self._related(sighting.account, cameras, at)):
            return False
        accounts[sighting.account] = cameras[sighting.camera] = None
        record.accounts = len(accounts)
        if id_ != sighting.placeholder:
            self._sightings.append(Sighting(id_, sighting.account, sighting.camera))
        return True

    def _at_home(self, record: Placeholder, known: Known) -> bool:
        """One living home is the owner's; a second one says that it is nobody's."""
        owner = record.owner_camera
        if owner is not None and self._related(known.record.account, {owner}, known.record.last_seen):
            return False
        record.homes += 1
        self._changed[record.id] = None
        if record.homes == 1:
            record.owner_camera = known.record.camera
            return True
        self._take_back(record, self._near(self._met.look(record.id)), known.record.last_seen)
        return False

    # --- counting

    def _sight(self, id_: PlaceholderId, account: AccountId, camera: CameraId, at: datetime) -> None:
        record, accounts, cameras = self._records[id_], self._accounts[id_], self._cameras[id_]
        self._count(record, at)
        if account in accounts or len(accounts) >= MOST_ACCOUNTS:
            return
        if self._related(account, cameras, at):
            return
        accounts[account] = cameras[camera] = None
        record.accounts = len(accounts)
        self._sightings.append(Sighting(id_, account, camera))

    def _related(self, account: AccountId, cameras: Container[CameraId], at: datetime) -> bool:
        """Whether the account might see one of these cameras then."""
        return any(camera in cameras for camera in self._rights.visible(account, at))

    def _count(self, record: Placeholder, at: datetime) -> None:
        record.stills += 1
        record.first_seen = at if record.first_seen is None else min(record.first_seen, at)
        record.last_seen = at if record.last_seen is None else max(record.last_seen, at)
        self._changed[record.id] = None

    def _begin(self, look: Look, camera: CameraId, at: datetime) -> PlaceholderId:
        id_ = placeholder_id(look)
        record = Placeholder(id_, State.CANDIDATE, look.to_bytes(), first_seen=at, last_seen=at, camera=camera)
        self._records[id_] = record
        self._dropped.pop(id_, None)
        self._met.add(id_, look)
        self._forget_one()
        return id_

    def _forget_one(self) -> None:
        """Make room: a picture of few accounts that was not met for long goes."""
        if len(self._met) <= MOST_SUSPECTS:
            return
        few = [r for r in self._records.values() if not r.is_shown]
        if len(few) > MOST_SUSPECTS:
            oldest = min(few, key=lambda r: (r.last_seen or datetime.min, r.id))  # noqa: DTZ901 - never None here
            self._drop(oldest.id)
            self._dropped[oldest.id] = None

    def _drop(self, id_: PlaceholderId) -> None:
        del self._records[id_]
        self._met.remove(id_)
        self._confirmed.remove(id_)
        self._forget_card(id_)
        self._accounts.pop(id_, None)
        self._cameras.pop(id_, None)
        self._changed.pop(id_, None)
        self._sightings = [s for s in self._sightings if s.placeholder != id_]

    def _take_back(self, record: Placeholder, near: Sequence[Known], at: datetime) -> None:
        """It is nobody's: leaks that were told because of it no longer stand."""
        why = f"{record.accounts} unrelated accounts got the same picture: placeholder candidate {record.id}"
        for known in near:
            for alert in self._resting_on(known):
                if alert.kind is Kind.LEAK and alert.scene == known.record.id and not known.lives:
                    self._alarms.withdraw(alert, max(at, alert.raised_at), why)

    # --- scenes that show it

    def _elsewhere(self, delivery: Delivery, look: Look) -> list[Known]:
        """Scenes of unrelated accounts that are this very picture; none when it lives in one of them."""
        mine = {delivery.camera, *self._rights.visible(delivery.account, delivery.time)}
        near = self._near(look, self._memory.numbers(mine))
        return [] if any(k.lives for k in near) else near

    def _near(self, look: Look, skip: Sequence[int] = ()) -> list[Known]:
        if look.code is None or look.mask is None or look.levels is None:
            return []
        index, standings = self._memory.index, [*NUMBER.values(), VISITED]
        near = self._memory.candidates(hypotheses(fine_of(look.levels), AS_IS), skip, standings, usual=1)
        found = index.match(near, look.code[None], look.mask[None], radius=NEAR_RADIUS, least=NEAR_BITS)
        rows = [f.row for f in found if not f.negative and f.differing <= NEAR_RADIUS * f.common]
        return [self._memory.at_row[r] for r in rows if same_drawing(look.levels, self._memory.index.levels(r))]

    def _resting_on(self, known: Known) -> list[Alert]:
        """Open alerts that name this scene, or were raised on the delivery that it was learned from."""
        return [
            a
            for a in self._alarms.about(known.record.camera)
            if a.scene == known.record.id or (a.delivery == known.record.delivery and a.rule != "no-right")
        ]

    def _look_at(self, known: Known) -> Look:
        levels = self._memory.index.levels(known.row)
        code, mask = self._memory.index.bits(known.row)
        return Look(known.digest, levels, code, mask)

    def drain(self) -> tuple[list[Placeholder], list[Sighting], list[PlaceholderId]]:
        """What changed since the last drain: pictures as they are now, new sightings, pictures that were dropped."""
        out = [self._copy(id_) for id_ in self._changed], self._sightings, list(self._dropped)
        self._changed, self._sightings, self._dropped = {}, [], {}
        return out

    def drain_alive(self) -> list[SceneId]:
        """Scenes that their cameras were seen to live with since the last call."""
        alive, self._alive = self._alive, []
        return alive

    def _copy(self, id_: PlaceholderId) -> Placeholder:
        r = self._records[id_]
        return Placeholder(
            r.id,
            r.state,
            r.body,
            r.accounts,
            r.stills,
            r.first_seen,
            r.last_seen,
            r.camera,
            r.homes,
            r.owner_camera,
            r.label,
        )


def look_of(still: Still) -> Look:
    """What is compared of a still."""
    found = still.fingerprint
    if found is None:
        return Look(still.digest, coarse=None if still.noisy else still.coarse)
    return Look(still.digest, np.asarray(found.levels), found.code, found.mask)
