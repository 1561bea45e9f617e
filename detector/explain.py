"""What the engine knows about one still, laid open: nearest scenes, placings, and the thresholds it is held against.

Owns the numbers that a verdict comes from, in a form for people and programs. Refuses to judge and to change anything:
it reads an engine as it stands just before the still is judged, by the very functions that the engine decides with. It
looks at more scenes than the engine does, and at those that the engine leaves out, so as to say why they do not count.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from detector import match, shift
from detector.beside import Viewer
from detector.engine import Engine
from detector.explanation import CameraState, Copy, Explanation, Near
from detector.known import Watched
from detector.memory import Memory
from detector.query import Query
from models.fingerprint import Still
from models.records import Delivery, SceneId
from models.scene import Standing


def explain(engine: Engine, delivery: Delivery, still: Still) -> Explanation:
    """What the engine has to go by, were it given this still now. Changes nothing."""
    memory, rights = engine.memory, engine.rights
    camera = memory.cameras.get(delivery.camera)
    owner, presumed = rights.owner(delivery.camera, delivery.time)
    query = None if still.fingerprint is None else Query(still.fingerprint)
    own_match, own_score, own_rule = None, 0.0, ""
    if query is not None and camera is not None:
        own_match, own_score, own_rule = match.own(memory, camera.own, query)
    others = [c for c in rights.visible(delivery.account, delivery.time) if c != delivery.camera]
    viewer = Viewer(memory, rights, delivery)
    card = None
    if query is not None:
        siblings = [k for c in others if c in memory.cameras for k in memory.cameras[c].own]
        unexplained = own_match is None and match.own(memory, siblings, query)[0] is None
        card = _card(engine, delivery, still, query, damaged=unexplained)
    return Explanation(
        delivery=delivery,
        still=still,
        owner=owner,
        presumed=presumed,
        may_see=rights.may_see(delivery.account, delivery.camera, delivery.time),
        siblings=len(others),
        camera=_state(camera),
        reliable=0 if still.fingerprint is None else _bits(still.fingerprint.mask),
        own_score=own_score,
        own_rule=own_rule if own_match is not None else "",
        own=() if query is None or camera is None else viewer.own(query, camera, own_match),
        foreign=() if query is None else viewer.foreign(query, others, own_score),
        copies=_copies(memory, still),
        cameras=len(memory.cameras),
        card=card,
    )


def beside(engine: Engine, delivery: Delivery, still: Still, scene: SceneId) -> Near | None:
    """One scene beside the still, as known now; None when the scene or the still's fingerprint is missing."""
    known = engine.memory.scenes.get(scene)
    if known is None or known.row < 0 or still.fingerprint is None:
        return None
    return Viewer(engine.memory, engine.rights, delivery).near(Query(still.fingerprint), known)


def _card(engine: Engine, delivery: Delivery, still: Still, query: Query, *, damaged: bool) -> Near | None:
    """The confirmed placeholder that the still shows, laid beside it."""
    found = engine.placeholders.card(still, query, damaged=damaged)
    if found is None:
        return None
    memory, known, hit = found
    near = Viewer(memory, engine.rights, delivery).near(query, known, hit)
    note = "a confirmed placeholder: it accuses nobody" + ("" if hit is None else ", though it came damaged")
    return replace(near, owner=None, presumed=False, counts=True, note=note)


def _state(camera: Watched | None) -> CameraState:
    if camera is None:
        return CameraState()
    confirmed = sum(k.record.standing is Standing.CONFIRMED for k in camera.own)
    held = sum(not k.returned for k in camera.held)
    first = camera.record.first_seen
    return CameraState(
        camera.stills, shift.explained(camera), len(camera.own), confirmed, held, camera.moves, camera.heir_of, first
    )


def _copies(memory: Memory, still: Still) -> tuple[Copy, ...]:
    out: dict[SceneId, Copy] = {}
    for key, whole in ((still.digest, True), (still.prefix, False)):
        for known in memory.same_bytes(key) if key else ():
            r = known.record
            out.setdefault(r.id, Copy(r.camera, r.account, r.delivery, r.first_seen, whole))
    return tuple(sorted(out.values(), key=lambda c: (not c.whole, c.first_seen, c.camera)))


def _bits(mask: NDArray[np.uint64]) -> int:
    return sum(int(word).bit_count() for word in mask)
