"""Alerts, incidents and coverage over HTTP: filters, pages, what an alert tells."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import Served, at, events, picture, post, right, serving, still

from api import cursor
from api.app import create_app
from api.problems import ProblemError
from streams.settings import Settings

HOMES = range(3)


@pytest.fixture(scope="module")
def leaked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A cloud of three homes; home 1's still reaches account 0, and account 2 is shown camera 0 without a right."""
    store = tmp_path_factory.mktemp("alerts") / "store.db"
    with serving(create_app(Settings(store=f"sqlite:///{store}"))) as served:
        c = served.ready().client
        events(c, *(right(f"r{home}", "enrol", f"cam-{home}", f"acct-{home}") for home in HOMES))
        for moment in range(4):
            for home in HOMES:
                key = f"own-{home}-{moment}"
                assert post(c, still(key, f"acct-{home}", f"cam-{home}", moment), picture(home, moment)).is_success
        post(c, still("fetched", "acct-0", "cam-0", 10, cachenode="cache-3"), picture(1, 99))
        post(c, still("swapped", "acct-2", "cam-0", 20, integration="other"), picture(0, 98))
        yield served


def listed(served: Served, **query: Any) -> list[str]:
    answer = served.client.get("/v1/alerts", params=query)
    assert answer.status_code == 200, answer.text
    return [alert["delivery"]["id"] for alert in answer.json()["items"]]


FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["swapped", "fetched"]),
    ({"kind": "leak"}, ["swapped", "fetched"]),
    ({"kind": "shift"}, []),
    ({"level": "acting"}, ["swapped", "fetched"]),
    ({"account": "acct-0"}, ["swapped", "fetched"]),
    ({"account": "acct-1"}, ["fetched"]),
    ({"account": "acct-2"}, ["swapped"]),
    ({"account": "nobody"}, []),
    ({"camera": "cam-1"}, ["fetched"]),
    ({"camera": "cam-0"}, ["swapped", "fetched"]),
    ({"integration": "homeview"}, ["fetched"]),
    ({"integration": "other", "account": "acct-1"}, []),
    ({"since": at(10)}, ["swapped", "fetched"]),
    ({"since": at(10.1)}, ["swapped"]),
    ({"until": at(20)}, ["fetched"]),
    ({"since": "2026-01-05T10:10:00+01:00", "until": at(11)}, ["fetched"]),
    ({"withdrawn": "true"}, []),
    ({"withdrawn": "false"}, ["swapped", "fetched"]),
    ({"incident": "none-such"}, []),
    ({"limit": 1}, ["swapped"]),
]


@pytest.mark.parametrize(("query", "found"), FILTERS, ids=[str(query) for query, _ in FILTERS])
def test_filters_narrow_each_other(leaked: Served, query: dict[str, Any], found: list[str]) -> None:
    assert listed(leaked, **query) == found


def test_a_leak_that_a_picture_told_says_whose_scene_it_matched_and_by_how_much(leaked: Served) -> None:
    (alert,) = leaked.client.get("/v1/alerts", params={"account": "acct-1"}).json()["items"]
    assert (alert["recipient"], alert["camera"]) == ("acct-0", "cam-0")
    assert (alert["owner"], alert["owner_camera"], alert["presumed"]) == ("acct-1", "cam-1", False)
    assert alert["scene"]
    assert 0 <= alert["numbers"]["distance"] < 0.2
    assert alert["numbers"]["margin"] > 0.1
    assert alert["why"].count(".") >= 1
    assert "cam-1" in alert["why"]
    assert alert["delivered_at"] == "2026-01-05T09:10:00.000Z"
    assert alert["attributes"]["cachenode"] == "cache-3"
    assert alert["withdrawn"] is None


def test_a_leak_that_rights_told_names_the_camera_and_no_scene(leaked: Served) -> None:
    (alert,) = leaked.client.get("/v1/alerts", params={"account": "acct-2"}).json()["items"]
    assert (alert["owner"], alert["owner_camera"], alert["scene"]) == ("acct-0", "cam-0", None)
    assert alert["rule"]
    assert alert["why"].endswith(".")


def test_one_alert_is_shown_as_it_is_listed(leaked: Served) -> None:
    (alert,) = leaked.client.get("/v1/alerts", params={"account": "acct-2"}).json()["items"]
    assert leaked.client.get(f"/v1/alerts/{alert['id']}").json() == alert


def test_an_incident_says_who_saw_whom_and_its_alerts_are_found_by_it(leaked: Served) -> None:
    (incident,) = leaked.client.get("/v1/incidents", params={"integration": "homeview"}).json()["items"]
    shown = leaked.client.get(f"/v1/incidents/{incident['id']}").json()
    assert shown.pop("pairs") == [{"owner": "acct-1", "viewer": "acct-0", "stills": 1}]
    assert incident.items() <= shown.items()
    assert (incident["leaks"], incident["viewers"], incident["owners"], incident["stands"]) == (1, 1, 1, True)
    assert listed(leaked, incident=incident["id"]) == ["fetched"]


def test_incidents_are_paged_like_alerts(leaked: Served) -> None:
    first = leaked.client.get("/v1/incidents", params={"limit": 1})
    assert first.json()["items"][0]["integration"] == "other"
    second = leaked.client.get(first.links["next"]["url"])
    assert second.json()["items"][0]["integration"] == "homeview"
    assert second.json()["next"] is None
    assert "link" not in second.headers


def test_coverage_counts_every_still_once(leaked: Served) -> None:
    items = leaked.client.get("/v1/coverage").json()["items"]
    assert {item["hour"] for item in items} == {"2026-01-05T09:00:00.000Z"}
    assert sum(item["deliveries"] for item in items) == 3 * 4 + 2
    assert [item["verdict"] for item in items if item["integration"] == "other"] == ["leak"]
    empty = {"items": [], "judged": 0, "unjudged": 0, "late": 0, "rejected": 0}
    assert leaked.client.get("/v1/coverage", params={"until": at(0)}).json() == empty


def test_pages_stay_what_they_were_while_new_alerts_arrive(tmp_path: Path) -> None:
    page_while_alerts_arrive(f"sqlite:///{tmp_path / 's.db'}")


def test_pages_stay_what_they_were_on_postgresql_too(postgres_url: str) -> None:
    page_while_alerts_arrive(postgres_url)


def page_while_alerts_arrive(store: str) -> None:
    with serving(create_app(Settings(store=store))) as served:
        c = served.ready().client
        events(c, right("r", "enrol", "cam", "owner"))

        def leak(number: int) -> None:
            assert post(c, still(f"d{number}", f"viewer-{number}", "cam", number), b"x").json()["verdict"] == "leak"

        for number in range(25):
            leak(number)
        seen: list[str] = []
        url, arriving = "/v1/alerts?kind=leak&limit=4", 100
        while url:
            answer = c.get(url)
            seen += [alert["delivery"]["id"] for alert in answer.json()["items"]]
            leak(arriving)
            arriving += 1
            url = answer.links.get("next", {}).get("url", "")
            assert (answer.json()["next"] or "") in url
            assert not url or "kind=leak" in url
        assert seen == [f"d{number}" for number in reversed(range(25))]


def test_a_late_grant_withdraws_the_alert_visibly(tmp_path: Path) -> None:
    with serving(create_app(Settings(store=f"sqlite:///{tmp_path / 's.db'}"))) as served:
        c = served.ready().client
        events(c, right("r", "enrol", "cam", "owner"))
        post(c, still("d", "guest", "cam", 5), picture(1))
        assert len(listed(served, withdrawn="false")) == 1
        events(c, right("g", "grant", "cam", "guest", minute=1))
        assert listed(served, withdrawn="false") == []
        (alert,) = c.get("/v1/alerts").json()["items"]
        assert alert["withdrawn"]["reason"]
        assert c.get(f"/v1/incidents/{alert['incident']}").json()["stands"] is False


@pytest.mark.parametrize("sequence", [0, 1, 42, 10**18 - 1])
def test_a_cursor_comes_back_as_it_went(sequence: int) -> None:
    given = cursor.encode("alerts", sequence)
    assert cursor.decode("alerts", given) == sequence
    assert given.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize(
    "given",
    [
        "",
        "x",
        "42",
        "!!!!",
        cursor.encode("incidents", 3),
        cursor.encode("alerts", 3) + "=",
        "é" * 9,
        "MTphbGVydHM6LTE",
    ],
)
def test_what_no_page_gave_out_is_no_cursor(given: str) -> None:
    with pytest.raises(ProblemError, match="bad-cursor"):
        cursor.decode("alerts", given)
