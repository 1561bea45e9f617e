"""`strayframe explain`: what it says is what the engine goes by, it changes nothing, and the picture shows it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps
from typer.testing import CliRunner

from api.cli import app
from detector.beside import needed_score, placed
from detector.engine import Engine
from detector.explain import explain
from models.agreement import Agreement
from models.placeholder import Shelf
from models.records import (
    AccountId,
    CameraId,
    ChangeDeployed,
    Delivery,
    DeliveryId,
    Judgement,
    RightAction,
    RightChanged,
    Verdict,
)
from streams.claims import folder_fetch
from streams.cloudevents import Message, parse_line, to_json
from streams.decode import Decoder
from streams.explain import Explained, run
from streams.find import NotExplained, find
from streams.judge import Judge
from streams.metrics import Metrics
from streams.picture import GREEN, RED, draw
from streams.placeholder import from_file
from streams.replay import lines
from streams.simulator.render import Mode, Moment, damage, jpeg, stage, still

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOMES = ("ann", "ben", "cem", "dora")


@cache
def scene(home: str, moment: int) -> Image.Image:
    return still(stage(f"explained {home}", Mode.DAY), Moment(moment, NOON)).resize((640, 360))


def cropped(picture: Image.Image) -> Image.Image:
    return picture.crop((64, 36, 576, 324)).resize((640, 360), Image.Resampling.LANCZOS)


class Writer:
    """Writes an event file, a minute between two events; a delivery's id is its name."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "events.jsonl"
        self._folder, self._clock = folder, NOON
        self._lines: list[str] = []
        (folder / "stills").mkdir()

    def event(self, message: Message, dataref: str | None = None) -> None:
        self._clock += timedelta(minutes=1)
        line = to_json(
            replace(message.event, time=self._clock), id=message.key.id, source=message.key.source, dataref=dataref
        )
        self._lines.append(json.dumps(line))
        self.path.write_text("\n".join(self._lines) + "\n")

    def text(self, line: str) -> None:
        self._lines.append(line)

    def enrol(self, home: str) -> None:
        right = RightChanged(CameraId(f"cam-{home}"), AccountId(home), RightAction.ENROL, NOON)
        self.event(Message(right, DeliveryId("cloud", f"enrol-{home}")))

    def deliver(self, name: str, home: str, data: bytes, *, camera: str = "", source: str = "cloud") -> None:
        key = DeliveryId(source, name)
        delivery = Delivery(key, NOON, AccountId(home), CameraId(camera or f"cam-{home}"), {"integration": "hub"})
        file = f"stills/{source}-{name}.jpg"
        (self._folder / file).write_bytes(data)
        self.event(Message(delivery, key), dataref=file)

    def own(self, home: str, moments: range) -> None:
        for moment in moments:
            self.deliver(f"{home}-{moment}", home, jpeg(scene(home, moment), 85))


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four homes with one camera each, and one delivery of each sort that is to be explained."""
    out = Writer(tmp_path_factory.mktemp("explained"))
    for home in HOMES:
        out.enrol(home)
    for home in HOMES:
        out.own(home, range(4))
    out.event(Message(ChangeDeployed("cache", "2.0", NOON), DeliveryId("cloud", "deploy-1")))
    out.text('{"specversion": "1.0", "id": "torn", "type": "still.delivered"}')
    out.deliver("leak-copy", "ann", jpeg(scene("ben", 3), 60))
    out.deliver("leak-crop", "cem", jpeg(cropped(scene("ben", 2)), 80))
    out.deliver("leak-turned", "dora", jpeg(scene("ben", 1).transpose(Image.Transpose.ROTATE_90), 80))
    out.deliver("leak-mirror", "dora", jpeg(ImageOps.mirror(scene("ben", 1)), 80))
    out.deliver("dark-1", "ann", damage.dark(Random(5)))
    out.deliver("not-hers", "ann", jpeg(scene("dora", 3), 85), camera="cam-dora")
    out.deliver("stranger", "ann", jpeg(scene("nobody", 0), 85))
    out.enrol("eva")
    out.deliver("cold-1", "eva", jpeg(scene("cem", 3), 70))
    for home in ("eva", *HOMES):
        out.own(home, range(10, 12))
    for source in ("north", "south"):
        out.deliver("twice", "ben", jpeg(scene("ben", 3), 85), source=source)
    out.deliver("lost", "ben", jpeg(scene("ben", 2), 85))
    for home, name, card in (
        ("ann", "card", scene("a vendor's artwork", 0)),
        ("ben", "card-crop", cropped(scene("a vendor's artwork", 0))),
        ("cem", "card-mirror", ImageOps.mirror(scene("a vendor's artwork", 0))),
    ):
        out.deliver(name, home, jpeg(card, 80))
    (out.path.parent / "stills" / "cloud-lost.jpg").unlink()
    return out.path


@dataclass
class Parts:
    judge: Judge
    decode: Decoder
    fetch: Callable[[str], bytes]


def parts(events: Path) -> Parts:
    decode, fetch = Decoder(b"k"), folder_fetch(events.parent, 10**7)
    return Parts(Judge(Engine(), decode, Metrics(), fetch=fetch), decode, fetch)


def explained(events: Path, id: str, *, stop: bool = False) -> Explained:
    p = parts(events)
    return run(events, p.judge, p.decode, p.fetch, find(events, id), stop=stop)


def command(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["explain", *map(str, arguments)], env={"COLUMNS": "200", "NO_COLOR": "1"})


# --- what it says


def test_explaining_changes_nothing_and_says_what_the_engine_says(events: Path) -> None:
    def judged(*, looking: bool) -> list[tuple[Judgement, object]]:
        p = parts(events)
        out: list[tuple[Judgement, object]] = []
        for line in lines(events):
            if b"torn" in line.text or b'"lost"' in line.text:
                continue
            message = parse_line(line.text)
            if looking and isinstance(message.event, Delivery):
                assert message.dataref is not None
                found = explain(p.judge.engine, message.event, p.decode.still(p.fetch(message.dataref)))
                judgement = p.judge.take(message)
                assert judgement is not None
                agreed(found.own_rule, any(near.counts for near in found.foreign), judgement)
            else:
                judgement = p.judge.take(message)
            changes = p.judge.commit()
            if judgement is not None:
                out.append((judgement, [(scene.id, scene.standing, scene.seen) for scene in changes.scenes]))
        return out

    def agreed(own_rule: str, named: bool, judgement: Judgement) -> None:
        if own_rule and judgement.rule != "no-right":
            assert (judgement.verdict, judgement.rule) == (Verdict.CLEAR, own_rule)
        elif judgement.rule in ("foreign-scene", "cold"):
            assert named
        elif judgement.rule in ("held", "young"):
            assert not named

    assert judged(looking=True) == judged(looking=False)


def test_a_leak_is_explained_by_the_owners_scene(events: Path) -> None:
    found = explained(events, "leak-copy")
    assert (found.judgement.verdict, found.judgement.rule) == (Verdict.LEAK, "foreign-scene")
    best = found.found.foreign[0]
    assert (best.camera, best.owner, best.may_see, best.counts) == ("cam-ben", "ben", False, True)
    assert best.placing == "as it is"
    assert best.needed is not None
    assert best.agreement.score > best.needed
    assert found.match is not None
    assert found.match.scene == found.standing[0].scene
    assert found.originals[found.match.delivery]
    assert found.found.own_rule == ""
    assert all(check.met for check in found.checks if check.step == "other accounts' cameras")
    assert found.read_to_end


@pytest.mark.parametrize(
    ("id", "placing"),
    [("leak-crop", "cropped to 8"), ("leak-mirror", "mirrored"), ("leak-turned", "turned by a quarter")],
)
def test_the_placing_is_told_in_words(events: Path, id: str, placing: str) -> None:
    found = explained(events, id, stop=True)
    assert found.match is not None
    assert found.match.camera == "cam-ben"
    assert found.match.placing.startswith(placing)


def test_what_came_of_a_cold_recipients_leak_is_told_only_when_the_file_is_read_on(events: Path) -> None:
    stopped, whole = explained(events, "cold-1", stop=True), explained(events, "cold-1")
    assert (stopped.judgement.rule, stopped.standing, stopped.read_to_end) == ("cold", [], False)
    assert [later.by.id for later in stopped.later if later.by] == ["cold-1"]
    assert [(alert.owner, alert.kind) for alert in whole.standing] == [("cem", "leak")]
    assert whole.later[: len(stopped.later)] == stopped.later
    raised = [later for later in whole.later if later.alert is not None]
    assert raised[0].by is not None
    assert raised[0].by.id == whole.standing[0].raised_by.id != "cold-1"
    assert any("taken out" in later.what for later in whole.later)
    assert whole.match is not None
    assert whole.match.camera == "cam-cem"


def test_a_strangers_scene_has_nobody_that_counts(events: Path) -> None:
    found = explained(events, "stranger")
    assert found.judgement.verdict is Verdict.SHIFT
    assert not any(near.counts for near in (*found.found.own, *found.found.foreign))
    assert {near.note for near in found.found.own} == {"does not explain it"}
    assert any(check.step == "another place, nobody's" for check in found.checks)
    assert [alert.kind for alert in found.standing] == ["shift"]


def test_a_still_too_dark_to_compare_says_why(events: Path) -> None:
    found = explained(events, "dark-1", stop=True)
    assert (found.judgement.verdict, found.found.still.fingerprint) == (Verdict.UNJUDGED, None)
    assert found.found.still.reason
    assert (found.found.own, found.found.foreign, found.checks, found.match) == ((), (), (), None)


def test_a_clear_still_is_explained_by_its_own_scene_and_shares_are_shares(events: Path) -> None:
    found = explained(events, "ben-3", stop=True)
    assert found.judgement.rule == found.found.own_rule
    assert found.match is found.found.own[0]
    assert found.match.counts
    for near in (*found.found.own, *found.found.foreign):
        assert 0 <= near.distance <= 1
        assert 0 <= near.agreement.score <= 1
        assert near.blocks.shape == (8, 8)
    cameras = [near.camera for near in found.found.foreign]
    assert len(set(cameras)) == len(cameras)
    assert "cam-ben" not in cameras


def confirmed_card(events: Path) -> Path:
    """What the vendor shows when a camera is off: detailed artwork."""
    card = events.parent / "card.jpg"
    if not card.exists():
        card.write_bytes(jpeg(scene("a vendor's artwork", 0), 90))
    return card


@pytest.mark.parametrize(
    ("id", "placing"), [("card", "as it is"), ("card-crop", "cropped to 8"), ("card-mirror", "mirrored")]
)
def test_the_placeholder_that_a_still_shows_is_told_with_its_placing(events: Path, id: str, placing: str) -> None:
    p, card = parts(events), from_file(confirmed_card(events), Decoder(b"k"))
    p.judge.engine.shelve(Shelf(1, (card,)))
    found = run(events, p.judge, p.decode, p.fetch, find(events, id), stop=True)
    assert (found.judgement.rule, found.judgement.numbers["placeholder"]) == ("placeholder", card.id)
    assert found.match is found.found.card
    assert found.match is not None
    assert found.match.delivery.id == card.id
    assert found.match.placing.startswith(placing)
    assert found.match.counts
    assert draw(found).width > 600


def test_a_placeholder_that_nobody_gave_is_not_told(events: Path) -> None:
    assert explained(events, "card-crop", stop=True).found.card is None


def test_the_command_takes_placeholders_as_replay_does(events: Path) -> None:
    given = ("--placeholder", confirmed_card(events), "--stop")
    told = command(events, "card-crop", *given)
    assert told.exit_code == 0
    assert "It shows the placeholder ph-" in told.output
    as_object = json.loads(command(events, "card-crop", *given, "--json").output)
    assert (as_object["rule"], as_object["placeholder"]["id"][:3]) == ("placeholder", "ph-")
    assert json.loads(command(events, "leak-copy", *given, "--json").output)["placeholder"] is None


def test_placings_are_named_after_what_a_person_sees() -> None:
    assert placed((1, 0, 0, 0, 1, 0)) == "as it is"
    assert placed((-1, 0, 0, 0, 1, 0)) == "mirrored"
    assert placed((0, -1, 0, 1, 0, 0)) == "turned by a quarter"
    assert placed((1, 0.2, 6.4, 0, 1, 0)) == "leaning by +20 % of the width"
    assert placed((1, 0, 0, 0, -1, 0)) == "upside down"
    assert placed((-1, 0, 0, 0, -1, 0)) == "turned by 180°"
    assert placed((1.25, 0, 0, 0, 1.25, 0)) == "cropped to 80 x 80 %"
    assert placed((0.5, 0, 0, 0, 1, 0)) == "shown at 50 x 100 % of the size"
    assert placed((1, 0, 16, 0, 1, -8)) == "shifted by +25 % across, -12 % down"
    assert placed((1, 0, 0, 0, 1, 0), negative=True) == "as a negative"


def test_the_score_that_is_needed_rises_with_the_distance() -> None:
    agreement = Agreement(0.9, 0.9, 0.2, 0.9, 60, 64, 1.0, 1.0, 0.5, (1, 0, 0, 0, 1, 0))
    near, far = needed_score(agreement, 0.0, 300), needed_score(agreement, 0.17, 300)
    assert near is not None
    assert far is not None
    assert near < far
    assert needed_score(replace(agreement, blocks=0), 0.0, 300) is None


# --- finding it


def test_an_unknown_id_is_answered_with_near_ones(events: Path) -> None:
    with pytest.raises(NotExplained, match=r"no delivery 'leak-cop': near it are leak-copy, "):
        find(events, "leak-cop")
    result = command(events, "leak-cop")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "leak-copy" in result.stderr


def test_an_id_of_something_else_says_what_it_is(events: Path) -> None:
    for name, what in (
        ("enrol-ann", "a right to a camera"),
        ("deploy-1", "a deployed change"),
        ("torn", "missing_attribute"),
    ):
        with pytest.raises(NotExplained, match=what):
            find(events, name)


def test_an_id_of_two_sources_wants_its_source(events: Path) -> None:
    with pytest.raises(NotExplained, match="from 'north', 'south': choose with --source"):
        find(events, "twice")
    assert find(events, "twice", "south") == DeliveryId("south", "twice")
    with pytest.raises(NotExplained, match="choose with --source"):
        find(events, "twice", "west")
    assert json.loads(command(events, "twice", "--source", "south", "--json").stdout)["delivery"]["source"] == "south"


def test_a_still_that_is_gone_is_named_with_its_line(events: Path, tmp_path: Path) -> None:
    result = command(events, "lost")
    assert result.exit_code == 2
    assert "cloud-lost.jpg" in result.stderr
    assert "no_picture" not in result.stdout
    assert command(tmp_path / "absent.jsonl", "x").exit_code == 2
    (tmp_path / "empty.jsonl").write_text("")
    assert "no delivery at all" in command(tmp_path / "empty.jsonl", "x").stderr


# --- how it is told


def test_the_json_holds_every_number(events: Path) -> None:
    said = json.loads(command(events, "leak-copy", "--json").stdout)
    assert said["verdict"] == "leak"
    assert said["match"]["camera"] == said["alerts"][0]["owner_camera"] == "cam-ben"
    assert said["numbers"]["score"] == pytest.approx(said["match"]["score"], abs=0.02)
    assert said["rights"] == {"owner": "ann", "presumed": False, "may_see": True, "other_cameras": 0}
    assert 0 < said["still"]["quality"] <= 1
    assert said["still"]["valid"] > 0.9
    assert said["read_to_end"]
    assert {check["threshold"] for check in said["checks"]} >= {"OWN_CORRELATION", "SEARCH_RADIUS", "MARGIN"}


def test_the_table_shows_people_what_decided(events: Path) -> None:
    out = command(events, "leak-copy").stdout
    for words in ("leak by rule foreign-scene", "cam-ben", "names its owner", "OWN_CORRELATION", "raised at once"):
        assert words in out
    out = command(events, "not-hers", "--stop").stdout
    assert "the viewer may not see it" in out
    assert "leak by rule no-right" in out
    assert "rights decided" in out
    assert "What became of it at that moment" in out
    assert "sensor's noise" in command(events, "dark-1", "--stop").stdout


def test_the_picture_shows_agreeing_blocks_green_and_others_red(events: Path, tmp_path: Path) -> None:
    assert command(events, "leak-copy", "--picture", tmp_path / "p.png").exit_code == 0
    sheet = Image.open(tmp_path / "p.png")
    assert sheet.format == "PNG"
    third = sheet.width // 3
    match, own = (np.asarray(sheet.crop((x, 0, x + third, sheet.height // 2))) for x in (third, 2 * third))
    assert count(match, GREEN) > 5 * count(match, RED)
    assert count(own, RED) > count(own, GREEN)


def test_the_picture_has_a_column_for_each_scene(events: Path) -> None:
    sizes = {name: draw(explained(events, name, stop=True)).width for name in ("dark-1", "ben-3", "leak-crop")}
    assert sizes["dark-1"] < sizes["ben-3"] < sizes["leak-crop"]


def test_a_mirrored_scene_is_drawn_as_the_still_shows_it(events: Path) -> None:
    """The blocks of the scene lie upon the still, so that what is green is what looks the same."""
    sheet = np.asarray(draw(explained(events, "leak-mirror", stop=True)))
    assert count(sheet[:, sheet.shape[1] // 3 : 2 * sheet.shape[1] // 3], GREEN) > 1000


def test_a_still_that_cannot_be_opened_is_drawn_with_its_reason(tmp_path: Path) -> None:
    out = Writer(tmp_path)
    out.deliver("broken", "ann", b"no picture at all")
    sheet = draw(explained(out.path, "broken"))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    assert sheet.width > 300


def count(pixels: Any, colour: tuple[int, int, int]) -> int:
    """Pixels of exactly that colour."""
    return int((pixels == np.array(colour)).all(axis=-1).sum())
