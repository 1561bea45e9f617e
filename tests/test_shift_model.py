"""The scene-shift model: what it says, what it refuses to read, and that its measure is honest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from places import START, Cloud, still
from serving import picture
from skops.io import dumps, get_untrusted_types, loads
from timeline import alert
from typer.testing import CliRunner

from api.cli import app
from detector.engine import Engine
from detector.shift import CLEARLY_FOREIGN, FOREIGN_OWN
from models.records import AccountId, Alert, CameraId, Delivery, DeliveryId, Kind, Verdict
from models.shift import FEATURES, FORM, SHIPPED, Evidence, ModelError, ShiftModel, row, shipped, undecided
from streams.cloudevents import Message
from streams.decode import Decoder
from streams.evaluation import training
from streams.evaluation.corpus import Corpus, CorpusError, Source
from streams.evaluation.rehearsal import STRANGERS, Sample, Told, deal
from streams.evaluation.rulings import ANOTHER, GROUP, BadRulings, read, teaches
from streams.evaluation.training import MOST, Samples, TrainingError, measure, ruled, write
from streams.judge import Judge
from streams.metrics import Metrics
from streams.simulator.render import Mode, Moment, jpeg, stage
from streams.simulator.render import still as drawn
from streams.store.sql import SqlStore

NOTHING = Evidence(
    own=0.1, correlation=0.1, fine=0.0, intact=0.2, blocks=0.1, distance=0.45, valid=1.0, textured=1.0,
    stills=9, moves=0, scenes=2, wander=0.1, waiting=0, alike=0,
)  # fmt: skip
BYTES = 200_000
"""What the shipped model may weigh."""


def shipped_bytes() -> bytes:
    return files("models").joinpath(SHIPPED).read_bytes()


def samples(own_of_strangers: float, *, folds: int = 3, each: int = 40) -> list[Sample]:
    """As many stills of strangers as of this place; the strangers' `own` lies around the figure, the others' at 0.5."""
    rng = np.random.default_rng(3)
    found = []
    for n in range(2 * each * folds):
        foreign, fold = n % 2 == 0, n // 2 % folds
        own = float(rng.normal(own_of_strangers if foreign else 0.5, 0.1))
        evidence = replace(NOTHING, own=own, correlation=own, wander=float(rng.random()))
        camera = f"cam-{fold}-{n % 7}"
        kind = "stranger" if foreign else "plain"
        told = Told.AT_ONCE if own < CLEARLY_FOREIGN else Told.ON_RETURN if own < FOREIGN_OWN else Told.NOT
        owner = f"nobody-{fold}" if foreign else ""
        found.append(Sample(fold, camera, owner, kind, "cameras/drawn", "held", evidence, told))
    return found


# --- the model that is shipped


def test_the_shipped_model_is_small_and_holds_no_type_beyond_those_that_skops_trusts() -> None:
    body = shipped_bytes()
    assert len(body) < BYTES
    assert get_untrusted_types(data=body) == []


def test_the_shipped_model_says_what_scikit_learn_says_of_it() -> None:
    kept = loads(shipped_bytes(), trusted=[])
    rng = np.random.default_rng(1)
    for _ in range(50):
        values = [float(v) for v in rng.random(8)]
        counts = [int(v) for v in rng.integers(0, 40, 3)]
        evidence = Evidence(*values, *counts, float(rng.random()), int(rng.integers(3)), int(rng.integers(3)))
        said = kept["model"].predict_proba([row(evidence)])[0, 1]
        assert shipped().probability(evidence) == pytest.approx(said, abs=1e-9)


def test_agreement_with_its_own_scenes_and_a_wandering_camera_speak_for_this_place() -> None:
    model = shipped()
    foreign = model.probability(NOTHING)
    assert foreign > 0.7
    assert model.probability(replace(NOTHING, own=0.5, correlation=0.5, fine=0.3, blocks=0.5)) < 0.05
    assert model.probability(replace(NOTHING, wander=0.5, moves=3)) < foreign
    assert model.probability(replace(NOTHING, alike=1, waiting=1)) < foreign


def test_a_probability_never_overflows() -> None:
    assert 0.0 < ShiftModel((1e9,) * len(FEATURES), 0.0).probability(NOTHING) <= 1.0
    assert 0.0 <= ShiftModel((-1e9,) * len(FEATURES), 0.0).probability(NOTHING) < 1.0


# --- what is refused


def planted() -> None:
    """What a planted file would like to run."""
    raise AssertionError("a type of the model file was run")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "not a model file"),
        (b"PK\x03\x04 torn", "not a model file"),
        (dumps({"form": FORM + 1, "features": list(FEATURES)}), f"form {FORM}"),
        (dumps({"form": FORM, "features": ["own", "moon"]}), f"form {FORM}"),
        (dumps([1, 2]), f"form {FORM}"),
        (dumps({"form": FORM, "features": list(FEATURES), "model": partial(planted)}), "not trusted"),
    ],
)
def test_a_file_of_another_form_or_with_foreign_types_is_refused(body: bytes, told: str) -> None:
    with pytest.raises(ModelError, match=told):
        ShiftModel.read(body)


# --- in the engine


def known(restart_at: Sequence[int] = ()) -> Cloud:
    cloud = Cloud(restart_at)
    for moment in range(6):
        for n in range(2):
            cloud.deliver(f"cam-{n}", still(n, moment))
    return cloud


def test_a_shift_carries_its_probability_and_every_figure_that_it_came_from() -> None:
    cloud = known()
    judged = cloud.deliver("cam-0", still(77, 1))
    assert judged.verdict is Verdict.SHIFT
    assert set(judged.numbers) == {"probability", *FEATURES}
    assert float(judged.numbers["probability"]) > 0.5
    (told,) = judged.alerts
    assert told.numbers == judged.numbers, "an alert keeps all of it: what a person rules is learned from it"


def test_the_same_look_again_is_likelier_this_place() -> None:
    cloud = known()
    first, second = cloud.shows("cam-0", 77, [1, 2])
    assert second.numbers["alike"] == 1
    assert float(second.numbers["probability"]) < float(first.numbers["probability"])


def test_a_restored_engine_gives_the_same_probability() -> None:
    numbers = []
    for restart_at in ((), (12, 13)):
        cloud = known(restart_at)
        numbers.append([j.numbers for j in cloud.shows("cam-0", 77, [1, 2])])
    assert numbers[0] == numbers[1]


def test_the_model_is_not_read_before_something_is_novel() -> None:
    asked = []

    def model() -> ShiftModel:
        asked.append(1)
        return undecided()

    cloud = Cloud()
    cloud.engine = Engine(model)
    cloud.shows("cam-0", 0, range(6))
    assert asked == []
    judged = cloud.deliver("cam-0", still(77, 1))
    assert (asked, judged.numbers["probability"]) == ([1], 0.5)


# --- training


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interval of twenty draws is as good as one of two hundred, for what is asked of it here."""
    monkeypatch.setattr(training, "DRAWS", 20)


def test_evidence_that_tells_is_found_and_evidence_that_does_not_is_not() -> None:
    for own, least, most in ((0.1, 0.97, 1.0), (0.5, 0.35, 0.65)):
        measured = {(m.form, m.given): m for m in measure(Samples(samples(own)))}
        for form in ("logistic", "boosted"):
            assert least <= measured[form, "pixels"].auc <= most
        assert 0.3 < measured["logistic", "time"].auc < 0.7
        assert measured["rule", "pixels and time"].low <= measured["rule", "pixels and time"].auc


def test_the_rule_is_ranked_by_what_it_told_and_not_by_the_evidence() -> None:
    taught = Samples([replace(s, told=Told.AT_ONCE if s.foreign else Told.NOT) for s in samples(0.5)])
    mute = Samples([replace(s, told=Told.NOT) for s in samples(0.1)])
    assert ruled(taught)[taught.y].min() > 0.99
    assert ruled(taught)[~taught.y].max() < 0.01
    assert ruled(mute) == pytest.approx(0.5, abs=0.05)


def test_a_probability_is_of_a_model_that_never_saw_the_fold() -> None:
    """A figure that is a camera's own number tells everything inside a fold and nothing about another one."""
    found = samples(0.5)
    marked = [
        replace(s, evidence=replace(s.evidence, wander=float(s.fold + bool(s.foreign) * (-1) ** s.fold))) for s in found
    ]
    (pixels_and_time,) = [m for m in measure(Samples(marked)) if (m.form, m.given) == ("boosted", "pixels and time")]
    assert pixels_and_time.auc < 0.8


def test_both_kinds_weigh_the_same_and_a_restless_camera_no_more_than_its_share() -> None:
    found = samples(0.1)
    busy = [replace(found[1], camera="busy") for _ in range(10 * MOST)]
    learned = Samples([*found, *busy])
    assert learned.weight[learned.y].sum() == pytest.approx(learned.weight[~learned.y].sum())
    own = np.array([s.camera == "busy" for s in learned.all])
    others = learned.weight[~learned.y & ~own].sum() / (~learned.y & ~own).sum()
    assert learned.weight[own].sum() == pytest.approx(MOST * others, rel=0.35)


def test_a_written_model_is_read_again_and_tells() -> None:
    model = ShiftModel.read(write(Samples(samples(0.1))))
    assert model.probability(NOTHING) > 0.8
    assert model.probability(replace(NOTHING, own=0.5, correlation=0.5)) < 0.2


def shifts(store: SqlStore) -> list[Alert]:
    """Cameras that know their places, each shown another one; and what was told of it."""
    judge = Judge(Engine(), Decoder(b"k"), Metrics(), store)
    for moment in range(7):
        for n in range(4):
            place = 70 + n if moment == 6 else n
            when = START + timedelta(minutes=4 * moment + n)
            event = Delivery(DeliveryId("t", f"{moment}-{n}"), when, AccountId(f"of-{n}"), CameraId(f"cam-{n}"))
            judge.take(Message(event, event.key, picture(place, moment)))
    judge.commit()
    return [stored.alert for stored in store.alerts().items if stored.alert.kind is Kind.SHIFT]


def test_what_an_analyst_rules_changes_the_model_that_is_trained(tmp_path: Path) -> None:
    """From the alert at the console to the weights: no picture, no account and no camera's name on the way."""
    url, file = f"sqlite:///{tmp_path / 's.db'}", tmp_path / "rulings.jsonl"
    with SqlStore(url) as store:
        store.acquire(60)
        told = shifts(store)
    assert len(told) == 4
    for one in told:
        ruled = CliRunner().invoke(app, ["incidents", "verdict", one.id, "false", "--by", "kim", "--store", url])
        assert ruled.exit_code == 0, ruled.output
    written = CliRunner().invoke(app, ["incidents", "rulings", "--store", url])
    assert not any(name in written.stdout for name in ("of-0", "cam-0"))
    file.write_text(written.stdout)
    found = read(file, folds=3)
    assert {(s.group, s.foreign, s.rule) for s in found} == {(GROUP, "", "foreign-at-once")}
    assert len({s.camera for s in found}) == 4
    clue = found[0].evidence
    before = ShiftModel.read(write(Samples(samples(0.1)))).probability(clue)
    after = ShiftModel.read(write(Samples([*samples(0.1), *found]))).probability(clue)
    other = ShiftModel.read(write(Samples([*samples(0.1), *(replace(s, foreign=ANOTHER) for s in found)])))
    assert after < before - 0.05
    assert other.probability(clue) > after


RULED: dict[str, Any] = {"camera": "ca-1", "verdict": "false_positive", "rule": "held"}


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b"{",
        b'"\xff"',
        json.dumps(RULED | {"verdict": "maybe", "evidence": {}}).encode(),
        json.dumps(RULED | {"camera": 7, "evidence": dict.fromkeys(FEATURES, 0)}).encode(),
        json.dumps(RULED | {"evidence": dict.fromkeys(FEATURES, 0) | {"wander": float("nan")}}).encode(),
    ],
)
def test_a_file_that_holds_no_rulings_is_told_with_its_line(tmp_path: Path, line: bytes) -> None:
    file = tmp_path / "r.jsonl"
    file.write_bytes(line)
    with pytest.raises(BadRulings, match="line 1"):
        read(file, 2)


def test_a_leak_and_a_shift_on_a_placeholder_teach_nothing() -> None:
    numbers = dict.fromkeys(FEATURES, 0.5)
    assert teaches(replace(alert(1, 0, Kind.SHIFT), numbers=numbers))
    assert not teaches(replace(alert(1, 0, Kind.SHIFT), numbers={**numbers, "placeholder": "ph-1"}))
    assert not teaches(replace(alert(1, 0, Kind.LEAK), numbers=numbers))
    assert not teaches(alert(1, 0, Kind.SHIFT))


def test_a_fold_without_both_kinds_is_told() -> None:
    with pytest.raises(TrainingError, match="fold 0 has no own stills"):
        Samples([s for s in samples(0.1) if s.foreign or s.fold])
    with pytest.raises(TrainingError, match="fewer than two folds"):
        Samples([])


def test_folds_share_no_camera_and_hold_them_all() -> None:
    cameras = tuple(Source(f"c{n}", "cameras/c", (Path(f"{n}.jpg"),)) for n in range(31))
    photos = tuple(Source(f"photo-{n}", "photos/p", (Path(f"{n}.jpg"),)) for n in range(47))
    parts = deal(Corpus(cameras, photos), 3, seed=0)
    names = [source.name for part in parts for source in (*part.cameras, *part.photos)]
    assert sorted(names) == sorted(source.name for source in (*cameras, *photos))
    with pytest.raises(CorpusError, match="too few"):
        deal(Corpus(cameras[:STRANGERS], ()), 2, seed=0)


def test_the_command_trains_on_drawn_cameras_and_writes_a_model_that_is_read(tmp_path: Path) -> None:
    noon = datetime(2026, 1, 5, 12, tzinfo=UTC)
    for n in range(30):
        for k, mode in enumerate((Mode.DAY, Mode.NIGHT) if n < 16 else (Mode.DAY,)):
            path = tmp_path / (f"corpus/cameras/drawn__{n:02}/{k}.jpg" if n < 16 else f"corpus/photos/rooms/{n}.jpg")
            path.parent.mkdir(parents=True, exist_ok=True)
            picture = drawn(stage(f"trained {n} {k}", mode), Moment(k, noon + timedelta(minutes=k)))
            path.write_bytes(jpeg(picture.resize((480, 270)), 85))
    out, figures = tmp_path / "model.skops", tmp_path / "figures.json"
    arguments = ["--folds", "2", "--seeds", "1", "--photos", "5", "--strangers", "20", "--spoiled", "8"]
    arguments += ["--controls", "12", "--per-still", "4"]
    given = ["train", "--corpus", str(tmp_path / "corpus"), "--out", str(out), "--json", str(figures), *arguments]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 0, result.output
    assert ShiftModel.read(out.read_bytes()).probability(NOTHING) > 0.5
    assert {f["form"] for f in json.loads(figures.read_text())["forms"]} == {"rule", "logistic", "boosted"}
    assert "share no camera" in result.stdout


def test_a_folder_that_is_no_corpus_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["train", "--corpus", str(tmp_path)])
    assert result.exit_code == 2
    assert "is no corpus" in result.output
