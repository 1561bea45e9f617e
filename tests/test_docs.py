"""What a user can meet is documented: metrics, event types, reasons, links between the pages."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from timeline import Timeline, alert, at

from detector.notice import NoticeType
from detector.policy import Reason
from detector.scope import named
from detector.suspension import POLICY, Do, Event, Suspension, Transition, step
from detector.telling import raised
from streams.cloudevents import CAMERA_ENROLLED, CAMERA_SHARED, CHANGE_DEPLOYED, STILL_DELIVERED, STILL_OPENED
from streams.metrics import Metrics
from streams.outbox.call import State

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
SUSPENSIONS = ROOT / "docs/suspensions.md"
SOURCES = [path for folder in ("models", "detector", "streams", "api") for path in (ROOT / folder).rglob("*.py")]


def test_every_metric_is_documented_and_every_documented_metric_exists() -> None:
    families = {family.name + ("_total" if family.type == "counter" else "") for family in Metrics().registry.collect()}
    documented = set(re.findall(r"^\| `(strayframe_\w+)`", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE))
    assert families == documented


def test_no_metric_is_labelled_with_an_id() -> None:
    labels = {name for family in Metrics().registry.collect() for s in family.samples for name in s.labels}
    assert labels <= {"verdict", "reason", "topic", "kind", "level", "result", "le"}


def test_every_event_type_is_documented() -> None:
    text = (ROOT / "docs/events.md").read_text()
    for kind in (STILL_DELIVERED, STILL_OPENED, CAMERA_ENROLLED, CAMERA_SHARED, CHANGE_DEPLOYED):
        assert f"| `{kind}` |" in text


def test_every_notice_type_and_every_state_of_a_call_is_documented() -> None:
    text = (ROOT / "docs/hooks.md").read_text()
    for word in (*NoticeType, *State):
        assert f"`{word}`" in text


def test_the_manual_shows_what_receivers_are_told() -> None:
    text = (ROOT / "docs/hooks.md").read_text()
    shown = [json.loads(block) for block in re.findall(r"```json\n(.+?)```", text, re.DOTALL)]
    data = {example["type"].partition(".")[0]: example["data"] for example in shown}
    line = Timeline()
    line.leak(0, "owner-1", "viewer-1")
    ordered = step(
        Suspension(named("homeview", {"cachenode": "cache-3"})),
        Event(Do.SUSPEND, POLICY, at(0), Reason.SHARED_SCOPE, "why"),
    )
    assert isinstance(ordered, Transition)
    assert set(data["suspension"]) == set(ordered.told())
    assert set(data["suspension"]["scope"]) == set(ordered.told()["scope"])
    assert set(data["incident"]) == set(line.told[0].data)
    assert set(data["alert"]) == set(raised(alert(1, 0), None).data)
    (page,) = re.findall(r"^`data` holds (.+?) A receiver", SUSPENSIONS.read_text(), re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"`(\w+)`", page)) == set(ordered.told())


def test_every_log_event_is_documented() -> None:
    written = "".join(page.read_text() for page in PAGES)
    call = re.compile(r"log\.(?:info|warning|error|exception)\(\s*\"([a-z_.]+)\"")
    events = {event for path in SOURCES for event in call.findall(path.read_text())}
    assert len(events) >= 40
    assert {event for event in events if f"`{event}`" not in written} == set()


def test_every_reason_for_a_rejection_is_documented() -> None:
    reasons = {reason for path in SOURCES for reason in re.findall(r"Rejected\(\s*\"(\w+)\"", path.read_text())}
    documented = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/events.md").read_text(), re.MULTILINE))
    assert len(reasons) >= 6
    assert reasons <= documented


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
        if "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
