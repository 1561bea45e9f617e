"""Suspensions over HTTP and from the command line: who may do what, and what everybody is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving import Served, events, picture, post, right, serving, still
from typer.testing import CliRunner

from api.app import create_app
from api.cli import app
from streams.settings import Settings

NODE = {"integration": "homeview", "where": {"cachenode": "cache-3"}}


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def served(store: str) -> Iterator[Served]:
    """Everything is warm at once and acts."""
    settings = Settings(store=store, policy_mode="auto", warm_up_cameras=0, warm_up_share=0)
    with serving(create_app(settings)) as found:
        yield found.ready()


def act(c: httpx.Client, path: str, actor: str = "anna", expect: int = 200, **more: Any) -> dict[str, Any]:
    """POST an action; the answer's body."""
    query = more.pop("query", {})
    headers = more.pop("headers", {})
    body = {"actor": actor, "why": "because", **more}
    answer = c.post(f"/v1/suspensions{path}", json=body, params=query, headers=headers)
    assert answer.status_code == expect, answer.text
    told: dict[str, Any] = answer.json()
    return told


def leak(c: httpx.Client) -> None:
    """Home 0's still reaches account 1."""
    events(c, *(right(f"r{home}", "enrol", f"cam-{home}", f"acct-{home}") for home in range(2)))
    assert post(c, still("d1", "acct-1", "cam-0", 5), picture(0)).json()["verdict"] == "leak"


def test_a_leak_is_acted_on_and_every_move_says_by_whom_and_why(served: Served) -> None:
    c = served.client
    leak(c)
    (one,) = c.get("/v1/suspensions", params={"state": "suspending"}).json()["items"]
    assert one["scope"] == {
        "breadth": "account-link",
        "integration": "homeview",
        "where": {"account": ["acct-1"]},
    }
    shown = c.get(f"/v1/suspensions/{one['id']}").json()
    (move,) = shown.pop("transitions")
    assert shown.pop("kill_switch") is False
    assert shown == one
    assert one["quiet_seconds"] is None, "so little comes that no silence tells"
    assert (move["actor"], move["person"], move["reason"], move["rules"]) == ("policy", False, "named-leak", "2")
    assert move["alerts"] == [c.get("/v1/alerts").json()["items"][0]["id"]]
    failed = c.get("/v1/suspensions", params={"state": "failed"}).json()
    assert failed == {"items": [], "next": None, "kill_switch": False}


def test_incident_and_suspensions_name_each_other_whoever_ordered_them(served: Served) -> None:
    c = served.client
    leak(c)
    (incident,) = (each["id"] for each in c.get("/v1/incidents").json()["items"])
    (link,) = c.get("/v1/suspensions").json()["items"]
    assert link["incidents"] == [incident]
    surface = {"action": "suspend", "integration": "homeview", "where": {}, "incident": incident}
    wide = act(c, "", **surface)["suspension"]
    assert wide["incidents"] == [incident]
    assert wide["alerts"] == link["alerts"]
    named = c.get(f"/v1/incidents/{incident}").json()["suspensions"]
    assert [each["id"] for each in named] == [link["id"], wide["id"]]
    assert act(c, "", expect=422, **{**surface, "where": {"cachenode": "cache-9"}})["type"].endswith("bad-scope")
    act(c, f"/{wide['id']}/stopped", "ben")
    draft = c.get(f"/v1/incidents/{incident}/notification").text
    assert "- Switched off: 1 account link, from 2" in draft
    assert "all of homeview. Ordered 2" in draft
    assert "; deliveries had stopped by 2" in draft
    assert "acct-" not in draft


def test_where_too_little_comes_a_person_says_that_it_stopped(served: Served) -> None:
    c = served.client
    id_ = act(c, "", action="suspend", **NODE)["suspension"]["id"]
    leak(c)
    post(c, still("d2", "acct-0", "cam-0", 600), picture(0, 1))
    assert c.get(f"/v1/suspensions/{id_}").json()["state"] == "suspending"
    stopped = act(c, f"/{id_}/stopped", "ben")
    assert stopped["suspension"]["state"] == "suspended"
    assert (stopped["transition"]["actor"], stopped["transition"]["person"]) == ("ben", True)


def test_it_takes_two_to_resume_a_node_and_the_judge_goes_on_from_there(served: Served) -> None:
    c = served.client
    id_ = act(c, "", action="suspend", **NODE)["suspension"]["id"]
    assert act(c, f"/{id_}/resume")["suspension"]["asked"] == "anna"
    problem = act(c, f"/{id_}/approve", expect=409)
    assert (problem["type"], problem["refusal"]) == ("urn:strayframe:problem:not-moved", "same-person")
    probing = act(c, f"/{id_}/approve", "ben")["suspension"]
    assert (probing["state"], probing["approved"], probing["share"]) == ("probing", "ben", 0.0)
    assert act(c, f"/{id_}/ramp")["suspension"]["share"] == 0.01
    assert [m["action"] for m in c.get(f"/v1/suspensions/{id_}").json()["transitions"]] == [
        *("suspend", "resume", "approve", "ramp")
    ]


def test_what_was_seen_before_is_not_acted_on_blindly(served: Served) -> None:
    c = served.client
    id_ = act(c, "", action="propose", **NODE)["suspension"]["id"]
    act(c, f"/{id_}/approve", "ben", version=1)
    problem = act(c, f"/{id_}/reject", expect=409, version=1)
    assert (problem["type"], problem["version"]) == ("urn:strayframe:problem:suspension-changed", 2)


def test_a_dry_run_says_what_would_happen_and_keeps_nothing(served: Served) -> None:
    c = served.client
    would = act(c, "", action="suspend", query={"dry_run": True}, **NODE)
    assert (would["dry_run"], would["suspension"]["state"]) == (True, "suspending")
    assert c.get("/v1/suspensions").json()["items"] == []


def test_the_kill_switch_is_seen_wherever_something_acts(served: Served) -> None:
    c = served.client
    id_ = act(c, "", action="propose", **NODE)["suspension"]["id"]
    body = {"actor": "anna", "why": "drill", "on": True}
    assert c.put("/v1/kill-switch", json=body).json()["actor"] == "anna"
    assert act(c, f"/{id_}/approve", expect=409)["type"] == "urn:strayframe:problem:kill-switch-on"
    assert act(c, f"/{id_}/reject")["kill_switch"] is True
    leak(c)
    (one,) = c.get("/v1/suspensions", params={"state": "proposed"}).json()["items"]
    assert one["scope"]["where"] == {"account": ["acct-1"]}
    ready = c.get("/readyz")
    assert ready.status_code == 200
    (check,) = [check for check in ready.json()["checks"] if check["name"] == "kill-switch"]
    assert "ON since" in check["detail"]
    mode = {"mode": "auto", "actor": "anna", "why": "tests"}
    assert c.put("/v1/integrations/homeview/mode", json=mode).json()["kill_switch"] is True
    for path in ("policy", "integrations", "suspensions", f"suspensions/{id_}"):
        assert c.get(f"/v1/{path}").json()["kill_switch"] is True
    c.put("/v1/kill-switch", json={**body, "on": False})
    assert act(c, f"/{one['id']}/approve")["suspension"]["state"] == "suspending"


def test_a_mode_is_set_by_a_person_and_warm_up_is_shown(served: Served) -> None:
    c = served.client
    put = c.put("/v1/integrations/homeview/mode", json={"mode": "off", "actor": "anna", "why": "tests"})
    assert (put.json()["mode"], put.json()["default"]) == ("off", False)
    events(c, right("r", "enrol", "cam-9", "acct-9"))
    post(c, still("d0", "acct-9", "cam-9", 1), picture(9))  # the commit after which the judge knows
    leak(c)
    assert c.get("/v1/suspensions").json()["items"] == []
    (one,) = c.get("/v1/integrations").json()["items"]
    assert (one["name"], one["mode"], one["warm"], one["accounts"]) == ("homeview", "off", True, 2)


@pytest.mark.parametrize(
    ("path", "body", "status", "name"),
    [
        ("", {"action": "suspend", "integration": "h", "where": {"network": "poor"}}, 422, "bad-scope"),
        ("", {"action": "approve", "integration": "h"}, 422, "bad-parameter"),
        ("", {"action": "suspend", "integration": "h", "why": " "}, 422, "bad-parameter"),
        ("", {"action": "suspend", "integration": "h", "actor": ""}, 422, "bad-parameter"),
        ("/su-none/approve", {}, 404, "no-such-suspension"),
    ],
)
def test_what_cannot_be_asked_is_told_why(
    served: Served, path: str, body: dict[str, Any], status: int, name: str
) -> None:
    problem = act(served.client, path, expect=status, **body)
    assert problem["type"] == f"urn:strayframe:problem:{name}"
    assert problem.get("detail") or status == 404


def test_pages_of_suspensions_follow_each_other(served: Served) -> None:
    c = served.client
    for number in range(3):
        act(c, "", action="propose", integration="homeview", where={"account": f"acct-{number}"})
    first = c.get("/v1/suspensions", params={"limit": 2})
    second = c.get(first.links["next"]["url"]).json()
    accounts = [one["scope"]["where"]["account"][0] for one in [*first.json()["items"], *second["items"]]]
    assert accounts == ["acct-2", "acct-1", "acct-0"]
    assert second["next"] is None


# --- the command line -------------------------------------------------------------------------------------


def run(store: str, *arguments: str, code: int = 0) -> str:
    environment = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb", "STRAYFRAME_STORE": store}
    result = CliRunner().invoke(app, list(arguments), env=environment)
    assert result.exit_code == code, result.output
    return result.output


def by(name: str) -> list[str]:
    return ["--by", name, "--why", "tests"]


def test_the_command_line_does_what_the_api_does(store: str) -> None:
    assert "nothing is suspended" in run(store, "suspensions", "list")
    where = ["--integration", "homeview", "--where", "cachenode=cache-3", "--where", "cachenode=cache-4"]
    assert "would be suspending" in run(store, "suspensions", "suspend", *where, *by("anna"), "--dry-run")
    assert "is proposed" in run(store, "suspensions", "propose", *where, *by("anna"))
    (one,) = json.loads(run(store, "suspensions", "list", "--json"))
    assert one["scope"]["breadth"] == "cache-nodes"
    short = one["id"][:10]
    run(store, "suspensions", "approve", short, *by("anna"))
    assert "somebody else than anna" in run(store, "suspensions", "resume", short, *by("anna"))
    assert "same-person" in run(store, "suspensions", "approve", short, *by("anna"), code=1)
    assert "is probing" in run(store, "suspensions", "approve", short, *by("ben"))
    shown = run(store, "suspensions", "show", short)
    assert shown.count("anna") == 3
    assert "cachenode cache-3, cache-4 of homeview" in shown
    assert len(json.loads(run(store, "suspensions", "show", short, "--json"))["transitions"]) == 4
    assert "no suspension" in run(store, "suspensions", "show", "su-nothing", code=1)
    assert "NAME=VALUE" in run(store, "suspensions", "force", "--integration", "h", "--where", "x", *by("a"), code=2)


def test_the_kill_switch_is_told_by_every_list(store: str) -> None:
    assert "off" in run(store, "kill-switch", "show")
    run(store, "kill-switch", "on", *by("anna"))
    assert "by anna (tests)" in run(store, "kill-switch", "show", code=1)
    assert json.loads(run(store, "kill-switch", "show", "--json", code=1))["on"] is True
    for each in ("suspensions", "integrations"):
        assert "the kill switch is ON" in run(store, each, "list")
    assert "nothing acts" in run(store, "suspensions", "suspend", "--integration", "homeview", *by("anna"), code=1)
    run(store, "kill-switch", "off", *by("anna"))
    run(store, "integrations", "mode", "homeview", "auto", *by("anna"))
    assert "auto" in run(store, "integrations", "list")


def test_what_persons_and_events_say_is_shown_as_it_is(store: str) -> None:
    where = ["--integration", "homeview", "--where", "release=[bold]9"]
    run(store, "suspensions", "propose", *where, "--by", "[/anna]", "--why", "see [/ticket]")
    listed = run(store, "suspensions", "list")
    assert "release [bold]9 of homeview" in listed
    shown = run(store, "suspensions", "show", listed[listed.index("su-") :].split()[0])
    assert "[/anna]" in shown
    assert "see [/ticket]" in shown
