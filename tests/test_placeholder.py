"""Placeholders: a picture that many homes get is shown to a person; one home's still that many get is a leak."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from places import START, Cloud, place
from typer.testing import CliRunner

from api.cli import app
from detector.engine import Changes, Engine, Knowledge
from detector.placeholder import look_of
from models.fingerprint import Still
from models.placeholder import (
    Gallery,
    Look,
    Placeholder,
    PlaceholderId,
    Shelf,
    Sighting,
    State,
    lives,
    placeholder_id,
)
from models.records import AccountId, CameraId, Delivery, DeliveryId, Kind, RightAction, Verdict
from streams.cloudevents import Message, to_json
from streams.decode import Decoder
from streams.judge import Batch, Judge
from streams.metrics import Metrics
from streams.store.candidates import NothingKept, name_candidate
from streams.store.sql import SomebodysHome, SqlStore

DECODER = Decoder(b"test")
SIZES = ((1024, 600), (1280, 800), (640, 360), (800, 480), (480, 270))


@cache
def title_card(seed: int = 4) -> Image.Image:
    """A vendor's detailed artwork: a gradient, a skyline, a badge, lettering; the same for every seed given."""
    rng = Random(seed)
    image = Image.new("RGB", (1280, 720))
    draw = ImageDraw.Draw(image)
    for y in range(720):
        draw.line([(0, y), (1280, y)], fill=(20 + y // 8, 40 + y // 10, 90 + y // 6))
    for x in range(0, 1280, 80):
        top = rng.randint(180, 560)
        draw.rectangle([x, top, x + 70, 720], fill=(rng.randint(20, 90),) * 3)
        for window in range(top + 15, 700, 40):
            draw.rectangle([x + 12, window, x + 30, window + 18], fill=(240, 220, rng.randint(80, 200)))
    draw.ellipse([900, 80, 1060, 240], fill=(250, 250, 235))
    draw.text((120, 90), "CAMERA OFFLINE", fill=(255, 255, 255), font_size=90)
    return image


def flat_card() -> Image.Image:
    image = Image.new("RGB", (1280, 720), (52, 56, 64))
    ImageDraw.Draw(image).ellipse([1180, 4, 1220, 44], fill=(235, 110, 20))
    return image


def encoded(image: Image.Image, rng: Random, clock: str = "") -> bytes:
    """The picture as a transcoder hands it to some display, with a clock drawn over it on request."""
    shown = image.convert("RGB").copy()
    if clock:
        draw = ImageDraw.Draw(shown)
        bar = max(14, shown.height // 16)
        draw.rectangle([0, 2, shown.width // 2, 2 + bar], fill=(16, 16, 16))
        draw.text((6, 4), clock, fill=(250, 250, 250), font_size=bar - 4)
    out = io.BytesIO()
    shown.resize(rng.choice(SIZES), Image.Resampling.BICUBIC).save(out, "JPEG", quality=rng.choice([50, 60, 75, 85]))
    return out.getvalue()


def seen(image: Image.Image, rng: Random, clock: str = "") -> Still:
    return DECODER.still(encoded(image, rng, clock))


def home(seed: int, moment: int) -> Image.Image:
    """What a living camera sees: its place, the sensor's noise, and somebody who walks through it."""
    grey = place(seed, moment).astype(np.float64)
    x = (53 * moment) % 560
    grey[120:350, x : x + 60] = 60 + 20 * (moment % 3)
    return Image.fromarray(grey.clip(0, 255).astype(np.uint8))


@cache
def at_home(seed: int, moment: int) -> Still:
    """A home's still as its owner gets it."""
    return seen(home(seed, moment), Random(seed * 100 + moment))


def drawn(still: Still) -> NDArray[np.int8]:
    assert still.fingerprint is not None
    return still.fingerprint.levels


def lived(cameras: int, stills: int = 5, restart_at: Iterable[int] = ()) -> Cloud:
    """A cloud whose cameras `cam-0`.. have shown their own homes for a while."""
    cloud = Cloud(restart_at)
    for moment in range(stills):
        for n in range(cameras):
            cloud.deliver(f"cam-{n}", at_home(n, moment))
    assert cloud.raised == []
    return cloud


def shelf(cloud: Cloud) -> dict[PlaceholderId, Placeholder]:
    """What a person would be shown."""
    return {p.id: p for p in cloud._stored.placeholders if p.is_shown}


def say(cloud: Cloud, state: State) -> Placeholder:
    """A person rules on the one candidate that there is."""
    (one,) = shelf(cloud).values()
    stored = cloud._stored
    stored.placeholders = [p for p in stored.placeholders if p.id != one.id]
    ruled = Placeholder(one.id, state, one.body, one.accounts, one.stills, one.first_seen, one.last_seen)
    stored.placeholders.append(ruled)
    cloud.engine.shelve(Shelf(1, tuple(stored.placeholders), tuple(stored.sightings)))
    cloud.keep()
    return ruled


def leaks(cloud: Cloud) -> list[tuple[str, str | None]]:
    return [(a.recipient, a.owner_camera) for a in cloud.standing if a.kind is Kind.LEAK]


# --- the two sides of the rule -----------------------------------------------------------------------------


@pytest.mark.parametrize("restart_at", [set(), {30, 51, 77}], ids=["through", "restarted"])
def test_a_vendors_card_that_forty_accounts_get_is_one_candidate_and_accuses_nobody(restart_at: set[int]) -> None:
    cloud, rng, card = lived(10, 4, restart_at), Random(2), title_card()
    for n in range(40):
        cloud.deliver(f"cam-{n}", seen(card, rng, f"2026-03-01 10:{n:02}:07"))  # from cam-10 on, a camera's first still
        if n % 4 == 0:
            cloud.deliver(f"cam-{n}", seen(card, rng, f"2026-03-01 11:{n:02}:09"))
    assert leaks(cloud) == []
    (one,) = shelf(cloud).values()
    assert (one.accounts, one.state, one.homes) == (40, State.CANDIDATE, 0)
    assert one.first_seen is not None
    assert one.last_seen is not None
    assert one.first_seen < one.last_seen
    assert not any(j.rule == "placeholder" for j in cloud.judged)


def test_a_new_camera_that_only_ever_showed_the_card_is_not_its_owner() -> None:
    cloud, rng, card = lived(12), Random(3), title_card()
    for k in range(6):
        cloud.deliver("off", seen(card, rng, f"10:0{k}"))
    for n in range(12):
        cloud.deliver(f"cam-{n}", seen(card, rng, f"11:{n:02}"))
    assert leaks(cloud) == []
    assert [p.accounts for p in shelf(cloud).values()] == [13]


@pytest.mark.parametrize("restart_at", [set(), {203, 215}], ids=["through", "restarted"])
def test_one_homes_still_that_a_cache_serves_to_forty_viewers_is_told_for_each(restart_at: set[int]) -> None:
    cloud, rng = lived(41, 5, restart_at), Random(4)
    served = home(0, 4)
    for n in range(1, 41):
        judged = cloud.deliver(f"cam-{n}", seen(served, rng))
        assert (judged.verdict, judged.rule) == (Verdict.LEAK, "foreign-scene")
    assert sorted(leaks(cloud)) == sorted((f"of-cam-{n}", "cam-0") for n in range(1, 41))
    assert shelf(cloud) == {}


def test_a_fan_out_that_came_before_its_owner_is_told_once_the_owner_lives() -> None:
    cloud, rng = lived(12), Random(5)
    for n in range(12):
        cloud.deliver(f"cam-{n}", seen(home(50, 0), rng))
    (one,) = shelf(cloud).values()
    assert (one.accounts, leaks(cloud)) == (12, [])
    for moment in range(5):
        cloud.deliver("cam-50", seen(home(50, moment), rng))
    assert sorted(leaks(cloud)) == sorted((f"of-cam-{n}", "cam-50") for n in range(12))
    assert shelf(cloud) == {}


def test_identical_blank_frames_are_a_candidate_however_they_were_encoded_and_accuse_nobody() -> None:
    cloud, rng = lived(6), Random(6)
    for n in range(6):
        cloud.deliver(f"cam-{n}", seen(flat_card(), rng, f"10:{n:02}"))
    assert cloud.raised == []
    assert [p.accounts for p in shelf(cloud).values()] == [6]


def test_guests_of_one_home_are_one_account() -> None:
    cloud, rng, card = lived(5), Random(7), title_card()
    for guest in ("aunt", "uncle", "friend"):
        cloud.right("cam-0", guest, RightAction.GRANT)
    cloud.deliver("cam-0", seen(card, rng))
    for guest in ("aunt", "uncle", "friend"):
        cloud.deliver("cam-0", seen(card, rng), to=guest)
    for n in (1, 2, 3):
        cloud.deliver(f"cam-{n}", seen(card, rng))
    assert shelf(cloud) == {}
    cloud.deliver("cam-4", seen(card, rng))
    assert [p.accounts for p in shelf(cloud).values()] == [5]


# --- what a person says ------------------------------------------------------------------------------------


def test_a_confirmed_card_is_recognised_near_and_what_it_led_to_is_undone() -> None:
    cloud, rng, card = lived(6), Random(8), title_card()
    for n in range(6):
        cloud.deliver(f"cam-{n}", seen(card, rng, f"10:{n:02}"))
        cloud.deliver(f"cam-{n}", seen(card, rng, f"11:{n:02}"))
        cloud.deliver(f"cam-{n}", seen(home(n, 40), rng))
    assert cloud.standing != []
    one = say(cloud, State.CONFIRMED)
    assert cloud.standing == []
    for camera in ("cam-0", "brand-new"):
        judged = cloud.deliver(camera, seen(card, rng, "2027-12-24 18:30:00 pm"))
        assert (judged.verdict, judged.rule, judged.alerts) == (Verdict.UNJUDGED, "placeholder", ())
        assert judged.numbers["placeholder"] == one.id
    assert cloud.deliver("cam-0", seen(home(0, 41), rng)).verdict is Verdict.CLEAR
    assert cloud.deliver("cam-0", seen(home(1, 41), rng)).verdict is Verdict.LEAK
    body = look_of(seen(card, rng))
    assert not any(
        look.is_like(body)
        for known in cloud.engine.memory.scenes.values()
        if known.row >= 0 and (look := Look(known.digest, cloud.engine.memory.index.levels(known.row)))
    )


def test_a_confirmed_card_stays_recognised_after_a_restart_and_until_it_is_removed() -> None:
    cloud, rng, card = lived(5), Random(9), title_card()
    for n in range(5):
        cloud.deliver(f"cam-{n}", seen(card, rng))
    say(cloud, State.CONFIRMED)
    cloud.restart()
    assert cloud.deliver("cam-0", seen(card, rng)).rule == "placeholder"
    cloud.engine.shelve(Shelf(2))
    assert cloud.deliver("cam-0", seen(card, rng)).rule != "placeholder"


def cut_off(still: bytes) -> bytes:
    return still[: len(still) * 2 // 3]


def mirrored(image: Image.Image) -> Image.Image:
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def test_a_confirmed_card_is_recognised_cut_off_cropped_and_mirrored_until_it_is_removed() -> None:
    cloud, rng, card = lived(5), Random(12), home(70, 0).resize((1280, 720))
    for n in range(5):
        cloud.deliver(f"cam-{n}", seen(card, rng))
    one = say(cloud, State.CONFIRMED)
    cropped = card.crop((60, 40, 1200, 690))
    damaged = [
        DECODER.still(cut_off(encoded(card, rng))),
        seen(cropped, rng),
        seen(mirrored(card), rng),
    ]
    for n, still in enumerate(damaged):
        judged = cloud.deliver(f"cam-{n}", still)
        assert (judged.rule, judged.numbers.get("placeholder")) == ("placeholder", one.id)
    cloud.engine.shelve(Shelf(2))
    assert cloud.deliver("cam-3", damaged[1]).rule != "placeholder"


def test_shifts_on_a_candidate_that_is_shown_are_one_alert_with_its_id() -> None:
    cloud, rng, card = lived(12), Random(13), title_card()
    for n in range(12):
        judged = cloud.deliver(f"cam-{n}", seen(card, rng, f"10:{n:02}"))
        assert judged.verdict is Verdict.SHIFT
        cloud.deliver(f"cam-{n}", seen(home(n, 40), rng))
    (one,) = shelf(cloud).values()
    assert one.accounts == 12
    assert [a.numbers.get("placeholder") for a in cloud.standing] == [*[None] * 4, one.id]
    assert cloud.judged[-2].numbers["placeholder"] == one.id
    assert one.id in cloud.standing[-1].why


def test_a_rejected_candidate_is_judged_like_any_still() -> None:
    cloud, rng, card = lived(12), Random(10), title_card()
    for n in range(10):
        cloud.deliver(f"cam-{n}", seen(card, rng))
    say(cloud, State.REJECTED)
    for k in range(3):
        cloud.deliver("shop", seen(card, rng, f"{k}"))
    assert cloud.deliver("cam-11", seen(card, rng)).verdict is Verdict.LEAK


def test_a_home_that_looks_alike_to_nobody_is_no_confirmed_card() -> None:
    cloud, rng = lived(12), Random(11)
    looks = [look_of(seen(card, rng)) for card in (title_card(), title_card(5), flat_card())]
    cloud.engine.shelve(
        Shelf(1, tuple(Placeholder(placeholder_id(look), State.CONFIRMED, look.to_bytes()) for look in looks))
    )
    for n in range(12):
        assert cloud.deliver(f"cam-{n}", seen(home(n, 9), rng)).verdict is Verdict.CLEAR


# --- one picture or two ------------------------------------------------------------------------------------


def test_a_new_encoding_is_no_life_and_somebody_who_walks_by_is() -> None:
    rng, card = Random(12), title_card()
    cards = [drawn(seen(card, rng, f"1{k}:00:0{k}")) for k in range(8)]
    assert not any(lives(a, b) for a in cards for b in cards)
    homes = [[drawn(at_home(n, moment)) for moment in range(5)] for n in range(20)]
    assert all(any(lives(one[0], later) for later in one[1:]) for one in homes)


def test_two_cards_of_one_vendor_are_two_pictures() -> None:
    rng = Random(13)
    one, other = look_of(seen(title_card(4), rng)), look_of(seen(title_card(5), rng))
    assert not one.is_like(other)
    assert not look_of(seen(flat_card(), rng)).is_like(look_of(seen(Image.new("RGB", (640, 360), (90, 90, 90)), rng)))


pictures = st.builds(
    lambda which, seed, clock: look_of(
        seen([title_card(4), title_card(5), flat_card(), home(1, 0), home(2, 1)][which], Random(seed), clock)
    ),
    st.integers(0, 4),
    st.integers(0, 10**6),
    st.sampled_from(["", "10:00", "2026-03-01 23:59"]),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(pictures, min_size=1, max_size=6), pictures)
def test_a_gallery_finds_what_comparing_with_each_finds(hung: list[Look], asked: Look) -> None:
    gallery = Gallery()
    for number, look in enumerate(hung):
        gallery.add(PlaceholderId(str(number)), look)
    found = gallery.find(asked)
    like = {str(n) for n, look in enumerate(hung) if look.is_like(asked)}
    assert (found in like) if like else found is None
    for number in range(len(hung)):
        gallery.remove(PlaceholderId(str(number)))
    assert (len(gallery), gallery.find(asked)) == (0, None)


@settings(max_examples=15, deadline=None)
@given(pictures)
def test_a_look_comes_back_from_its_bytes(look: Look) -> None:
    again = Look.from_bytes(look.to_bytes())
    assert again.digest == look.digest
    for name in ("levels", "code", "mask", "coarse"):
        assert np.array_equal(getattr(again, name), getattr(look, name))
    for torn in (b"", b"\x09" + look.to_bytes()[1:], look.to_bytes()[:-1]):
        with pytest.raises(ValueError, match="look"):
            Look.from_bytes(torn)


# --- the store ---------------------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlStore]:
    sqlite = f"sqlite:///{tmp_path / 'store.db'}"
    with SqlStore(sqlite if request.param == "sqlite" else request.getfixturevalue("postgres_url")) as opened:
        opened.acquire(60, "test")
        yield opened


def counted(accounts: int, state: State = State.CANDIDATE, id: str = "ph-one") -> Placeholder:
    look = look_of(seen(title_card(), Random(0)))
    return Placeholder(PlaceholderId(id), state, look.to_bytes(), accounts, accounts + 1, START, START, CameraId("cam"))


def test_placeholders_and_sightings_come_back_as_they_were_stored(store: SqlStore) -> None:
    sightings = [Sighting(PlaceholderId("ph-one"), AccountId(f"a{n}"), CameraId(f"c{n}")) for n in range(3)]
    for _ in range(2):
        store.commit(Batch(Changes(placeholders=[counted(5)], sightings=sightings)))
    held = store.knowledge().placeholders
    assert (held.version, held.placeholders, list(held.sightings)) == (0, (counted(5),), sightings)
    assert store.placeholders() == [counted(5)]
    store.commit(Batch(Changes(unmet=[PlaceholderId("ph-one")])))
    assert store.shelf() == Shelf()


def test_a_picture_of_few_accounts_or_of_one_home_is_kept_and_not_shown(store: SqlStore) -> None:
    at_home = counted(9, id="ph-home")
    at_home.homes, at_home.owner_camera = 1, CameraId("cam-9")
    store.commit(Batch(Changes(placeholders=[counted(4), at_home])))
    assert store.placeholders() == []
    assert [p.id for p in store.placeholders(shown=False)] == ["ph-home", "ph-one"]


def test_a_count_neither_changes_what_a_person_said_nor_puts_back_what_was_removed(store: SqlStore) -> None:
    store.commit(Batch(Changes(placeholders=[counted(3)])))
    assert store.rule(PlaceholderId("ph-one"), State.CONFIRMED)
    assert store.rulings() == 1
    store.commit(Batch(Changes(placeholders=[counted(7)])))
    one = store.placeholder(PlaceholderId("ph-one"))
    assert one is not None
    assert (one.state, one.accounts) == (State.CONFIRMED, 7)
    assert store.remove_placeholder(PlaceholderId("ph-one"))
    store.commit(Batch(Changes(placeholders=[counted(8, State.CONFIRMED)])))
    assert store.placeholder(PlaceholderId("ph-one")) is None
    assert store.rulings() == 2
    assert not store.rule(PlaceholderId("ph-none"), State.REJECTED)
    assert not store.remove_placeholder(PlaceholderId("ph-none"))
    assert store.rulings() == 2


def message(number: int, camera: str, data: bytes) -> Message:
    when = datetime(2026, 3, 1, 12, number // 60, number % 60, tzinfo=UTC)
    event = Delivery(DeliveryId("test", str(number)), when, AccountId(f"of-{camera}"), CameraId(camera))
    return Message(event, event.key, data)


def test_a_confirmation_takes_effect_on_a_running_judge_and_after_its_restart(store: SqlStore) -> None:
    rng, card = Random(14), title_card()
    judge = Judge(Engine(), DECODER, Metrics(), store)
    for n in range(15):
        judge.take(message(n, f"cam-{n % 5}", encoded(home(n % 5, n), rng)))
    for n in range(5):
        judge.take(message(20 + n, f"cam-{n}", encoded(card, rng)))
    judge.commit()
    (one,) = store.placeholders()
    assert one.accounts == 5
    with SqlStore(store.database.engine.url.render_as_string(hide_password=False)) as elsewhere:  # another process
        assert elsewhere.rule(one.id, State.CONFIRMED)
    judge.commit()
    judged = judge.take(message(30, "cam-1", encoded(card, rng, "12:00")))
    assert judged is not None
    assert judged.rule == "placeholder"
    judge.commit()
    restored = Engine()
    restored.restore(store.knowledge())
    assert restored.judge(message(31, "cam-2", b"").event, lambda: seen(card, rng)).rule == "placeholder"  # type: ignore[arg-type]
    assert all(scene.standing.value != "held" for scene in store.knowledge().scenes)


def test_a_false_alert_names_a_candidate_and_only_a_person_s_word_makes_it_a_placeholder(store: SqlStore) -> None:
    """A camera that is switched off shows the vendor's card; another home gets the card, and is told as a leak."""
    rng, card = Random(14), title_card()
    judge = Judge(Engine(), DECODER, Metrics(), store)
    for n in range(10):
        judge.take(message(n, f"cam-{n % 2}", encoded(card if n % 2 else home(0, n), rng)))
    judge.take(message(20, "cam-0", encoded(card, rng)))
    judge.commit()
    (alert,) = (stored.alert for stored in store.alerts().items)
    assert (alert.kind, alert.rule) == (Kind.LEAK, "foreign-scene")
    at = alert.delivered_at
    id_ = name_candidate(store, alert, "kim", at)
    assert name_candidate(store, alert, "lee", at) == id_, "the same picture is one candidate"
    (one,) = store.placeholders()
    assert (one.id, one.state, one.label) == (id_, State.CANDIDATE, f"named by kim on {alert.id}")
    judge.commit()
    assert not store.alert(alert.id).withdrawal, "nothing follows from a candidate"  # type: ignore[union-attr]
    assert judge.take(message(21, "cam-0", encoded(card, rng, "12:00"))).rule == "foreign-scene"  # type: ignore[union-attr]
    store.rule(id_, State.CONFIRMED, "kim", at)
    judge.commit()
    judge.commit()
    assert store.alert(alert.id).withdrawal  # type: ignore[union-attr]
    assert judge.take(message(22, "cam-0", encoded(card, rng, "12:30"))).rule == "placeholder"  # type: ignore[union-attr]
    ruled = store.placeholder(id_)
    assert ruled is not None
    assert (ruled.ruled_by, ruled.ruled_at) == ("kim", at)


def test_a_living_camera_s_home_is_never_named(store: SqlStore) -> None:
    judge, rng = Judge(Engine(), DECODER, Metrics(), store), Random(3)
    for n in range(16):
        judge.take(message(n, f"cam-{n % 2}", encoded(home(n % 2, n), rng)))
    judge.take(message(20, "cam-0", encoded(home(1, 40), rng)))
    judge.commit()
    (alert,) = (stored.alert for stored in store.alerts().items)
    with pytest.raises(SomebodysHome):
        name_candidate(store, alert, "kim", alert.delivered_at)
    with pytest.raises(NothingKept):
        name_candidate(store, replace(alert, scene=None), "kim", alert.delivered_at)
    at_home = counted(9, id="ph-home")
    at_home.homes, at_home.owner_camera = 1, CameraId("cam-9")
    store.commit(Batch(Changes(placeholders=[at_home])))
    with pytest.raises(SomebodysHome):
        store.rule(at_home.id, State.CONFIRMED, "kim", alert.delivered_at)


def test_a_judge_reads_the_placeholders_anew_only_when_somebody_ruled(store: SqlStore) -> None:
    judge, read = Judge(Engine(), DECODER, Metrics(), store), []
    whole = store.shelf
    store.shelf = lambda: (read.append(1), whole())[1]  # type: ignore[method-assign,func-returns-value]
    for _ in range(3):
        judge.commit()
    assert read == []
    store.put_placeholder(counted(0, State.CONFIRMED))
    for _ in range(3):
        judge.commit()
    assert read == [1]


# --- the commands ------------------------------------------------------------------------------------------


def command(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "250", "NO_COLOR": "1"})
    return result.exit_code, result.output


def test_a_person_adds_lists_and_settles_placeholders_while_a_judge_runs(tmp_path: Path) -> None:
    url, rng = f"sqlite:///{tmp_path / 'store.db'}", Random(15)
    card, at = tmp_path / "offline.jpg", ("--store", url)
    card.write_bytes(encoded(title_card(), rng))
    assert command("placeholder", "list", *at) == (
        0,
        "no placeholders: no picture was got by five unrelated accounts, and none was added\n",
    )
    with SqlStore(url) as held:
        held.acquire(60, "a judge")
        other = Placeholder(
            PlaceholderId("ph-other"), State.CANDIDATE, look_of(seen(title_card(5), rng)).to_bytes(), 40
        )
        mine = Placeholder(PlaceholderId("ph-mine"), State.CANDIDATE, look_of(seen(title_card(), rng)).to_bytes(), 4)
        home_ = Placeholder(PlaceholderId("ph-home"), State.CANDIDATE, look_of(seen(home(1, 1), rng)).to_bytes(), 9)
        home_.homes, home_.owner_camera = 1, CameraId("cam-1")
        held.commit(Batch(Changes(placeholders=[other, mine, home_])))
        code, out = command("placeholder", "add", card, *at)
        assert (code, "ph-mine confirmed" in out) == (0, True)
        assert command("placeholder", "reject", "ph-oth", *at)[0] == 0
        code, out = command("placeholder", "confirm", "ph-home", *at)
        assert (code, "camera cam-1" in out) == (1, True)
        code, out = command("placeholder", "list", "--json", *at)
        assert [(p["id"], p["state"], p["accounts"]) for p in json.loads(out)] == [
            ("ph-other", "rejected", 40),
            ("ph-mine", "confirmed", 4),
        ]
        assert "rejected" in command("placeholder", "list", *at)[1]
        assert command("placeholder", "remove", "ph-mine", *at)[0] == 0
        code, out = command("placeholder", "add", card, *at)
        assert (code, "confirmed: offline.jpg" in out) == (0, True)
        assert command("placeholder", "confirm", "ph-nothing", *at)[0] == 1


def test_a_placeholder_is_settled_where_the_process_has_no_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container that runs under a number which no file of users names."""

    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr("getpass.getuser", nobody)
    url = f"sqlite:///{tmp_path / 'store.db'}"
    with SqlStore(url) as store:
        store.put_placeholder(counted(9, id="ph-card"))
        code, out = command("placeholder", "reject", "ph-card", "--store", url)
        assert code == 0, out
        assert store.placeholder(PlaceholderId("ph-card")).ruled_by == f"uid-{os.getuid()}"  # type: ignore[union-attr]


def test_a_file_that_is_no_placeholder_is_refused_in_one_sentence(tmp_path: Path) -> None:
    dark = np.clip(np.random.default_rng(1).normal(6, 3, (360, 640)), 0, 255).astype(np.uint8)
    Image.fromarray(dark).save(tmp_path / "dark.png")
    (tmp_path / "text.txt").write_text("no picture")
    (tmp_path / "cut.jpg").write_bytes(encoded(title_card(), Random(0))[:9000])
    for name, says in (
        ("dark.png", "sensor's noise"),
        ("text.txt", "not a picture"),
        ("cut.jpg", "ends early"),
        ("no", "No such"),
    ):
        code, out = command("placeholder", "add", tmp_path / name, "--store", f"sqlite:///{tmp_path / 's.db'}")
        assert (code, says in out) == (2, True), out


def test_a_replay_tells_candidates_and_knows_the_placeholders_that_it_is_given(tmp_path: Path) -> None:
    rng, card, lines = Random(16), title_card(), []
    for n in range(20):
        shown = home(n % 5, n) if n < 15 else card
        one = message(n, f"cam-{n % 5}", encoded(shown, rng, "" if n < 15 else f"10:{n}"))
        lines.append(json.dumps(to_json(one.event, data=one.data)))
    events, given_ = tmp_path / "events.jsonl", tmp_path / "card.jpg"
    events.write_text("\n".join(lines) + "\n")
    given_.write_bytes(encoded(card, rng))
    code, out = command("replay", events, "--verdicts", tmp_path / "v")
    assert (code, "placeholder candidate: ph-" in out, "5 accounts" in out) == (0, True, True)
    code, out = command(
        "replay", events, "--placeholder", given_, "--verdicts", tmp_path / "v", "--alerts", tmp_path / "a"
    )
    assert (code, "placeholder confirmed: ph-" in out, "5 stills" in out) == (0, True, True)
    verdicts = [json.loads(line) for line in (tmp_path / "v").read_text().splitlines()]
    assert {(v["verdict"], v["rule"]) for v in verdicts[15:]} == {("unjudged", "placeholder")}
    assert (tmp_path / "a").read_text() == ""
    assert command("replay", events, "--placeholder", tmp_path / "absent.jpg")[0] == 2


def test_knowledge_without_placeholders_is_empty() -> None:
    assert Knowledge().placeholders == Shelf()
