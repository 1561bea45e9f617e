"""How the databases find what is asked for: every question walks an index, on SQLite and on PostgreSQL.

A page must cost what it shows, whatever a million other alerts are. That is a claim about plans, so the plans are
looked at: none reads a table through, none sorts more than a short span of time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Select, select
from stored import DAY, MONTH, QUESTIONS, fill

from streams.outbox.call import State
from streams.store import schema
from streams.store.hooks import calls_of
from streams.store.queries import EVERY_INCIDENT, IncidentFilter, incidents_statement, standing
from streams.store.sql import SqlStore
from streams.store.walk import ANY, AlertFilter, Shape, Span, asked, statement

ALERTS = 20_000
PAGE = {"above": -1, "below": 15_000, "limit": 51}
COLUMNS = {
    "account": {"recipient_walk", "owner_walk"},
    "camera": {"camera_walk", "owner_camera_walk"},
    "incident": {"incident_walk"},
    "integration": {"integration_walk"},
}
"""The indexes by which a filter is walked."""
each = pytest.mark.parametrize("name", list(QUESTIONS))


def walked(wanted: AlertFilter) -> set[str]:
    """The indexes that a question should walk."""
    given = [names for filter_, names in COLUMNS.items() if getattr(wanted, filter_) is not None]
    if given:
        return given[0]
    return set() if wanted == ANY else {"walk"}


def shape_of(wanted: AlertFilter, span: Span, *, sqlite: bool) -> Shape:
    given = tuple(name for name in COLUMNS if getattr(wanted, name))
    times = (wanted.since is not None, wanted.until is not None)
    return Shape(given, wanted.kind, wanted.level, wanted.withdrawn, *times, span, sqlite)


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """An empty store: SQLite plans by its schema alone."""
    path: Path = tmp_path_factory.mktemp("store") / "store.db"
    with SqlStore(f"sqlite:///{path}") as store, store.database.reading() as connection:
        yield connection


def sqlite_plan(connection: Connection, statement: Select[Any]) -> str:
    compiled = statement.compile(connection)
    parameters = compiled.construct_params(dict.fromkeys(compiled.params, 1))
    sql, names = str(compiled), compiled.positiontup or []
    found = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", tuple(parameters[name] for name in names))
    return "\n".join(row.detail for row in found)


@each
def test_sqlite_walks_the_index_of_the_filter_and_sorts_nothing(sqlite: Connection, name: str) -> None:
    wanted = QUESTIONS[name]
    span = Span.LONG if wanted.since else Span.NONE
    plan = sqlite_plan(sqlite, statement(shape_of(wanted, span, sqlite=True)))
    assert set(re.findall(r"ix_alerts_(\w+)", plan)) == walked(wanted), plan
    assert "SCAN" not in plan, plan
    assert "TEMP B-TREE" not in plan, plan


@each
def test_sqlite_looks_up_a_short_span_by_its_index(sqlite: Connection, name: str) -> None:
    wanted = replace(QUESTIONS[name], **MONTH)
    plan = sqlite_plan(sqlite, statement(shape_of(wanted, Span.SHORT, sqlite=True)))
    assert set(re.findall(r"ix_alerts_(\w+)", plan)) == {"delivered_at_seq"}, plan
    assert "SCAN" not in plan, plan


OTHERS: dict[str, tuple[Select[Any], str]] = {
    "one alert": (select(schema.alerts).where(schema.alerts.c.id == "al-1"), "ix_alerts_id"),
    "an incident's alerts": (standing().where(schema.alerts.c.incident == "in-1"), "ix_alerts_incident_walk"),
    "incidents": (incidents_statement(EVERY_INCIDENT, 50, 51), "PRIMARY KEY"),
    "incidents of an integration": (incidents_statement(IncidentFilter("lab"), 50, 51), "ix_incidents_integration_seq"),
    "one incident": (select(schema.incidents).where(schema.incidents.c.id == "in-1"), "ix_incidents_id"),
}


@pytest.mark.parametrize("name", list(OTHERS))
def test_sqlite_finds_incidents_and_single_alerts_by_an_index(sqlite: Connection, name: str) -> None:
    asked_for, index = OTHERS[name]
    plan = sqlite_plan(sqlite, asked_for)
    assert index in plan
    assert "SCAN" not in plan, plan
    assert "TEMP B-TREE" not in plan, plan


@pytest.mark.parametrize(
    ("state", "index"), [(None, "ix_calls_target_seq"), (State.FAILED, "ix_calls_target_state_seq")]
)
def test_sqlite_walks_the_log_of_calls_by_its_state(sqlite: Connection, state: State | None, index: str) -> None:
    plan = sqlite_plan(sqlite, calls_of("hk-1", state, 50, 51))
    assert f"{index} " in plan, plan
    assert "SCAN" not in plan, plan
    assert "TEMP B-TREE" not in plan, plan


def nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def postgres_plan(connection: Connection, statement: Select[Any], given: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The nodes of the plan that was followed, with what each read."""
    compiled = statement.compile(connection)
    explained = f"EXPLAIN (ANALYZE, FORMAT JSON) {compiled}"
    processors = compiled._bind_processors  # what the driver's own execution would apply to each parameter
    parameters = compiled.construct_params(dict(given))
    bound = {name: processors[name](value) if name in processors else value for name, value in parameters.items()}
    found = connection.exec_driver_sql(explained, bound).scalar_one()
    return list(nodes((found if isinstance(found, list) else json.loads(found))[0]["Plan"]))


def read(node: Mapping[str, Any]) -> int:
    """Rows that a node of a plan looked at."""
    return int(node["Actual Rows"]) + int(node.get("Rows Removed by Filter", 0))


def test_postgres_walks_the_index_of_the_filter_and_reads_what_it_shows(postgres_url: str) -> None:
    with SqlStore(postgres_url) as store:
        fill(store, ALERTS)
        with store.database.reading() as connection:
            for name, wanted in QUESTIONS.items():
                span = Span.LONG if wanted.since else Span.NONE
                shape = shape_of(wanted, span, sqlite=False)
                found = postgres_plan(connection, statement(shape), PAGE | asked(wanted))
                used = {node["Index Name"].removeprefix("ix_alerts_") for node in found if "Index Name" in node}
                allowed = {"walk", "pk_alerts" if wanted == ANY else "delivered_at_seq" if wanted.since else "walk"}
                assert used <= walked(wanted) | allowed, (name, found)
                assert "Seq Scan" not in {node["Node Type"] for node in found}, (name, found)
                assert max(map(read, found)) < ALERTS / 100, (name, found)
            for name, (asked_for, _) in OTHERS.items():
                found = postgres_plan(connection, asked_for, {})
                assert "Seq Scan" not in {node["Node Type"] for node in found}, (name, found)


def test_postgres_looks_up_a_short_span_by_its_index(postgres_url: str) -> None:
    with SqlStore(postgres_url) as store:
        fill(store, ALERTS)
        with store.database.reading() as connection:
            for name, wanted in QUESTIONS.items():
                shape = shape_of(replace(wanted, **DAY), Span.SHORT, sqlite=False)
                found = postgres_plan(connection, statement(shape), PAGE | asked(replace(wanted, **DAY)))
                assert "Seq Scan" not in {node["Node Type"] for node in found}, (name, found)
                assert max(map(read, found)) < ALERTS / 100, (name, found)
