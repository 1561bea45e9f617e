"""How the databases find what is asked for: every question walks an index, on SQLite and on PostgreSQL.

A page must cost what it shows, whatever a million other alerts are. That is a claim about plans, so the plans are
looked at: none reads a table through, none sorts more than a short span of time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, Select, select
from stored import MONTH, QUESTIONS, fill

from streams.outbox.call import State
from streams.store import schema
from streams.store.hooks import calls_of
from streams.store.queries import EVERY_INCIDENT, IncidentFilter, incidents_statement, standing
from streams.store.sql import SqlStore
from streams.store.walk import ANY, AlertFilter, Shape, asked, statement

ALERTS = 20_000
PAGE = {"below": 15_000, "limit": 51}
COLUMNS = {
    "account": ("recipient_", "owner_"),
    "camera": ("camera_", "owner_camera_"),
    "incident": ("incident_",),
    "integration": ("integration_",),
}
"""How the names of the indexes begin by which a filter is walked."""


def walked(wanted: AlertFilter) -> set[str]:
    """The indexes that a question should walk."""
    order = "span" if wanted.timed else "walk"
    given = [names for filter_, names in COLUMNS.items() if getattr(wanted, filter_) is not None]
    if given:
        return {f"{name}{order}" for name in given[0]}
    return set() if wanted == ANY else {order}


def shape_of(wanted: AlertFilter, *, sqlite: bool) -> Shape:
    given = tuple(name for name in COLUMNS if getattr(wanted, name))
    return Shape(given, wanted.kind, wanted.level, wanted.withdrawn, wanted.timed, sqlite)


def page_of(wanted: AlertFilter) -> dict[str, Any]:
    """The parameters of a page somewhere in the middle."""
    if not wanted.timed:
        return PAGE | asked(wanted)
    assert wanted.since is not None
    assert wanted.until is not None
    middle = wanted.since + (wanted.until - wanted.since) / 2
    return PAGE | asked(wanted) | {"since": wanted.since, "before": middle}


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """An empty store: SQLite plans by its schema alone."""
    path: Path = tmp_path_factory.mktemp("store") / "store.db"
    with SqlStore(f"sqlite:///{path}") as store, store.database.reading() as connection:
        yield connection


def sqlite_plan(connection: Connection, statement: Select[Any]) -> str:
    compiled = statement.compile(connection)
    executed = compiled.construct_expanded_state(dict.fromkeys(compiled.params, 1))
    found = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {executed.statement}", executed.positional_parameters)
    return "\n".join(row.detail for row in found)


ASKED = QUESTIONS | {f"{name}, within a month": replace(wanted, **MONTH) for name, wanted in QUESTIONS.items()}
each = pytest.mark.parametrize("wanted", [pytest.param(wanted, id=name) for name, wanted in ASKED.items()])


@each
def test_sqlite_walks_the_index_of_the_filter_and_sorts_nothing(sqlite: Connection, wanted: AlertFilter) -> None:
    plan = sqlite_plan(sqlite, statement(shape_of(wanted, sqlite=True)))
    assert set(re.findall(r"ix_alerts_(\w+)", plan)) == walked(wanted), plan
    assert "SCAN" not in plan, plan
    assert "TEMP B-TREE" not in plan, plan


OTHERS: dict[str, tuple[Select[Any], str]] = {
    "one alert": (select(schema.alerts).where(schema.alerts.c.id == "al-1"), "ix_alerts_id"),
    "an incident's alerts": (standing().where(schema.alerts.c.incident == "in-1"), "ix_alerts_incident_"),
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
    """The nodes of the plan that was followed for these parameters, with what each read."""
    sql, bound = rendered(connection, statement, given)
    found = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", bound).scalar_one()
    return list(nodes((found if isinstance(found, list) else json.loads(found))[0]["Plan"]))


def kept_plan(connection: Connection, statement: Select[Any], given: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The same of the plan that the server keeps for a statement that comes often, whatever its parameters are."""
    sql, bound = rendered(connection, statement, given)
    numbers = {name: f"${number}" for number, name in enumerate(bound, 1)}
    prepared = re.sub(r"%\((\w+)\)s", lambda name: numbers[name[1]], sql)
    told = ", ".join(f"%({name})s" for name in numbers)
    driver: Any = connection.connection.dbapi_connection
    with psycopg.ClientCursor[Any](driver) as cursor:
        cursor.execute("SET plan_cache_mode = force_generic_plan")
        cursor.execute(f"PREPARE page AS {prepared}".encode())
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE page({told})".encode(), bound)
        ((found,),) = cursor.fetchall()
        cursor.execute("DEALLOCATE page")
        cursor.execute("RESET plan_cache_mode")
    return list(nodes(found[0]["Plan"]))


def rendered(connection: Connection, statement: Select[Any], given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """A statement and its parameters as the driver is given them."""
    executed = statement.compile(connection).construct_expanded_state(dict(given))
    processors: Mapping[str, Any] = executed.processors  # what the driver's own execution would apply to each parameter
    told = {name: value for name, value in executed.parameters.items() if f"%({name})s" in executed.statement}
    bound = {name: processors[name](value) if name in processors else value for name, value in told.items()}
    return executed.statement, bound


def read(node: Mapping[str, Any]) -> int:
    """Rows that a node of a plan looked at."""
    return int(node["Actual Rows"]) + int(node.get("Rows Removed by Filter", 0))


@pytest.mark.parametrize("plan", [postgres_plan, kept_plan])
def test_postgres_walks_the_index_of_the_filter_and_reads_what_it_shows(
    postgres_url: str, plan: Callable[..., list[Mapping[str, Any]]]
) -> None:
    with SqlStore(postgres_url) as store:
        fill(store, ALERTS)
        with store.database.reading() as connection:
            for name, wanted in ASKED.items():
                found = plan(connection, statement(shape_of(wanted, sqlite=False)), page_of(wanted))
                used = {node["Index Name"].removeprefix("ix_alerts_") for node in found if "Index Name" in node}
                allowed = {"pk_alerts"} if wanted == ANY else {"span" if wanted.timed else "walk"}
                if wanted.timed:  # a rare integration's few alerts may be sorted instead
                    allowed |= walked(replace(wanted, since=None, until=None))
                assert used <= walked(wanted) | allowed, (name, found)
                assert "Seq Scan" not in {node["Node Type"] for node in found}, (name, found)
                assert max(map(read, found)) < ALERTS / 100, (name, found)


def test_postgres_finds_incidents_and_single_alerts_by_an_index(postgres_url: str) -> None:
    with SqlStore(postgres_url) as store:
        fill(store, ALERTS)
        with store.database.reading() as connection:
            for name, (asked_for, _) in OTHERS.items():
                found = postgres_plan(connection, asked_for, {})
                assert "Seq Scan" not in {node["Node Type"] for node in found}, (name, found)
