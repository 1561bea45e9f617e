"""Incidents over HTTP and from the command line: filters, reach, what persons say, changes and rights."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from serving import Served, at, events, picture, post, right, serving, still
from typer.testing import CliRunner

from api.app import create_app
from api.cli import app
from api.reach import table
from detector.reach import Met, Reach
from models.placeholder import Placeholder, PlaceholderId, State
from models.records import AccountId, CameraId, utc
from streams.settings import Settings
from streams.store.sql import SqlStore

OWNERS = range(2)


def fill(served: Served) -> None:
    """Cameras 0 and 1 are shown to accounts that have no right to them; one looks at what it got."""
    c = served.ready().client
    change = {"specversion": "1.0", "type": "change.deployed", "source": "ci", "component": "image-cache"}
    events(c, *(right(f"r{n}", "enrol", f"cam-{n}", f"acct-{n}") for n in OWNERS))
    events(
        c,
        *({**change, "id": f"c{n}", "version": f"1.{n}", "time": at(minute)} for n, minute in enumerate((0, 8, 8, 40))),
    )
    for number in range(12):
        post(c, still(f"own-{number}", "acct-0", "cam-0", number, cachenode=f"cache-{number % 4}"), picture(0, number))
    for number in range(3):
        post(c, still(f"d{number}", f"viewer-{number % 2}", "cam-0", 10 + number, cachenode="cache-3"), b"x")
    post(c, still("e", "=cmd", "cam-1", 14, cachenode="cache-3"), b"y")
    post(c, still("other", "viewer-9", "cam-1", 60, integration="app"), b"z")
    looked = {"specversion": "1.0", "type": "still.opened", "source": "app", "id": "o1", "time": at(20)}
    events(c, {**looked, "delivery": "d0", "deliverysource": "cloud", "account": "viewer-0"})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('incidents') / 'store.db'}"


@pytest.fixture(scope="module")
def served(store: str) -> Iterator[Served]:
    with serving(create_app(Settings(store=store))) as running:
        fill(running)
        yield running


def got(served: Served, path: str, **query: Any) -> Any:
    answer = served.client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def incident(served: Served) -> str:
    found: str = got(served, "/v1/incidents", integration="homeview")["items"][0]["id"]
    return found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["app", "homeview"]),
        ({"state": "open"}, ["app", "homeview"]),
        ({"state": "resolved"}, []),
        ({"since": at(15)}, ["app"]),
        ({"until": at(15)}, ["homeview"]),
        ({"since": at(14), "until": at(61)}, ["app", "homeview"]),
        ({"integration": "app", "state": "open"}, ["app"]),
    ],
)
def test_filters_of_incidents_narrow_each_other(served: Served, query: dict[str, str], found: list[str]) -> None:
    assert [one["integration"] for one in got(served, "/v1/incidents", **query)["items"]] == found


def test_an_incident_tells_its_shape_sentence_suspects_and_clocks(served: Served) -> None:
    shown = got(served, f"/v1/incidents/{incident(served)}")
    assert shown["state"] == "open"
    assert shown["sentence"].startswith("3 viewers received stills of 2 other homes")
    assert shown["shape"] in ("scattered", "too-few", "one-to-many")
    assert shown["shape_numbers"]["pairs"] == 3
    assert shown["changes"][0]["version"] in ("1.1", "1.2")
    assert shown["changes"][0]["seconds"] == 120
    best = next(one for one in shown["suspects"] if one["path"] == {"cachenode": ["cache-3"]})
    assert (best["leaked"], best["leaks"]) == (4, 4)
    assert best["low"] <= best["lift"] <= best["high"]
    assert {clock["name"]: clock["ends"] for clock in shown["clocks"]} == dict.fromkeys(
        ("gdpr_notification", "cra_early_warning", "cra_notification")
    )


def test_reach_lists_every_viewer_and_owner_exactly(served: Served) -> None:
    reach = got(served, f"/v1/incidents/{incident(served)}/reach")
    assert (reach["stills"], reach["opened"], reach["unnamed"]) == (4, 1, 0)
    assert [(one["account"], one["stills"], one["opened"]) for one in reach["viewers"]] == [
        ("=cmd", 1, 0),
        ("viewer-0", 2, 1),
        ("viewer-1", 1, 0),
    ]
    assert [(one["account"], one["stills"], one["others"]) for one in reach["owners"]] == [
        ("acct-0", 3, 2),
        ("acct-1", 1, 1),
    ]
    assert (reach["first"], reach["last"]) == ("2026-01-05T09:10:00.000Z", "2026-01-05T09:14:00.000Z")


def test_reach_as_csv_is_the_same_rows_and_no_formula(served: Served) -> None:
    answer = served.client.get(f"/v1/incidents/{incident(served)}/reach.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["viewer"], row["owner"], row["owner_camera"], row["stills"]) for row in rows] == [
        ("'=cmd", "acct-1", "cam-1", "1"),
        ("viewer-0", "acct-0", "cam-0", "2"),
        ("viewer-1", "acct-0", "cam-0", "1"),
    ]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@x", "\tx"])
def test_what_a_spreadsheet_takes_for_a_formula_is_marked(name: str) -> None:
    moment = utc(datetime(2026, 1, 1, tzinfo=UTC))
    met = Met(AccountId(name), None, CameraId(name), False, 1, 0, moment, moment)
    reach = Reach((met,), (), (), 1, 0, 1, moment, moment, None, None)
    (row,) = csv.reader(io.StringIO(table(reach).split("\r\n", 1)[1]))
    assert row[:3] == [f"'{name}", "", f"'{name}"]


def test_what_is_said_needs_an_actor_and_something_to_say(served: Served) -> None:
    path = f"/v1/incidents/{incident(served)}/triage"
    for body in ({}, {"actor": "kim"}, {"note": "x"}, {"actor": "kim", "verdict": "maybe"}, {"actor": "kim", "x": 1}):
        answer = served.client.patch(path, json=body)
        assert answer.status_code == 422, body
        assert answer.json()["type"].endswith("bad-parameter")
    assert got(served, path)["version"] == 0
    for nothing in ("/v1/incidents/in-none/triage", "/v1/alerts/al-none/triage"):
        assert served.client.patch(nothing, json={"actor": "kim", "note": "x"}).status_code == 404


def test_triage_is_versioned_and_every_act_keeps_its_actor(tmp_path: Path) -> None:
    with serving(create_app(Settings(store=f"sqlite:///{tmp_path / 's.db'}"))) as served:
        fill(served)
        path = f"/v1/incidents/{incident(served)}/triage"
        first = served.client.get(path)
        assert first.headers["etag"] == '"v0"'

        def say(if_match: str | None = None, **body: Any) -> Any:
            headers = {} if if_match is None else {"If-Match": if_match}
            return served.client.patch(path, json=body, headers=headers)

        said = say('"v0"', actor="kim", acknowledged=True, assignee="lee", verdict="true_positive")
        assert (said.status_code, said.headers["etag"]) == (200, '"v1"')
        late = say('"v0"', actor="max", verdict="false_positive")
        assert (late.status_code, late.json()["type"]) == (412, "urn:strayframe:problem:precondition-failed")
        for no_tag in ("nonsense", f'"v{"9" * 5000}"'):
            assert say(no_tag, actor="max", note="x").status_code == 412
        assert say("*", actor="max", note="looked at the cache").status_code == 200
        assert say(None, actor="lee", snoozed_until="2999-01-01T00:00:00Z").json()["snoozed_by"] == "lee"
        assert say(None, actor="lee", snoozed_until=None).json()["snoozed_until"] is None
        triage = got(served, path)
        assert (triage["version"], triage["acknowledged_by"], triage["assignee"]) == (4, "kim", "lee")
        assert [(deed["actor"], deed["did"], deed["value"]) for deed in triage["history"]] == [
            ("kim", "acknowledged", ""),
            ("kim", "assigned", "lee"),
            ("kim", "ruled", "true_positive"),
            ("max", "noted", "looked at the cache"),
            ("lee", "snoozed", "2999-01-01T00:00:00.000Z"),
            ("lee", "snoozed", ""),
        ]
        shown = got(served, path.removesuffix("/triage"))
        assert {c["name"]: round(c["seconds_left"] / 3600) for c in shown["clocks"]} == {
            "gdpr_notification": 72,
            "cra_early_warning": 24,
            "cra_notification": 72,
        }
        assert say(None, actor="kim", verdict="false_positive").json()["confirmed"] is None
        assert got(served, "/v1/alerts", incident=shown["id"], withdrawn="false")["items"], "a verdict silences nothing"


def test_an_alert_is_ruled_and_noted_but_not_assigned(served: Served) -> None:
    alert = got(served, "/v1/alerts")["items"][0]["id"]
    path = f"/v1/alerts/{alert}/triage"
    said = served.client.patch(path, json={"actor": "kim", "verdict": "false_positive", "note": "their own guest"})
    assert said.json()["verdict"] == "false_positive"
    assert served.client.patch(path, json={"actor": "kim", "assignee": "lee"}).status_code == 422
    assert [deed["did"] for deed in got(served, path)["history"]] == ["ruled", "noted"]


def test_a_false_alert_s_picture_becomes_a_placeholder_candidate_that_a_person_settles(served: Served) -> None:
    """Only where a picture was compared; here rights decided, so nothing is kept of it."""
    alert = got(served, "/v1/alerts", account="viewer-1")["items"][0]["id"]
    path, said = f"/v1/alerts/{alert}/triage", {"actor": "kim", "placeholder": True}
    assert served.client.patch(path, json={**said, "verdict": "true_positive"}).status_code == 422
    refused = served.client.patch(path, json={**said, "verdict": "false_positive"})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:strayframe:problem:no-picture-kept")
    assert got(served, "/v1/placeholders") == {"items": []}
    assert served.client.get("/v1/placeholders/ph-none").json()["type"] == "urn:strayframe:problem:no-such-placeholder"


def test_a_candidate_is_not_named_by_who_saw_an_older_triage(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def name(store: SqlStore, *_: object) -> PlaceholderId:
        store.put_placeholder(Placeholder(PlaceholderId("ph-1"), State.CANDIDATE, b"", label="named by kim"))
        return PlaceholderId("ph-1")

    monkeypatch.setattr("api.triage.name_candidate", name)
    alert = got(served, "/v1/alerts", account="viewer-1")["items"][-1]["id"]
    said = {"actor": "kim", "placeholder": True, "verdict": "false_positive"}
    stale = served.client.patch(f"/v1/alerts/{alert}/triage", json=said, headers={"If-Match": '"v9"'})
    assert stale.status_code == 412
    assert got(served, "/v1/placeholders") == {"items": []}


def test_a_notification_s_draft_tells_facts_and_gaps_and_no_account(served: Served) -> None:
    answer = served.client.get(f"/v1/incidents/{incident(served)}/notification")
    assert answer.headers["content-type"].startswith("text/markdown")
    assert "3 viewers received stills of 2 other homes" in answer.text
    assert "runs from the confirmation" in answer.text
    assert "*(to be completed)*" in answer.text
    assert "viewer-0" not in answer.text
    assert "acct-" not in answer.text


def test_changes_are_paged_by_their_time_and_none_of_a_moment_is_left_out(served: Served) -> None:
    first = served.client.get("/v1/changes", params={"limit": 1})
    assert [one["version"] for one in first.json()["items"]] == ["1.3"]
    second = served.client.get(first.links["next"]["url"])
    assert {one["version"] for one in second.json()["items"]} == {"1.1", "1.2"}
    third = served.client.get(second.links["next"]["url"])
    assert [one["version"] for one in third.json()["items"]] == ["1.0"]
    assert third.json()["next"] is None
    assert [one["version"] for one in got(served, "/v1/changes", since=at(40))["items"]] == ["1.3"]
    assert got(served, "/v1/changes", until=at(0))["items"] == []


def test_rights_are_listed_by_camera_and_account(served: Served) -> None:
    assert [one["camera"] for one in got(served, "/v1/rights")["items"]] == ["cam-1", "cam-0"]
    assert [one["account"] for one in got(served, "/v1/rights", camera="cam-0")["items"]] == ["acct-0"]
    assert got(served, "/v1/rights", account="nobody")["items"] == []
    first = served.client.get("/v1/rights", params={"limit": 1})
    assert served.client.get(first.links["next"]["url"]).json()["items"][0]["camera"] == "cam-0"


# --- the same from the command line --------------------------------------------------------------------------------


def command(store: str, *arguments: str) -> Any:
    result = CliRunner().invoke(app, ["incidents", *arguments, "--store", store, "--log-level", "error"])
    assert result.exit_code == 0, result.output
    return result


def test_the_command_line_says_and_shows_the_same(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 's.db'}"
    with serving(create_app(Settings(store=store))) as served:
        fill(served)
        id_ = incident(served)
        listed, shown = got(served, "/v1/incidents")["items"], got(served, f"/v1/incidents/{id_}/reach")
    assert json.loads(command(store, "list", "--json").stdout) == listed
    assert json.loads(command(store, "reach", id_[:9], "--json").stdout) == shown
    assert "3 viewers" in command(store, "list").stdout
    for act in (["ack"], ["assign", "lee"], ["verdict", "true", "--note", "seen"], ["note", "x"], ["snooze", ""]):
        command(store, act[0], id_, *act[1:], "--by", "kim")
    triage = json.loads(command(store, "show", id_, "--json").stdout)["triage"]
    assert (triage["version"], triage["assignee"], triage["verdict"]) == (5, "lee", "true_positive")
    assert "71 hours left" in command(store, "notification", id_).stdout
    command(store, "reach", id_, "--csv", str(tmp_path / "r.csv"))
    assert len((tmp_path / "r.csv").read_text().splitlines()) == 4


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("show", "in-none"), 1, "no incident"),
        (("show", "in"), 1, "6 characters"),
        (("snooze", "in-none", "tomorrow"), 1, "no incident"),
        (("list", "--state", "odd"), 2, "odd"),
    ],
)
def test_what_cannot_be_done_is_said(store: str, arguments: tuple[str, ...], code: int, says: str) -> None:
    result = CliRunner().invoke(app, ["incidents", *arguments, "--store", store])
    assert result.exit_code == code
    assert says in result.output
