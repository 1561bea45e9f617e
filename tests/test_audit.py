"""Who did what: an entry with every act, a chain that shows what was done to it, on both databases."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving import events, picture, post, right, serving, still
from sqlalchemy import Connection, delete, select, text, update
from typer.testing import CliRunner

from api.app import create_app
from api.cli import app
from detector.access import Permission, Role
from detector.chain import GENESIS, Anchor, BadAnchor, Entry, Said, Wrong, after, faults
from detector.scope import named
from detector.suspension import Do
from detector.triage import Act, Did
from models.placeholder import Placeholder, PlaceholderId, State
from models.records import IncidentId
from streams.acting import acting_as, the_operator
from streams.settings import Settings
from streams.store import audit as trail
from streams.store.access import Access, Elsewhere, Taken
from streams.store.access_schema import audit, audit_head
from streams.store.audit import Audit, AuditFilter
from streams.store.cases import Cases
from streams.store.database import StoreRefused
from streams.store.hooks import Hooks
from streams.store.sql import SqlStore
from streams.store.suspensions import Asked
from streams.store.words import KILL, ON

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
NODE = named("homeview", {"cachenode": "cache-3"})


@pytest.fixture
def store(url: str) -> Iterator[SqlStore]:
    with SqlStore(url) as opened:
        yield opened


# --- the chain -------------------------------------------------------------------------------------------------


def chain(length: int) -> list[Entry]:
    """Entries one behind the other."""
    entries, last = list[Entry](), Anchor()
    for number in range(length):
        said = Said(NOON + timedelta(seconds=number), "kim", "session", "triage", f"in-{number}", "", {"n": number})
        entries.append(after(last, said))
        last = entries[-1].anchor
    return entries


def wrong(entries: list[Entry], head: Anchor, *anchors: Anchor) -> list[tuple[Wrong, int]]:
    return [(fault.wrong, fault.number) for fault in faults(entries, head, anchors)]


@given(st.integers(0, 20))
def test_a_chain_as_it_was_written_has_no_fault(length: int) -> None:
    entries = chain(length)
    head = entries[-1].anchor if entries else Anchor()
    assert wrong(entries, head, *(entry.anchor for entry in entries)) == []
    assert Anchor.of(str(head)) == head


@given(st.integers(2, 12), st.data())
def test_whatever_is_done_to_one_entry_is_named(length: int, data: st.DataObject) -> None:
    entries = chain(length)
    head, at = entries[-1].anchor, data.draw(st.integers(0, length - 2))
    one, number = entries[at], at + 1

    changed = [*entries]
    changed[at] = replace(one, said=replace(one.said, actor="max"))
    assert wrong(changed, head) == [(Wrong.CHANGED, number)]

    rewritten = [*entries]
    rewritten[at] = after(Anchor(at, one.before), replace(one.said, actor="max"))
    assert wrong(rewritten, head) == [(Wrong.MISPLACED, number + 1)], "the next one does not follow it"

    missing = [entry for entry in entries if entry is not one]
    assert wrong(missing, head)[0] == (Wrong.MISSING, number)

    swapped = [*entries]
    other = entries[at + 1]
    swapped[at : at + 2] = [replace(other, number=number), replace(one, number=number + 1)]
    assert wrong(swapped, head)[0] == (Wrong.MISPLACED, number)

    assert wrong(entries[:-1], head) == [(Wrong.CUT_OFF, length)]
    assert wrong(entries[:-1], entries[-2].anchor) == [], "from inside nothing tells it"
    assert wrong(entries[:-1], entries[-2].anchor, head) == [(Wrong.CUT_OFF, length)], "an anchor does"


def test_a_chain_that_was_written_anew_is_found_by_an_anchor_alone() -> None:
    entries = chain(5)
    forged, last = list[Entry](), Anchor()
    for entry in entries:
        said = replace(entry.said, actor="max") if entry.number == 2 else entry.said
        forged.append(after(last, said))
        last = forged[-1].anchor
    assert wrong(forged, last) == []
    assert wrong(forged, last, entries[3].anchor) == [(Wrong.NOT_AS_ANCHORED, 4)]
    assert wrong(forged, last, entries[0].anchor) == [], "nothing was changed up to there"


def test_an_anchor_is_a_number_and_a_digest() -> None:
    for bad in ("", "1", "1:abc", f"-1:{GENESIS}", f"1:{GENESIS.replace('0', 'G')}"):
        with pytest.raises(BadAnchor):
            Anchor.of(bad)


# --- in the store ----------------------------------------------------------------------------------------------


def test_every_act_leaves_its_entry_and_what_fails_leaves_none(store: SqlStore) -> None:
    hooks = Hooks(store.database)
    with acting_as(the_operator()) as operator:
        Cases(store.database).act(IncidentId("in-1"), [Act(Did.ACKNOWLEDGED), Act(Did.NOTED, "a secret")], "kim", NOON)
        store.suspensions.say(KILL, "", ON, actor="kim", why="drill", at=NOON)
        store.suspensions.act(NODE, Asked(Do.PROPOSE, "kim", "leaks", NOON))
        store.put_placeholder(Placeholder(PlaceholderId("ph-1"), State.CANDIDATE, b""))
        store.rule(PlaceholderId("ph-1"), State.REJECTED, "kim", NOON)
        store.suspensions.act(named("homeview", {}), Asked(Do.PROPOSE, "kim", "why", NOON), dry_run=True)
        hook = hooks.add("https://hooks.example/T0P-S3CRET", NOON)
        hooks.change(hook.id, {"dry_run": True}, NOON)
        hooks.rotate(hook.id, NOON)
        hooks.remove(hook.id)
        assert not hooks.remove(hook.id)
    entries = list(Audit(store.database).entries())
    assert [(entry.said.what, entry.said.subject) for entry in entries] == [
        ("triage", "in-1"),
        ("kill-switch", ""),
        ("suspension.propose", NODE.id),
        ("placeholder.added", "ph-1"),
        ("placeholder.ruled", "ph-1"),
        ("hook.added", hook.id),
        ("hook.changed", hook.id),
        ("hook.rotated", hook.id),
        ("hook.removed", hook.id),
    ]
    assert {entry.said.actor for entry in entries} == {"kim", operator.name}
    assert entries[0].said.via == f"store:{operator.name}"
    assert (entries[3].said.actor, entries[3].said.via) == (operator.name, "store")
    assert (entries[4].said.actor, entries[4].said.via) == ("kim", f"store:{operator.name}")
    told = json.dumps([entry.record() for entry in entries])
    assert "a secret" not in told
    assert "S3CRET" not in told
    assert Audit(store.database).verify()[1] == []


def test_an_act_that_is_rolled_back_leaves_no_entry_and_no_gap(store: SqlStore) -> None:
    class Stopped(Exception):
        pass

    def stopped() -> None:
        with store.database.writing() as connection:
            trail.write(connection, "triage", "in-1")
            raise Stopped

    with pytest.raises(Stopped):
        stopped()
    assert Audit(store.database).note("evidence.viewed", "al-1").number == 1
    assert Audit(store.database).verify()[1] == []


def test_writers_at_the_same_time_make_one_chain(url: str) -> None:
    writers, each = 6, 12
    begin = threading.Barrier(writers)

    def write(name: str) -> None:
        with SqlStore(url) as own:
            begin.wait()
            for _ in range(each):
                Audit(own.database).note("evidence.viewed", name)

    SqlStore(url).close()
    threads = [threading.Thread(target=write, args=(f"w{number}",)) for number in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with SqlStore(url) as store:
        head, found = Audit(store.database).verify()
        assert (head.number, found) == (writers * each, [])
        assert len(Audit(store.database).page(AuditFilter(subject="w3"), limit=100).items) == each


def test_the_database_itself_refuses_to_change_or_delete_an_entry(store: SqlStore) -> None:
    Audit(store.database).note("evidence.viewed", "al-1")
    for statement in (update(audit).values(actor="max"), delete(audit)):
        with pytest.raises(StoreRefused), store.database.writing() as connection:
            connection.execute(statement)
    assert Audit(store.database).verify()[1] == []


def unguard(connection: Connection) -> None:
    """What somebody with all rights on the database would do first."""
    if connection.dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            connection.execute(text(f"DROP TRIGGER audit_keep_{verb}"))
    else:
        connection.execute(text("ALTER TABLE audit DISABLE TRIGGER USER"))


def change(connection: Connection) -> None:
    connection.execute(update(audit).where(audit.c.number == 3).values(actor="max"))


def take_out(connection: Connection) -> None:
    connection.execute(delete(audit).where(audit.c.number == 3))


def swap(connection: Connection) -> None:
    for old, new in ((3, 999), (4, 3), (999, 4)):
        connection.execute(update(audit).where(audit.c.number == old).values(number=new))


def cut_off(connection: Connection) -> None:
    connection.execute(delete(audit).where(audit.c.number > 4))


def cut_off_well(connection: Connection) -> None:
    cut_off(connection)
    last = connection.execute(select(audit.c.digest).where(audit.c.number == 4)).scalar_one()
    connection.execute(update(audit_head).values(number=4, digest=last))


def put_in(connection: Connection) -> None:
    row = connection.execute(select(audit).where(audit.c.number == 5)).one()._asdict()
    connection.execute(audit.insert().values(row | {"number": 6}))


@pytest.mark.parametrize(
    ("do", "said"),
    [
        (change, "changed: entry 3 was changed"),
        (take_out, "missing: entry 3 is missing"),
        (swap, "misplaced: entry 3 does not follow entry 2"),
        (cut_off, "cut-off: the chain ends with entry 4; it was written up to entry 5"),
        (cut_off_well, "cut-off: entry 5 was there once"),
        (put_in, "misplaced: entry 6 does not follow entry 5"),
    ],
)
def test_verify_names_what_was_done_to_the_chain(url: str, do: Callable[[Connection], None], said: str) -> None:
    with SqlStore(url) as store:
        for number in range(5):
            Audit(store.database).note("evidence.viewed", f"al-{number}")
        sound = CliRunner().invoke(app, ["audit", "verify", "--store", url])
        assert sound.exit_code == 0
        anchor = sound.stdout.split()[-1]
        with store.database.writing() as connection:
            unguard(connection)
            do(connection)
    result = CliRunner().invoke(app, ["audit", "verify", "--store", url, "--anchor", anchor])
    assert result.exit_code == 1
    assert said in result.stdout
    told = json.loads(CliRunner().invoke(app, ["audit", "verify", "--store", url, "--anchor", anchor, "--json"]).stdout)
    assert not told["sound"]


def test_an_export_can_be_verified_by_anybody(store: SqlStore, url: str, tmp_path: Path) -> None:
    for number in range(3):
        Audit(store.database).note("evidence.viewed", f"al-\u00fc{number}", path="/v1/alerts/{id}")
    out = tmp_path / "audit.jsonl"
    assert CliRunner().invoke(app, ["audit", "export", "--store", url, "--out", str(out)]).exit_code == 0
    records = [json.loads(line) for line in out.read_text().splitlines()]

    def read(record: dict[str, Any]) -> Entry:
        inner = {name: value for name, value in record.items() if name not in ("number", "before", "digest", "at")}
        return Entry(
            record["number"], Said(datetime.fromisoformat(record["at"]), **inner), record["before"], record["digest"]
        )

    entries = [read(record) for record in records]
    assert wrong(entries, entries[-1].anchor) == []
    tail = CliRunner().invoke(app, ["audit", "export", "--store", url, "--since", "2"]).stdout
    assert [json.loads(line)["number"] for line in tail.splitlines()] == [3]
    assert CliRunner().invoke(app, ["audit", "export", "--store", url, "--out", str(tmp_path)]).exit_code == 2
    assert CliRunner().invoke(app, ["audit", "verify", "--store", url, "--anchor", "x"]).exit_code == 2


def test_users_sessions_and_tokens_come_and_go_with_their_entries(store: SqlStore) -> None:
    access, later = Access(store.database), NOON + timedelta(hours=1)
    access.add_user("kim", "$digest", [Role.VIEWER, Role.ADMIN], NOON)
    with pytest.raises(Taken):
        access.add_user("kim", "$other", [Role.VIEWER], NOON)
    assert access.sign_in("kim", "s1", NOON, later) is not None
    assert access.sign_in("nobody", "s2", NOON, later) is None
    found = access.session("s1", NOON)
    assert found is not None
    assert found.roles == {Role.VIEWER, Role.ADMIN}
    assert access.session("s1", later) is None, "it has ended"
    assert access.session("s2", NOON) is None
    access.set_roles("kim", [Role.AUDITOR])
    again = access.session("s1", NOON)
    assert again is not None
    assert again.roles == {Role.AUDITOR}, "an open session has the roles of now"

    access.sign_in_provided("lee", "https://id 1", [Role.ANALYST], "s3", NOON, later)
    for name, subject in (("lee", "https://id 2"), ("kim", "https://id 3")):
        with pytest.raises(Elsewhere):
            access.sign_in_provided(name, subject, [Role.ADMIN], "s4", NOON, later)
    assert access.set_roles("lee", [Role.ADMIN]) is None, "the provider says them"
    assert [(user.name, user.provided) for user in access.users()] == [("kim", False), ("lee", True)]

    token = access.add_token("siem", "t1", [Permission.READ], ["homeview"], NOON, later, "kim")
    assert access.token("t1") == token
    assert (token.holds(NOON), token.holds(later)) == (True, False)
    for _ in range(2):
        ended = access.revoke_token(token.id, NOON)
        assert ended is not None
        assert not ended.holds(NOON)
    assert access.remove_user("kim")
    assert access.session("s1", NOON) is None
    whats = [entry.said.what for entry in Audit(store.database).entries()]
    assert whats == [
        "user.added", "signed-in", "user.roles", "signed-in", "token.created", "token.revoked", "user.removed",
    ]  # fmt: skip
    assert Audit(store.database).verify()[1] == []


# --- over HTTP -------------------------------------------------------------------------------------------------


def test_who_looks_at_evidence_and_at_reach_is_written_down(tmp_path: Path) -> None:
    with serving(create_app(Settings(store=f"sqlite:///{tmp_path}/store.db"))) as served:
        c = served.ready().client
        events(c, *(right(f"r{home}", "enrol", f"cam-{home}", f"acct-{home}") for home in range(2)))
        assert post(c, still("d1", "acct-1", "cam-0", 5), picture(0)).json()["verdict"] == "leak"
        (alert,), (incident,) = (c.get(f"/v1/{kind}").json()["items"] for kind in ("alerts", "incidents"))
        c.get(f"/v1/alerts/{alert['id']}")
        for tail in ("", "/reach", "/reach.csv", "/notification"):
            assert c.get(f"/v1/incidents/{incident['id']}{tail}").status_code == 200
        assert c.get("/v1/incidents/none/reach").status_code == 404
        page = c.get("/v1/audit", params={"limit": 2}).json()
        rest = c.get("/v1/audit", params={"cursor": page["next"]}).json()
        items = page["items"] + rest["items"]
        assert [(one["what"], one["subject"]) for one in reversed(items)] == [
            ("events.taken", ""),
            ("evidence.viewed", alert["id"]),
            ("evidence.viewed", incident["id"]),
            ("reach.viewed", incident["id"]),
            ("reach.exported", incident["id"]),
            ("notification.drafted", incident["id"]),
        ]
        assert page["head"] == f"6:{items[0]['digest']}"
        assert {(one["actor"], one["via"]) for one in items} == {("local", "open")}
        assert len(c.get("/v1/audit", params={"what": "reach.viewed"}).json()["items"]) == 1
