"""Scoring on hand-made replays whose result is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from streams.evaluation.score import Score, Share, compare, pooled, score

CAMERAS = {"a": "cam-a", "b": "cam-b", "c": "cam-c"}


def delivered(n: int, account: str, camera: str | None = None) -> dict[str, Any]:
    return {"type": "still.delivered", "id": f"{n}", "account": account, "camera": camera or CAMERAS[account]}


def leaked(n: int, kind: str, owner: str | None = "b") -> dict[str, Any]:
    return {"id": f"{n}", "kind": kind, "owner": owner, "owner_camera": CAMERAS[owner or "c"]}


def raised(
    n: int, owner: str | None, by: int | None = None, level: str = "shown", kind: str = "leak"
) -> dict[str, Any]:
    named = CAMERAS.get(owner or "")
    return {
        "kind": kind, "delivery": f"{n}", "owner": owner, "raised_by": f"{n if by is None else by}", "level": level,
        "owner_camera": named, "rule": "foreign-scene", "why": "because",
    }  # fmt: skip


def said(events: list[dict[str, Any]], **other: str) -> list[dict[str, Any]]:
    return [{"id": e["id"], "verdict": other.get(f"v{e['id']}", "clear")} for e in events if "id" in e]


STILLS = [delivered(n, "ab"[n % 2]) for n in range(10)]


def test_a_leak_with_the_right_owner_is_named_and_told() -> None:
    found = compare(STILLS, [leaked(4, "copy")], said(STILLS), [raised(4, "b", level="acting")])
    assert found.of_all(found.named) == found.of_all(found.told) == found.of_all(found.acting) == Share(1, 1)
    assert (found.misnamed, found.false_acting, found.at_once, found.prompt) == (0, 0, 1, 1)
    assert found.waited() == [0, 0, 0]
    assert not found.cases


def test_an_account_that_the_camera_is_shared_with_is_a_right_owner() -> None:
    grant = {"type": "camera.shared", "camera": "cam-b", "account": "guest", "action": "grant"}
    found = compare([grant, *STILLS], [leaked(4, "copy")], said(STILLS), [{**raised(4, "b"), "owner": "guest"}])
    assert found.named["copy"] == 1


def test_a_wrong_owner_is_misnamed_and_false_at_the_acting_level_but_told() -> None:
    found = compare(STILLS, [leaked(4, "copy")], said(STILLS), [raised(4, "c", level="acting")])
    assert (found.misnamed, found.false_acting) == (1, 1)
    assert (found.named["copy"], found.told["copy"]) == (0, 1)
    assert [case.fault for case in found.cases] == ["misnamed", "told, not named"]


def test_a_shift_alert_tells_of_a_leak_without_naming_it() -> None:
    found = compare(STILLS, [leaked(4, "unseen", None)], said(STILLS), [raised(4, None, by=6, kind="shift")])
    assert found.of_all(found.told) == Share(1, 1)
    assert found.of_all(found.named) == Share(0, 0)
    assert found.waited() == [1, 1, 1]
    assert not found.cases


def test_an_alert_waits_for_as_many_stills_of_the_recipients_camera_as_came_in_between() -> None:
    truth = [leaked(2, "fresh"), leaked(4, "copy"), leaked(6, "before")]
    alerts = [raised(2, "b", by=8), raised(2, "b", by=5), raised(4, "b"), raised(6, "b", by=9)]
    found = compare(STILLS, truth, said(STILLS), alerts)
    assert sorted(found.waits.elements()) == [0, 1]  # `before` cannot but wait and is left out
    assert (found.prompt, found.at_once) == (2, 1)


def test_alerts_on_clean_deliveries_are_false_and_counted_by_control() -> None:
    truth = [{"id": "2", "kind": "infrared"}, {"id": "3", "kind": "household", "owner": "a", "owner_camera": "cam-a"}]
    alerts = [raised(2, None, kind="shift"), raised(3, "a", level="acting"), raised(5, None, kind="shift")]
    found = compare(STILLS, truth, said(STILLS), alerts)
    assert dict(found.false_shifts) == {"infrared": 1, "plain": 1}
    assert dict(found.false_leaks) == {"household": 1}
    assert found.false_acting == 1
    assert found.false(found.false_shifts) == Share(2, 10)
    assert [case.fault for case in found.cases] == ["false shift", "false leak", "false shift"]


def test_dark_stills_and_leaks_are_left_out_of_the_unjudged() -> None:
    truth = [{"id": "2", "kind": "dark"}, leaked(4, "copy")]
    found = compare(STILLS, truth, said(STILLS, v2="unjudged", v4="unjudged", v7="unjudged"), [])
    assert (found.unjudged, found.judged) == (1, 8)


def test_a_delivery_without_a_verdict_is_counted_and_a_missed_leak_is_a_case() -> None:
    found = compare(STILLS, [leaked(4, "crop")], said(STILLS[:-2]), [])
    assert found.without_verdict == 2
    assert [(case.fault, case.kind, case.delivery) for case in found.cases] == [("not told", "crop", "4")]


def test_named_leaks_are_counted_by_the_group_of_their_source() -> None:
    truth = [
        {"id": "2", "kind": "copy", "owner": "b", "owner_camera": "photo-7"},
        {"id": "4", "kind": "copy", "owner": "b", "owner_camera": "traffic__12"},
        {"id": "6", "kind": "copy", "owner": "b", "owner_camera": "photo-8", "group": "photos/rooms"},
    ]
    found = compare(STILLS, truth, said(STILLS), [raised(4, "b")])
    assert found.of_group() == {"cameras/traffic": Share(1, 1), "photos": Share(0, 1), "photos/rooms": Share(0, 1)}


def test_pooled_replays_count_as_one() -> None:
    one = compare(STILLS, [leaked(4, "copy")], said(STILLS), [raised(4, "b")])
    two = compare(STILLS, [leaked(4, "copy")], said(STILLS), [])
    both = pooled([one, two])
    assert both.of_all(both.named) == Share(1, 2)
    assert both.deliveries == 20
    assert both.waited() == [0, 0, 0]
    assert pooled([]) == Score()


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [(5, 10, 0.1871, 0.8129), (1, 100, 0.00025, 0.0545), (0, 300, 0.0, 0.00994), (300, 300, 0.99006, 1.0)],
)
def test_intervals_are_clopper_and_pearsons_and_the_rule_of_three_at_the_ends(
    hits: int, of: int, low: float, high: float
) -> None:
    assert Share(hits, of).interval == pytest.approx((low, high), abs=1e-4)


def test_nothing_of_nothing_says_nothing() -> None:
    assert Share(0, 0).value == 0
    assert Share(0, 0).interval == (0.0, 1.0)


def test_files_are_read_and_figures_are_json(tmp_path: Path) -> None:
    truth = [leaked(4, "copy"), leaked(6, "unseen", None)]
    for name, records in (
        ("events", STILLS), ("truth", truth), ("verdicts", said(STILLS)), ("alerts", [raised(4, "b")]),
    ):  # fmt: skip
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    found = score(tmp_path, tmp_path / "verdicts.jsonl", tmp_path / "alerts.jsonl")
    figures = json.loads(json.dumps(found.as_json()))
    assert figures["named"]["all"] == figures["named"]["copy"]
    assert figures["named"]["all"]["share"] == 1.0
    assert "unseen" not in figures["named"]
    assert figures["told"]["all"]["of"] == 2
