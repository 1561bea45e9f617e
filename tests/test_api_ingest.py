"""Stills and events in over HTTP: three forms with one meaning, each delivery judged once."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from serving import START, Served, at, events, headers, picture, post, right, serving, still

from api.app import create_app
from streams.settings import Settings

STRUCTURED = {"content-type": "application/cloudevents+json"}


def settings(folder: Path, **more: Any) -> Settings:
    return Settings(store=f"sqlite:///{folder / 'store.db'}", **more)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(create_app(settings(tmp_path, still_bytes=100_000), now=lambda: START)) as running:
        yield running.ready()


def counted(served: Served) -> int:
    return sum(item["deliveries"] for item in served.client.get("/v1/coverage").json()["items"])


def test_raw_structured_and_form_mean_the_same_delivery(served: Served) -> None:
    c, attributes, data = served.client, still("d1", "acct", "cam", 3, cachenode="cache-é"), picture(1)
    raw = post(c, attributes, data)
    structured = c.post(
        "/v1/stills", json={**attributes, "data_base64": base64.b64encode(data).decode()}, headers=STRUCTURED
    )
    fields = {name: value for name, value in attributes.items() if name not in ("specversion", "type")}
    form = c.post("/v1/stills", data=fields, files={"still": ("still.jpg", data, "image/jpeg")})
    assert raw.status_code == structured.status_code == form.status_code == 200
    assert raw.json() == structured.json() == form.json()
    assert raw.json()["verdict"] == "learning"
    assert counted(served) == 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_each_picture_format_is_judged(served: Served, kind: str) -> None:
    data = picture(1, kind=kind, size=(320, 180))
    answer = served.client.post(
        "/v1/stills", content=data, headers=headers(still("d", "acct", "cam", 1), f"image/{kind.lower()}")
    )
    assert answer.json()["verdict"] == "learning"


def test_a_form_needs_account_camera_and_file_only(served: Served) -> None:
    c, files = served.client, {"still": ("still.jpg", picture(1), "image/jpeg")}
    first = c.post("/v1/stills", data={"account": "a", "camera": "c"}, files=files).json()
    assert first["delivery"]["source"] == "upload"
    assert c.post("/v1/stills", data={"account": "a", "camera": "c"}, files=files).json() == first
    other = c.post("/v1/stills", data={"account": "a", "camera": "other"}, files=files).json()
    assert other["delivery"] != first["delivery"]
    (hour,) = {item["hour"] for item in c.get("/v1/coverage").json()["items"]}
    assert datetime.fromisoformat(hour) == START.astimezone(UTC)
    assert counted(served) == 2


def test_bytes_that_are_no_picture_are_unjudged_and_not_refused(served: Served) -> None:
    answer = post(served.client, still("d", "acct", "cam", 1), b"\xff\xd8 not a jpeg")
    assert (answer.status_code, answer.json()["verdict"]) == (200, "unjudged")


def test_a_leak_is_told_in_the_answer_and_is_the_alert_that_is_listed(served: Served) -> None:
    c = served.client
    events(c, right("r", "enrol", "cam", "owner"))
    answer = post(c, still("d", "stranger", "cam", 1), picture(1)).json()
    assert answer["verdict"] == "leak"
    assert answer["alerts"] == c.get("/v1/alerts").json()["items"]
    assert answer["alerts"][0]["incident"] == c.get("/v1/incidents").json()["items"][0]["id"]


def test_the_delay_of_an_alert_is_measured_on_the_clock_on_the_wall(served: Served) -> None:
    events(served.client, right("r", "enrol", "cam", "owner", minute=-9))
    post(served.client, still("d", "stranger", "cam", -5), picture(1))
    metrics = served.client.get("/metrics").text
    assert "strayframe_alert_delay_seconds_sum 300.0" in metrics
    assert "strayframe_lag_seconds 300.0" in metrics


def test_the_same_delivery_again_gets_the_same_answer_and_doubles_nothing(served: Served) -> None:
    c = served.client
    events(c, right("r", "enrol", "cam", "owner"))
    sent = [(still("d", "stranger", "cam", 1), picture(1)), (still("e", "owner", "cam", 2), picture(1, 2))]
    first = [post(c, *one).json() for one in sent]
    assert [post(c, *one).json() for one in sent] == first
    assert [one["verdict"] for one in first] == ["leak", "learning"]
    assert len(c.get("/v1/alerts").json()["items"]) == 1
    assert counted(served) == 2


def test_after_a_restart_a_delivery_still_has_its_verdict_and_alerts(tmp_path: Path) -> None:
    leak, own = (still("d", "stranger", "cam", 1), picture(1)), (still("e", "owner", "cam", 2), picture(1, 2))
    with serving(create_app(settings(tmp_path))) as served:
        events(served.ready().client, right("r", "enrol", "cam", "owner"))
        before = [post(served.client, *one).json() for one in (leak, own)]
    with serving(create_app(settings(tmp_path))) as served:
        after = [post(served.ready().client, *one).json() for one in (leak, own)]
        assert [(one["verdict"], one["alerts"]) for one in after] == [(one["verdict"], one["alerts"]) for one in before]
        assert counted(served) == 2
        assert len(served.client.get("/v1/alerts").json()["items"]) == 1


def test_a_leak_that_everybody_forgot_is_told_again_with_the_alert_it_raised_then(tmp_path: Path) -> None:
    """More deliveries of one camera than its ring holds, and a restart."""
    with serving(create_app(settings(tmp_path))) as served:
        events(served.ready().client, right("r", "enrol", "cam", "owner"))
        before = [post(served.client, still(f"d{n}", "stranger", "cam", n), b"x").json() for n in range(40)]
    with serving(create_app(settings(tmp_path))) as served:
        assert post(served.ready().client, still("d0", "stranger", "cam", 0), b"x").json() == before[0]
        assert len(served.client.get("/v1/alerts").json()["items"]) == 40


def test_what_was_learned_before_a_restart_explains_stills_after_it(tmp_path: Path) -> None:
    with serving(create_app(settings(tmp_path))) as served:
        for moment in range(3):
            post(served.ready().client, still(f"d{moment}", "acct", "cam", moment), picture(7, moment))
    with serving(create_app(settings(tmp_path))) as served:
        assert post(served.ready().client, still("new", "acct", "cam", 9), picture(7, 9)).json()["verdict"] == "clear"


def test_fifty_parallel_posts_are_all_judged_and_each_once(served: Served) -> None:
    """Each of 40 deliveries once, ten of them twice at the same time."""
    sent = [(still(f"d{n}", f"acct-{n}", f"cam-{n}", n), picture(n)) for n in range(40)]
    sent += sent[:10]
    with ThreadPoolExecutor(50) as many:
        answers = list(many.map(lambda one: post(served.client, *one), sent))
    assert Counter(answer.status_code for answer in answers) == {200: 50}
    assert {answer.json()["verdict"] for answer in answers} == {"learning"}
    assert [answers[n].json() for n in range(10)] == [answers[40 + n].json() for n in range(10)]
    assert counted(served) == 40


def test_an_id_given_to_two_deliveries_is_refused(served: Served) -> None:
    post(served.client, still("d", "acct", "cam", 1), picture(1))
    answer = post(served.client, still("d", "acct", "another", 1), picture(1))
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:strayframe:problem:delivery-differs")


REJECTED = [
    ({"type": "still.developed"}, "unknown_type"),
    ({"type": "camera.enrolled", "action": "enrol"}, "wrong_type"),
    ({"account": ""}, "missing_attribute"),
    ({"camera": "c" * 1025}, "bad_attribute"),
    ({"time": "2026-01-05T09:00:00"}, "bad_time"),
    ({"time": "soon"}, "bad_time"),
    ({"specversion": "0.3"}, "bad_attribute"),
]


@pytest.mark.parametrize(("change", "reason"), REJECTED, ids=[f"{c}"[:40] for c, _ in REJECTED])
def test_a_still_that_nobody_can_judge_is_refused_with_its_reason(
    served: Served, change: dict[str, str], reason: str
) -> None:
    answer = post(served.client, still("d", "acct", "cam", 1) | change, picture(1))
    assert (answer.status_code, answer.json()["reason"]) == (422, reason)
    assert counted(served) == 0


NO_PICTURE = [
    (b"", headers(still("d", "a", "c", 1))),
    (b"[]", STRUCTURED),
    (b"{", STRUCTURED),
    (b'{"specversion":"1.0"}', STRUCTURED),
]


@pytest.mark.parametrize(("body", "given"), NO_PICTURE)
def test_a_body_without_a_still_is_refused(served: Served, body: bytes, given: dict[str, str]) -> None:
    assert served.client.post("/v1/stills", content=body, headers=given).status_code == 422


def test_a_dataref_is_not_followed(served: Served) -> None:
    sent = {**still("d", "acct", "cam", 1), "dataref": "file:///etc/passwd"}
    answer = served.client.post("/v1/stills", json=sent, headers=STRUCTURED)
    assert (answer.status_code, answer.json()["reason"]) == (422, "no_picture")


FORMS: list[tuple[dict[str, str], dict[str, Any], int, str]] = [
    ({"camera": "c"}, {"still": ("s.jpg", b"x", "image/jpeg")}, 422, "missing_attribute"),
    ({"account": "a", "camera": "c"}, {"picture": ("s.jpg", b"x", "image/jpeg")}, 422, "no_picture"),
    ({"account": "a", "camera": "c", "type": "x"}, {"still": ("s.jpg", b"x", "image/jpeg")}, 422, "bad_attribute"),
    ({"account": "a", "camera": "c", "My-Field": "x"}, {"still": ("s.jpg", b"x", "image/jpeg")}, 422, "bad_attribute"),
    ({"account": "a", "camera": "c"}, {"still": ("s.gif", b"GIF89a", "image/gif")}, 415, ""),
]


@pytest.mark.parametrize(("fields", "files", "status", "reason"), FORMS)
def test_a_form_that_cannot_be_a_still_is_refused(
    served: Served, fields: dict[str, str], files: dict[str, Any], status: int, reason: str
) -> None:
    answer = served.client.post("/v1/stills", data=fields, files=files)
    assert (answer.status_code, answer.json().get("reason", "")) == (status, reason)


def test_a_form_without_a_boundary_is_a_bad_request(served: Served) -> None:
    answer = served.client.post("/v1/stills", content=b"x", headers={"content-type": "multipart/form-data"})
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:strayframe:problem:bad-request")


def test_a_body_is_refused_as_soon_as_it_is_too_large(served: Served) -> None:
    whole = post(served.client, still("d", "a", "c", 1), b"x" * 100_001)
    chunked = served.client.post(
        "/v1/stills", content=(b"x" * 50_000 for _ in range(3)), headers=headers(still("d", "a", "c", 1))
    )
    hidden = base64.b64encode(b"x" * 100_001).decode()
    inside = served.client.post(
        "/v1/stills", json={**still("d", "a", "c", 1), "data_base64": hidden}, headers=STRUCTURED
    )
    for answer in (whole, chunked, inside):
        assert (answer.status_code, answer.json()["limit"]) == (413, 100_000)
    assert counted(served) == 0


def test_a_batch_takes_what_it_can_and_tells_what_it_cannot(served: Served) -> None:
    change = {"specversion": "1.0", "type": "change.deployed", "source": "ci", "id": "c1", "time": at(0)}
    opened = {"specversion": "1.0", "type": "still.opened", "source": "app", "id": "o1", "time": at(2)}
    answer = events(
        served.client,
        right("r1", "enrol", "cam", "owner"),
        {**change, "component": "image-cache", "version": "2"},
        {**opened, "delivery": "d", "account": "owner"},
        right("r2", "own", "cam", "owner"),
        still("d", "owner", "cam", 1),
        {"id": 7},
    )
    assert answer["taken"] == 3
    assert [(one["index"], one["id"], one["reason"]) for one in answer["refused"]] == [
        (3, "r2", "bad_attribute"),
        (4, "d", "no_picture"),
        (5, None, "bad_attribute"),
    ]


def test_an_event_whose_id_is_no_text_spoils_no_batch(served: Served) -> None:
    batch = json.dumps([right("r9", "enrol", "cam-9", "owner-9"), {"id": "half of a character: \ud800"}])
    answer = served.client.post(
        "/v1/events", content=batch, headers={"content-type": "application/cloudevents-batch+json"}
    )
    assert (answer.status_code, answer.json()["taken"]) == (200, 1)
    assert [(one["index"], one["id"]) for one in answer.json()["refused"]] == [(1, None)]


def test_rights_hold_from_the_moment_they_were_answered(served: Served) -> None:
    c = served.client
    single = c.post("/v1/events", json=right("r", "enrol", "cam", "owner"), headers=STRUCTURED)
    assert single.json() == {"taken": 1, "refused": []}
    assert post(c, still("d1", "guest", "cam", 1), picture(1)).json()["verdict"] == "leak"
    binary = c.post(
        "/v1/events", headers=headers(right("g", "grant", "cam", "guest", 2), "application/json"), content=b"{}"
    )
    assert binary.json() == {"taken": 1, "refused": []}
    assert post(c, still("d2", "guest", "cam", 3), picture(1, 1)).json()["verdict"] == "learning"


def test_a_batch_of_many_rights_is_taken_whole_and_twice_is_once(served: Served) -> None:
    batch = [right(f"r{n}", "enrol", f"cam-{n}", f"acct-{n}") for n in range(1000)]
    assert events(served.client, *batch) == {"taken": 1000, "refused": []}
    assert events(served.client, *batch) == {"taken": 1000, "refused": []}
    assert post(served.client, still("d", "acct-1", "cam-999", 1), b"x").json()["verdict"] == "leak"
