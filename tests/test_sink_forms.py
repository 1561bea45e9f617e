"""Notices in the forms of other tools: OCSF held against its published schema, CEF and syslog against their grammars,
pager and Alertmanager against what they ask for. Nothing is sent here."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
from notices import every, incidents, suspensions
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema
from timeline import at

from detector.notice import Notice, NoticeType
from detector.suspension import State
from streams.sinks import alertmanager, ocsf, pagerduty
from streams.sinks.alertmanager import AlertmanagerSink
from streams.sinks.cef import LONGEST, cef, counted, syslog
from streams.sinks.configuration import TYPES, Alertmanager, Known, OcsfFile
from streams.sinks.episode import Phase, episode
from streams.sinks.file import FileSink
from streams.sinks.severity import Severity, ends, severity
from streams.sinks.wording import headline

EVERY = every()
NAMES = [f"{n.type}-{n.data.get('state', '')}-{number}" for number, n in enumerate(EVERY)]


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """OCSF 1.8.0 as its server publishes it, compiled."""
    found: dict[str, Any] = get_ocsf_schema("1.8.0")
    return found


def test_the_notices_here_are_of_every_type_and_every_state() -> None:
    assert {n.type for n in EVERY} == set(NoticeType)
    assert {n.data["state"] for n in suspensions()} == {state.value for state in State}


# --- OCSF --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("told", EVERY, ids=NAMES)
def test_an_event_is_valid_by_the_published_schema(told: Notice, schema: dict[str, Any]) -> None:
    assert faults(schema, json.loads(ocsf.line(told, "soc"))) == []


def faults(schema: dict[str, Any], event: dict[str, Any]) -> list[str]:
    """What the schema of the event's class, with its profiles, has against it; unknown attributes are refused, too."""
    embedded, profiles = OcsfJsonSchemaEmbedded(schema), event["metadata"].get("profiles", [])
    of_class = embedded.get_class_schema(embedded.lookup_class_name_from_uid(event["class_uid"]), profiles)
    return [error.message for error in jsonschema.Draft202012Validator(of_class).iter_errors(event)]


def test_the_schema_refuses_what_is_missing_or_no_number_of_its_lists(schema: dict[str, Any]) -> None:
    event = json.loads(ocsf.line(EVERY[0]))
    for name in ("finding_info", "severity_id", "time", "type_uid"):
        assert faults(schema, {key: value for key, value in event.items() if key != name})
    assert faults(schema, event | {"severity_id": 42})


@pytest.mark.parametrize("told", EVERY, ids=NAMES)
def test_a_number_and_its_caption_say_the_same(told: Notice, schema: dict[str, Any]) -> None:
    event = ocsf.event(told)
    name = OcsfJsonSchemaEmbedded(schema).lookup_class_name_from_uid(event["class_uid"])
    attributes = schema["classes"][name]["attributes"]
    siblings = {attributes[key]["sibling"]: key for key in event if attributes[key].get("sibling")}
    assert {"type_name", "activity_name", "severity", "status", "class_name", "category_name"} <= siblings.keys()
    for caption, key in siblings.items():
        if caption in event and event[key] != 99:  # 99: Other, and the caption is ours
            assert attributes[key]["enum"][str(event[key])]["caption"] == event[caption]
    assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]


def test_an_event_carries_the_notices_id_time_and_data() -> None:
    for told in EVERY:
        event = ocsf.event(told)
        assert event["metadata"]["uid"] == told.id
        assert event["time"] == told.at.timestamp() * 1000
        assert event["unmapped"] == told.data


def test_alerts_incidents_and_suspensions_have_their_classes() -> None:
    by_family = {told.type.partition(".")[0]: ocsf.event(told)["class_uid"] for told in EVERY}
    assert by_family == {"alert": 2004, "incident": 2005, "suspension": 7001, "test": 2004}


def test_a_detection_names_recipient_owner_and_camera() -> None:
    event = ocsf.event(EVERY[0])
    assert event["evidences"][0]["user"]["uid"] == "viewer-1"
    assert event["resources"] == [{"uid": "cam-of-owner-1", "type": "camera", "owner": {"uid": "owner-1"}}]
    assert {o["value"] for o in event["observables"]} == {"viewer-1", "cam-of-owner-1", "owner-1"}
    assert (event["confidence_id"], event["severity_id"]) == (3, Severity.HIGH)


def test_what_was_withdrawn_is_closed_as_a_false_positive() -> None:
    (event,) = [ocsf.event(told) for told in EVERY if told.type is NoticeType.ALERT_WITHDRAWN]
    assert (event["activity_name"], event["status"], event["verdict"]) == ("Close", "Resolved", "False Positive")
    assert event["finding_info"]["uid"] == ocsf.event(EVERY[0])["finding_info"]["uid"]


def test_an_event_of_which_members_were_omitted_is_valid_too(schema: dict[str, Any]) -> None:
    for told in (next(n for n in EVERY if n.type is kind) for kind in NoticeType):
        event = ocsf.event(replace(told, data={"omitted": sorted(told.data)}))
        assert faults(schema, event) == []
        assert cef(replace(told, data={}))


def test_an_incident_of_which_nothing_stands_is_a_false_positive(schema: dict[str, Any]) -> None:
    resolved = next(n for n in EVERY if n.type is NoticeType.INCIDENT_RESOLVED)
    assert "verdict" not in ocsf.event(resolved)
    event = ocsf.event(replace(resolved, data={**resolved.data, "stands": False, "leaks": 0}))
    assert event["verdict"] == "False Positive"
    assert faults(schema, event) == []


# --- severity, episodes ------------------------------------------------------------------------------------


def sink(**given: Any) -> FileSink:
    return FileSink(OcsfFile(name="soc", type="ocsf-file", path="/nowhere", **given))


def test_a_sink_is_told_of_its_integrations_types_and_severities() -> None:
    assert all(sink().wants(n) == (n.type is not NoticeType.TEST) for n in EVERY)
    assert not any(sink(integrations=["other"]).wants(n) for n in EVERY)
    only = sink(integrations=["homeview"], events=["suspension.requested"])
    assert {n.type for n in EVERY if only.wants(n)} == {NoticeType.SUSPENSION_REQUESTED}
    high = [n for n in EVERY if sink(severity="high").wants(n)]
    assert all(severity(n) >= Severity.HIGH or ends(n) for n in high)
    assert 0 < len(high) < len(EVERY)


def test_what_ends_something_is_told_to_every_severity() -> None:
    told = {n.type for n in EVERY if sink(severity="critical").wants(n)}
    assert {NoticeType.ALERT_WITHDRAWN, NoticeType.INCIDENT_RESOLVED, NoticeType.SUSPENSION_LIFTED} <= told


def test_no_headline_names_an_account_or_a_camera() -> None:
    for told in EVERY:
        assert not re.search(r"owner-|viewer-|cam\b|cam-", headline(told)), headline(told)


def test_an_episode_opens_and_ends_under_one_key() -> None:
    found = [episode(n) for n in incidents()]
    assert len({e.key for e in found if e}) == 1
    assert next(e.phase for e in found if e) is Phase.OPEN
    assert [e.phase for e in found if e][-1] is Phase.OVER
    states = {n.data["state"]: e.phase for n in suspensions() if (e := episode(n))}
    assert {states["suspended"], states["probing"], states["ramping"]} == {Phase.HANDLED}
    assert {states["proposed"], states["suspending"], states["failed"], states["forced"]} == {Phase.OPEN}
    assert states["armed"] is Phase.OVER


def test_an_alert_of_an_incident_is_told_by_the_incident() -> None:
    for told in EVERY:
        assert (episode(told) is None) == bool(told.type.startswith("alert") and told.data["incident"])


# --- CEF and syslog ----------------------------------------------------------------------------------------


def parsed(line: str) -> tuple[list[str], dict[str, str]]:
    """A line of CEF as its grammar reads it: header fields, and the extension."""
    *header, extension = re.split(r"(?<!\\)\|", line, maxsplit=7)
    pairs = re.findall(r"(\w+)=((?:\\.|[^\\=])*)(?= \w+=|$)", extension)
    assert " ".join(f"{name}={value}" for name, value in pairs) == extension
    return header, {name: re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], value) for name, value in pairs}


@pytest.mark.parametrize("told", EVERY, ids=NAMES)
def test_a_line_of_cef_reads_back(told: Notice) -> None:
    header, extension = parsed(cef(told))
    assert header[:2] == ["CEF:0", "Strayframe"]
    assert header[4] == told.type
    assert 0 <= int(header[6]) <= 10
    assert extension["externalId"] == told.id
    assert extension["rt"] == str(round(told.at.timestamp() * 1000))
    labels = {name.removesuffix("Label") for name in extension if name.endswith("Label")}
    assert labels == {name for name in extension if re.fullmatch(r"cs\d", name)}


def test_pipes_equals_signs_backslashes_and_lines_survive_cef() -> None:
    why = 'a|b=c\\d\ne\r\nf "g"'
    _, extension = parsed(cef(replace(EVERY[0], data={"why": why, "recipient": "a=b c=d"})))
    assert extension["msg"] == 'a|b=c\\d\ne\nf "g"'
    assert extension["duid"] == "a=b c=d"
    long = cef(replace(EVERY[0], data={"why": "=" * 5000}))
    assert len(parsed(long)[1]["msg"]) == LONGEST


def test_a_syslog_message_has_the_form_of_rfc_5424() -> None:
    message = syslog(EVERY[0], "a host", 16)
    head = re.match(rb"<(\d+)>1 (\S+) (\S+) strayframe - alert\.raised - \xef\xbb\xbfCEF:0\|", message)
    assert head is not None
    assert head[1] == b"131"  # local0 (16) * 8 + error (3)
    assert head[2] == b"2026-01-05T06:00:00.000Z"
    assert head[3] == b"ahost"
    assert counted(message) == str(len(message)).encode() + b" " + message


# --- PagerDuty and Alertmanager ------------------------------------------------------------------------------


def test_pagerduty_triggers_acknowledges_and_resolves_under_one_key() -> None:
    events = [pagerduty.event(n) for n in suspensions()]
    assert {e["event_action"] for e in events} == {"trigger", "acknowledge", "resolve"}
    assert {e["dedup_key"] for e in events} == {n.data["suspension"] for n in suspensions()}
    for event in events:
        if event["event_action"] == "trigger":
            payload = event["payload"]
            assert {"summary", "source", "severity"} <= payload.keys()
            assert payload["severity"] in ("critical", "error", "warning", "info")
            assert len(payload["summary"]) <= pagerduty.SUMMARY
        else:
            assert "payload" not in event


def test_an_alertmanagers_alert_keeps_its_labels_and_ends_when_the_incident_does() -> None:
    given = Alertmanager(name="am", type="alertmanager", url="http://am", labels={"team": "cameras"})
    says = AlertmanagerSink(given)
    alerts = [says.alert(n, at(20)) for n in incidents()]
    assert len({tuple(a["labels"].items()) for a in alerts}) == 1
    assert alerts[0]["labels"]["alertname"] == "StrayframeIncident"
    assert alerts[0]["labels"]["team"] == "cameras"
    assert alerts[0]["endsAt"] == "2026-01-05T06:35:00.000Z"
    assert alerts[-1]["endsAt"] < "2026-01-06T07"
    assert all(a["startsAt"] <= a["endsAt"] for a in alerts)
    assert timedelta(minutes=given.expires_minutes) > 2 * alertmanager.REPEAT


def test_every_type_of_sink_is_named_once() -> None:
    assert {get_args(kind.model_fields["type"].annotation)[0] for kind in get_args(Known)} == set(TYPES)


def test_every_option_of_every_sink_is_in_the_manual() -> None:
    page = (Path(__file__).parents[1] / "docs/sinks.md").read_text()
    for kind in get_args(Known):
        (name,) = get_args(kind.model_fields["type"].annotation)
        (row,) = re.findall(rf"^\| `{name}` \|.*$", page, re.MULTILINE)
        for option in kind.model_fields.keys() - {"name", "type"}:
            shared = option in ("integrations", "events", "severity", "assignee_group")
            assert f"`{option}`" in (page if shared else row), (name, option)
