"""The wire form: what goes out comes back, and what is not accepted says why."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from cloudevents.core.bindings import http, kafka
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from models.records import (
    AccountId,
    CameraId,
    ChangeDeployed,
    Delivery,
    DeliveryId,
    Event,
    RightAction,
    RightChanged,
    StillOpened,
)
from streams.cloudevents import (
    Rejected,
    event_id,
    instant,
    parse_headers,
    parse_http,
    parse_json,
    parse_line,
    partition_key,
    to_headers,
    to_http,
    to_json,
)

words = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=40)
names = st.from_regex(r"x[a-z0-9]{1,12}", fullmatch=True)
times = st.integers(0, 4_000_000_000_000).map(lambda ms: datetime.fromtimestamp(ms / 1000, UTC))
times = times.map(lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000))
keys = st.builds(DeliveryId, words, words)
accounts, cameras = words.map(AccountId), words.map(CameraId)
deliveries = st.builds(Delivery, keys, times, accounts, cameras, st.dictionaries(names, words, max_size=4))
events = st.one_of(
    deliveries,
    st.builds(RightChanged, cameras, accounts, st.sampled_from(RightAction), times),
    st.builds(StillOpened, keys, times, accounts),
    st.builds(ChangeDeployed, words, words, times),
)
GOOD = {
    "specversion": "1.0",
    "id": "1",
    "source": "cloud",
    "type": "still.delivered",
    "time": "2026-01-05T06:00:00Z",
    "account": "anna",
    "camera": "cam-1",
    "integration": "home-display",
    "data_base64": base64.b64encode(b"jpeg").decode(),
}


@given(events, words)
def test_an_event_comes_back_from_each_binding_as_it_was(event: Event, source: str) -> None:
    data = b"\xff\xd8" if isinstance(event, Delivery) else b"{}"
    assert parse_json(json.loads(json.dumps(to_json(event, source=source, data=data)))).event == event
    assert parse_headers(to_headers(event, source=source), data).event == event
    assert parse_http(to_http(event, source=source), data).event == event


@given(events)
def test_a_made_up_id_is_the_same_each_time(event: Event) -> None:
    assert event_id(event) == event_id(event)
    assert partition_key(event)


def test_a_picture_travels_as_bytes_in_each_binding() -> None:
    event = parse_json(GOOD).event
    assert parse_json(GOOD).data == b"jpeg"
    assert parse_headers(to_headers(event), b"raw").data == b"raw"
    assert parse_json({**GOOD, "data_base64": None, "dataref": "stills/1.jpg"}).dataref == "stills/1.jpg"


def test_attributes_that_nobody_asked_for_are_kept_as_text() -> None:
    event = parse_json({**GOOD, "cachenode": "cache-3", "shard": 7, "canary": True}).event
    assert isinstance(event, Delivery)
    assert event.attributes == {"integration": "home-display", "cachenode": "cache-3", "shard": "7", "canary": "true"}


def test_times_are_read_in_any_zone_and_kept_in_utc() -> None:
    event = parse_json({**GOOD, "time": "2026-01-05T07:00:00+01:00"}).event
    assert event.time == datetime(2026, 1, 5, 6, tzinfo=UTC)
    assert instant(datetime(2026, 1, 5, 7, tzinfo=timezone(timedelta(hours=1)))) == "2026-01-05T06:00:00.000Z"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"specversion": "0.3"}, "bad_attribute"),
        ({"id": None}, "missing_attribute"),
        ({"source": ""}, "missing_attribute"),
        ({"account": 7}, "bad_attribute"),
        ({"camera": "x" * 1025}, "bad_attribute"),
        ({"camera": "\N{GRINNING FACE}" * 300}, "bad_attribute"),
        ({"shard": list(range(1000))}, "bad_attribute"),
        ({f"x{n}": "y" for n in range(65)}, "bad_attribute"),
        ({"camera": "a\nb"}, "bad_attribute"),
        ({"time": "2026-01-05T06:00:00"}, "bad_time"),
        ({"time": "yesterday"}, "bad_time"),
        ({"time": "1969-12-31T23:59:59Z"}, "bad_time"),
        ({"time": "9999-01-01T00:00:00Z"}, "bad_time"),
        ({"Shard": "1"}, "bad_attribute"),
        ({"shard\0": "1"}, "bad_attribute"),
        ({"x" * 65: "1"}, "bad_attribute"),
        ({"type": "still.opened", "delivery": "1", "deliverysource": "a\0b"}, "bad_attribute"),
        ({"type": "still.opened", "delivery": "1", "deliverysource": 7}, "bad_attribute"),
        ({"type": "still.melted"}, "unknown_type"),
        ({"data_base64": None}, "no_picture"),
        ({"data_base64": "%%%"}, "bad_attribute"),
        ({"type": "camera.shared", "action": "enrol"}, "bad_attribute"),
        ({"type": "camera.enrolled"}, "missing_attribute"),
        ({"type": "change.deployed", "component": "cache"}, "missing_attribute"),
    ],
)
def test_a_bad_event_is_rejected_with_its_reason(change: dict[str, object], reason: str) -> None:
    with pytest.raises(Rejected) as caught:
        parse_json({**GOOD, **change})
    assert caught.value.reason == reason
    assert caught.value.detail


@pytest.mark.parametrize("line", ["", "{", "[1]", "null", '"text"', "\udcff".encode("utf-8", "surrogatepass")])
def test_a_line_that_is_no_json_object_is_rejected(line: str | bytes) -> None:
    with pytest.raises(Rejected, match="not_json"):
        parse_line(line)


@given(st.binary(max_size=200))
def test_no_line_of_bytes_raises_anything_but_rejected(line: bytes) -> None:
    with pytest.raises(Rejected):
        parse_line(line)


@given(
    st.lists(st.tuples(st.text(max_size=12), st.binary(max_size=40)), max_size=6), st.none() | st.binary(max_size=20)
)
def test_no_kafka_message_raises_anything_but_rejected(headers: list[tuple[str, bytes]], value: bytes | None) -> None:
    with pytest.raises(Rejected):
        parse_headers(headers, value)


PEER = CloudEvent(
    attributes={
        "id": "17",
        "source": "cloud/eu",
        "type": "still.delivered",
        "time": datetime(2026, 1, 5, 6, tzinfo=UTC),
        "datacontenttype": "image/jpeg",
        "account": "anna",
        "camera": "Küche 1",
        "cachenode": "cache-3",
    },
    data=b"\xff\xd8\xff",
)


def test_messages_of_the_cloudevents_package_are_understood_in_every_binding() -> None:
    expected = Delivery(
        DeliveryId("cloud/eu", "17"),
        datetime(2026, 1, 5, 6, tzinfo=UTC),
        AccountId("anna"),
        CameraId("Küche 1"),
        {"cachenode": "cache-3"},
    )
    for message in (
        kafka.to_binary_event(PEER),
        kafka.to_structured_event(PEER),
    ):
        headers = [(name, value) for name, value in message.headers.items()]
        found = parse_headers(headers, message.value)
        assert (found.event, found.data) == (expected, b"\xff\xd8\xff")
    for request in (http.to_binary_event(PEER), http.to_structured_event(PEER)):
        found = parse_http(request.headers, request.body)
        assert (found.event, found.data) == (expected, b"\xff\xd8\xff")
