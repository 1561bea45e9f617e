"""`strayframe evaluate` on a tiny corpus of drawn cameras: from stills to figures, page and exit code."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from typer.testing import CliRunner

from api.cli import app
from api.commands import evaluate
from api.gallery import GalleryError, refuse_checkout, write_page
from streams.evaluation import bars
from streams.evaluation.corpus import Corpus, CorpusError, group_of, moment, opened, read
from streams.evaluation.damage import KINDS
from streams.evaluation.damage.trial import Miss, Tried
from streams.evaluation.evaluate import SHOWN, Findings, ReplayTask, Step, Tell, run_all, split, witnessed
from streams.evaluation.labelled import CONTROLS, LEAKS, Options, plan, write
from streams.evaluation.score import Score, read_lines
from streams.simulator.render import Mode, Moment, jpeg, stage, still

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
SMALL = Options(seed=4, photos=10, leaks=22, controls=12, per_still=2, min_own=6, cap=3)
ARGUMENTS = ["--leaks", "22", "--controls", "12", "--photos", "10", "--per-still", "2", "--min-own", "6", "--cap", "3"]
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen drawn cameras with two stills each and fourteen photographs, at 640 by 360."""
    folder = tmp_path_factory.mktemp("corpus")
    for n in range(30):
        scene = stage(f"evaluated {n}", Mode.DAY)
        for k in range(2 if n < 16 else 1):
            path = folder / (f"cameras/drawn__{n:02}/{k}.jpg" if n < 16 else f"photos/rooms/{n}.jpg")
            path.parent.mkdir(parents=True, exist_ok=True)
            picture = still(scene, Moment(k, NOON + timedelta(minutes=k))).resize((640, 360))
            path.write_bytes(jpeg(picture, 85))
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def done(corpus: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one whole run wrote: figures.json, page/, output.txt."""
    out = tmp_path_factory.mktemp("done")
    more = ["--cache", str(cache), "--out", str(out / "page"), "--json", str(out / "figures.json")]
    result = CliRunner().invoke(app, ["evaluate", str(corpus), "--seeds", "4,5", *ARGUMENTS, *more])
    assert result.exit_code == 0, result.output
    (out / "output.txt").write_text(result.stdout)
    return out


def test_the_figures_of_all_seeds_are_pooled_and_most_leaks_are_named(done: Path) -> None:
    figures = json.loads((done / "figures.json").read_text())
    assert set(figures["seeds"]) == {"4", "5"}
    both = [figures["seeds"][seed]["deliveries"] for seed in ("4", "5")]
    assert figures["pooled"]["deliveries"] == sum(both)
    assert figures["pooled"]["without_verdict"] == 0
    assert set(figures["pooled"]["told"]) == {*LEAKS, "wrongid", "all"}
    assert figures["pooled"]["named"]["copy"]["share"] == 1.0
    assert figures["pooled"]["named"]["all"]["share"] > 0.6
    assert set(figures["pooled"]["named_by_group"]) <= {"cameras/drawn", "photos/rooms"}


def test_the_tables_show_kinds_sources_controls_and_intervals(done: Path) -> None:
    output = (done / "output.txt").read_text()
    for word in (*LEAKS, *CONTROLS, "neighbour", "reenrolled", "cameras/drawn", "named at once", "misnamed"):
        assert re.search(rf"^{word}\b", output, re.MULTILINE) or word in CONTROLS, word
    assert re.search(r"^all +\d+ +[\d.]+% \[[\d.]+%, [\d.]+%\]", output, re.MULTILINE)


def test_the_page_shows_the_pictures_of_every_case_and_needs_nothing_else(done: Path) -> None:
    page = (done / "page/index.html").read_text()
    figures = json.loads((done / "page/figures.json").read_text())
    assert page.count("<div class=case>") == figures["pooled"]["cases"]
    for path in re.findall(r"<img src='([^']+)'", page):
        assert (done / "page" / path).stat().st_size > 0
    assert "http" not in page


def test_damages_are_tried_and_shown_apart_by_whether_they_are_held(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "EVERYDAY", {"copy": KINDS["copy"]})
    monkeypatch.setattr(evaluate, "FURTHER", {"negative": KINDS["negative"], "solarised": KINDS["solarised"]})
    more = ["--no-replays", "--damages", "--each", "2", "--photos", "0", "--json", str(tmp_path / "figures.json")]
    more += ["--out", str(tmp_path / "page")]
    result = CliRunner().invoke(app, ["evaluate", str(corpus), *more])
    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["seeds"] == {}
    assert "0 of 0" not in (tmp_path / "page/index.html").read_text()
    told = [(each["kind"], each["stage"], each["held"], each["trials"]) for each in figures["damages"]]
    assert told == [
        ("copy", "cache", False, 2),
        ("negative", "transcoder", False, 2),
        ("solarised", "transcoder", True, 2),
    ]
    assert figures["damages"][0]["named"] == 2
    assert re.search(r"further, held apart.*\n.*\nsolarised ", result.stdout)


def test_pictures_of_misses_are_shown_but_none_of_a_held_kind(corpus: Path, tmp_path: Path) -> None:
    data = jpeg(opened(next((corpus / "photos").rglob("*.jpg"))).resize((160, 90)), 85)
    tried = [Tried(kind, 9, misses=[Miss(data, data, "photo-1", "held")] * 9) for kind in ("quad", "solarised")]
    fared = [witnessed(each) for each in tried]
    shown = write_page(tmp_path, Findings(damages=fared), {})
    assert shown == SHOWN
    names = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert names == {f"quad-{k}{end}.jpg" for k in range(SHOWN) for end in ("", "-intact")}


def test_the_same_options_give_the_same_bytes_and_others_give_others(corpus: Path, tmp_path: Path) -> None:
    found = read(corpus)
    few = plan(found, SMALL)[:60]
    write(few, tmp_path / "one")
    write(plan(read(corpus), SMALL)[:60], tmp_path / "two")
    one, two = ({p.name: p.read_bytes() for p in (tmp_path / name).rglob("*.*")} for name in ("one", "two"))
    assert one == two
    assert [p.event for p in few] != [p.event for p in plan(found, Options(seed=5, photos=10))[:60]]


def test_a_cached_replay_is_taken_up_again(corpus: Path, cache: Path, done: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in cache.glob("*/events.jsonl")}
    assert len(before) == 2
    phases = set()
    ReplayTask(corpus, SMALL, cache).run(lambda step: phases.add(step.phase))
    assert phases == {"judging"}
    assert {path: path.stat().st_mtime_ns for path in cache.glob("*/events.jsonl")} == before


def test_a_replay_holds_every_kind_and_each_owner_had_a_past(corpus: Path) -> None:
    planned = plan(read(corpus), replace(SMALL, controls=60))
    assert [each.when for each in planned] == sorted(each.when for each in planned)
    kinds = {each.truth["kind"] for each in planned if each.truth}
    assert {*LEAKS, *CONTROLS, "wrongid", "neighbour", "reenrolled"} - {"sibling", "household"} <= kinds
    own: dict[str | None, int] = {}
    for each in planned:
        if each.truth is None:
            own[each.event.get("camera")] = own.get(each.event.get("camera"), 0) + 1
        elif each.truth["kind"] in {"copy", "transcode", "fresh", "crop", "wrongid", "cold"}:
            assert own[each.truth["owner_camera"]] >= 3
        elif each.truth["kind"] in {"before", "unseen"}:
            assert each.truth["owner_camera"] not in own


def test_nobody_is_leaked_a_still_that_they_may_see(corpus: Path) -> None:
    planned = plan(read(corpus), SMALL)
    grants = {
        (each.event["camera"], each.event["account"]) for each in planned if each.event["type"] == "camera.shared"
    }
    for each in planned:
        if each.truth and each.truth["kind"] in {*LEAKS, "wrongid"}:
            assert each.truth["owner"] != each.event["account"]
            assert (each.truth["owner_camera"], each.event["account"]) not in grants


def test_a_replay_that_broke_off_is_not_taken_for_a_whole_one(corpus: Path, tmp_path: Path) -> None:
    planned = plan(read(corpus), SMALL)

    def broken(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(planned, tmp_path / "replay", broken)
    assert not (tmp_path / "replay").exists()
    write(planned[:5], tmp_path / "replay")
    assert len(read_lines(tmp_path / "replay/events.jsonl")) == 5


def test_a_moment_later_is_the_same_view_with_other_pixels(corpus: Path) -> None:
    first = opened(next((corpus / "photos").rglob("*.jpg")))
    later = moment(first, Random(1))
    assert later.size == first.size
    assert later.tobytes() != first.tobytes()
    assert later.tobytes() == moment(first, Random(1)).tobytes()


def test_a_folder_without_stills_is_no_corpus(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["evaluate", str(tmp_path)])
    assert result.exit_code == 2
    assert "is no corpus: it has neither cameras/<name>/*.jpg nor photos/*.jpg" in result.output


def test_a_corpus_of_a_few_stills_is_too_small(corpus: Path) -> None:
    found = read(corpus)
    with pytest.raises(CorpusError, match="3 cameras and photographs are too few"):
        plan(Corpus(found.cameras[:3], ()), SMALL)


def test_sources_are_grouped_by_what_stands_before_the_double_underscore() -> None:
    assert group_of("traffic__camera 7") == "cameras/traffic"
    assert group_of("porch") == "cameras/porch"
    assert group_of("photo-12") == group_of("neighbour-1-0") == "photos"


def test_pictures_are_never_written_into_the_checkout(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="checkout"):
        refuse_checkout(ROOT / "docs" / "page")
    refuse_checkout(tmp_path)
    result = CliRunner().invoke(app, ["evaluate", str(corpus), "--out", str(ROOT / "page")])
    assert result.exit_code == 2
    assert not (ROOT / "page").exists()


def test_a_bar_that_is_not_reached_makes_the_exit_code_one(
    corpus: Path, cache: Path, done: Path, tmp_path: Path
) -> None:
    (tmp_path / "bars.toml").write_text("named = 1.01\nfalse_leaks = 1000\n")
    arguments = ["evaluate", str(corpus), "--seeds", "4", *ARGUMENTS, "--cache", str(cache)]
    result = CliRunner().invoke(app, [*arguments, "--require", str(tmp_path / "bars.toml")])
    assert result.exit_code == 1
    assert re.search(r"named is [\d.]+; at least 1.01 is asked for", result.output)
    assert "false_leaks" not in result.output


@pytest.mark.parametrize(
    ("text", "message"),
    [("nmed = 1", "no bar is called 'nmed'"), ("named = 'x'", "is not a number"), ("named =", "is not TOML")],
)
def test_bars_that_make_no_sense_are_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "bars.toml").write_text(text)
    with pytest.raises(bars.BarsError, match=message):
        bars.read(tmp_path / "bars.toml")


def test_held_damages_have_a_bar_of_their_own() -> None:
    found = bars.Found(Score(), [Tried("letterbox", 10, named=9), Tried("solarised", 10, named=4)])
    assert bars.short({"damages_each": 0.9, "held_damages_each": 0.5}, found) == [
        "held_damages_each is 0.4; at least 0.5 is asked for"
    ]


def test_every_bar_is_documented() -> None:
    documented = set(re.findall(r"^(\w+) = [\d.]+", (ROOT / "docs/evaluate.md").read_text(), re.MULTILINE))
    assert documented == {*bars.AT_LEAST, *bars.AT_MOST}


def test_seeds_that_are_no_numbers_are_refused(corpus: Path) -> None:
    result = CliRunner().invoke(app, ["evaluate", str(corpus), "--seeds", "1,two"])
    assert result.exit_code == 2
    assert "whole numbers with commas" in result.output


@dataclass(frozen=True, slots=True)
class Twice:
    """A task that other processes can do."""

    value: int

    def run(self, tell: Tell) -> int:
        if self.value < 0:
            raise CorpusError("no corpus")
        tell(Step(f"twice {self.value}", "doubling", 1, 1))
        return 2 * self.value


def test_two_processes_give_the_results_in_the_tasks_order_and_tell_how_far_they_are() -> None:
    told: list[Step] = []
    assert run_all([Twice(3), Twice(1), Twice(2)], 2, told.append) == [6, 2, 4]
    assert {step.label for step in told} <= {"twice 1", "twice 2", "twice 3"}


def test_an_error_in_another_process_is_the_callers() -> None:
    with pytest.raises(CorpusError, match="no corpus"):
        run_all([Twice(1), Twice(-1)], 2, lambda step: None)


def test_kinds_are_split_into_parts_without_loss() -> None:
    assert split(["a", "b", "c"], 2) == [("a", "c"), ("b",)]
    assert split(["a"], 2) == [("a",)]
