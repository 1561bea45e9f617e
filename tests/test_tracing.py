"""Traces: one from the still that was delivered to the hook that it caused; off, what came is handed on as it came."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from receivers import Receiver
from serving import events, picture, post, right, serving, still

from api.app import create_app
from streams import tracing
from streams.cloudevents import parse_json
from streams.settings import Settings
from streams.tracing import accepted

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    tracing.begin(exporter)
    yield exporter
    tracing.end()


def told(tmp_path: Path, **more: str) -> dict[str, str]:
    """The traceparent of each call to a hook, by type, after one leak that came so."""
    settings = Settings(
        store=f"sqlite:///{tmp_path / 's.db'}",
        hook_networks="127.0.0.0/8",
        policy_mode="auto",
        warm_up_cameras=0,
        warm_up_share=0,
    )
    with Receiver() as receiver, serving(create_app(settings)) as served:
        c = served.ready().client
        assert c.post("/v1/hooks", json={"url": receiver.url}).status_code == 201
        events(c, *(right(f"r{home}", "enrol", f"cam-{home}", f"acct-{home}") for home in range(2)))
        judged: httpx.Response = post(c, still("d1", "acct-1", "cam-0", 5, **more), picture(0))
        (alert,) = judged.json()["alerts"]
        assert not {"traceparent", "tracestate"} & set(alert["attributes"])
        arrived = receiver.until(3)
        return {json.loads(one.body)["type"]: one.headers.get("traceparent", "") for one in arrived}


def test_a_trace_leads_from_the_still_to_every_hook_that_it_caused(tmp_path: Path, spans: InMemorySpanExporter) -> None:
    heard = told(tmp_path, traceparent=PARENT)
    assert set(heard) == {"alert.raised", "incident.opened", "suspension.requested"}
    made = spans.get_finished_spans()
    (judged,) = (each for each in made if each.name == "strayframe.judge")
    assert judged.parent is not None
    assert (f"{judged.parent.trace_id:032x}", f"{judged.parent.span_id:016x}") == (TRACE, SPAN)
    assert dict(judged.attributes or {}) == {
        "delivery.source": "cloud",
        "delivery.id": "d1",
        "verdict": "leak",
        "rule": "no-right",
    }
    calls = [each for each in made if each.name == "strayframe.call"]
    assert {each.parent.span_id for each in calls if each.parent} == {judged.context.span_id}
    assert {f"00-{TRACE}-{each.context.span_id:016x}-01" for each in calls} == set(heard.values())


def test_off_what_came_is_handed_on_as_it_came(tmp_path: Path) -> None:
    assert not tracing.is_on()
    assert set(told(tmp_path, traceparent=PARENT, tracestate="vendor=1").values()) == {PARENT}


def test_a_still_without_a_trace_begins_one_where_they_are_on(tmp_path: Path, spans: InMemorySpanExporter) -> None:
    heard = set(told(tmp_path).values())
    judged = next(each for each in spans.get_finished_spans() if each.name == "strayframe.judge")
    assert judged.parent is None
    assert {each.split("-")[1] for each in heard} == {f"{judged.context.trace_id:032x}"}


@pytest.mark.parametrize(
    "given",
    [
        "",
        "nonsense",
        PARENT.upper(),
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        PARENT + "x" * 99,
        7,
        None,
    ],
)
def test_what_is_no_traceparent_begins_a_trace_anew(given: object) -> None:
    assert accepted(given) is None
    attributes = still("d1", "acct-1", "cam-0", 5) | {"dataref": "x.jpg"}
    assert parse_json({**attributes, "traceparent": given}).trace is None
    assert parse_json({**attributes, "traceparent": PARENT}).trace == PARENT
