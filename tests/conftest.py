"""Fixtures that every test may ask for: a real broker, a real database of one's own.

Owns when services start (when the first test asks; before all, where several processes share them) and end (with the
run), and the order of the tests. Refuses to skip: a service that cannot be had ends the run with one sentence.
"""

from __future__ import annotations

import gc
import logging
import os
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import mould
import psycopg
import pytest
from kafka.admin import KafkaAdminClient
from programs import ServiceError
from services import KAFKA_VARIABLE, POSTGRES_VARIABLE, Broker, Services

from streams.store import migrations, sql
from streams.store.database import Database

ServiceT = TypeVar("ServiceT")

LONG = (
    "test_api_crash", "test_crash", "test_crew", "test_outbox", "test_faults", "test_api_ingest", "test_rekey",
    "test_evaluate", "test_simulate", "test_contract", "test_worker", "test_shift_model", "test_window", "test_cli",
    "test_worker_roles", "test_services", "test_placeholder", "test_store", "test_answers", "test_lease",
)  # fmt: skip
"""The files that take longest, each 20 to 80 s on a busy machine (`--durations=0` tells), the longest first."""


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker by which the Makefile chooses."""
    config.addinivalue_line("markers", "services: needs a Kafka broker or a PostgreSQL (set by itself)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs services by its fixtures. It runs last, since what fails fast is to be seen first; where several
    processes share the tests, what takes long runs first: it is not to be left to one of them in the end."""
    for item in items:
        asked = getattr(item, "fixturenames", ())
        if "services" in asked:
            item.add_marker(pytest.mark.services)
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))
    else:
        items.sort(key=lambda item: item.get_closest_marker("services") is not None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    """Where several processes share the tests they share a broker and a database: started before them, ended after.
    They share the cores, too: libraries of linear algebra keep to one thread each, as the command has it."""
    shared = Services()
    config.add_cleanup(shared.close)
    os.environ[KAFKA_VARIABLE], os.environ[POSTGRES_VARIABLE] = had(shared.kafka), had(shared.postgres)
    os.environ |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")


@pytest.fixture(scope="session")
def services() -> Iterator[Services]:
    """The services of this run; those that a test starts for itself end with the run at the latest."""
    with Services() as every:
        yield every


@pytest.fixture(scope="session")
def kafka(services: Services) -> str:
    """Bootstrap servers of a broker that all tests share: name topics and groups so that they meet nobody's."""
    return had(services.kafka)


@pytest.fixture
def swept(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """kafka-python leaves the sockets of failed attempts to the garbage collector: collect them where they arise. Its
    log records hold them as well, for as long as pytest holds the records."""
    caplog.set_level(logging.CRITICAL, "kafka")
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def topic(kafka: str) -> Iterator[Callable[..., str]]:
    """Creates a topic that this test alone has and returns its name: `topic()` or `topic(partitions=4)`."""
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    made: list[str] = []

    def make(partitions: int = 1, configs: Mapping[str, str] | None = None) -> str:
        made.append(f"test.{uuid.uuid4().hex}")
        wanted = {"num_partitions": partitions, "replication_factor": 1, "configs": dict(configs or {})}
        admin.create_topics({made[-1]: wanted})
        return made[-1]

    yield make
    if made:
        admin.delete_topics(made)
    admin.close()


@pytest.fixture(scope="session")
def postgres(services: Services) -> str:
    """URL of the server that all tests share; a test that stores something wants `postgres_url` instead."""
    url = had(services.postgres)
    try:
        psycopg.connect(plain(url), connect_timeout=10).close()
    except psycopg.OperationalError as error:
        reason = str(error).strip().splitlines()[-1]
        pytest.exit(f"PostgreSQL at {plain(url)} cannot be reached: {reason}", returncode=1)
    return url


@pytest.fixture(scope="session")
def postgres_mould(postgres: str) -> Iterator[str]:
    """Name of a database with the schema in it, from which others are made."""
    with created(postgres, "template0") as name:
        database = Database(f"{postgres.rpartition('/')[0]}/{name}")
        migrations.upgrade(database)
        database.close()
        yield name


@pytest.fixture
def postgres_url(postgres: str, postgres_mould: str) -> Iterator[str]:
    """SQLAlchemy URL of a database that this test alone has, with the schema and nothing else; it is dropped after."""
    with created(postgres, postgres_mould) as name:
        yield f"{postgres.rpartition('/')[0]}/{name}"


@pytest.fixture
def empty_postgres_url(postgres: str) -> Iterator[str]:
    """The same without a schema."""
    with created(postgres, "template0") as name:
        yield f"{postgres.rpartition('/')[0]}/{name}"


@contextmanager
def created(server: str, template: str) -> Iterator[str]:
    """Name of a new database; dropped afterwards."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(plain(server), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield name
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


BOTH = ("sqlite", pytest.param("postgresql", marks=pytest.mark.services))


@pytest.fixture(params=BOTH)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """SQLAlchemy URL of a store that this test alone has, in which nothing is yet: it runs once with each kind."""
    return url_of(request, tmp_path, "postgres_url")


@pytest.fixture(params=BOTH)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The same without a schema."""
    return url_of(request, tmp_path, "empty_postgres_url")


def url_of(request: pytest.FixtureRequest, folder: Path, fixture: str) -> str:
    """A file's URL, or what the fixture gives."""
    if request.param == "sqlite":
        return f"sqlite:///{folder}/store.db"
    found: str = request.getfixturevalue(fixture)
    return found


@pytest.fixture(scope="session", autouse=True)
def moulded() -> Iterator[None]:
    """Stores that are opened for the first time get their schema from the mould."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sql, "migrations", mould)
        yield


@pytest.fixture
def own_broker(services: Services) -> Iterator[Callable[..., Broker]]:
    """Starts a broker that this test may stop, kill and start again: `own_broker()` or `own_broker(properties)`."""
    started: list[Broker] = []

    def start(properties: Mapping[str, str] | None = None) -> Broker:
        started.append(had(lambda: services.broker(properties)))
        return started[-1]

    yield start
    for broker in started:
        broker.kill()


def had(get: Callable[[], ServiceT]) -> ServiceT:
    """What `get` gives; the run ends, and fails, with its one sentence when it cannot be had."""
    try:
        return get()
    except ServiceError as error:
        pytest.exit(str(error), returncode=1)


def plain(url: str) -> str:
    """The URL as libpq wants it, without SQLAlchemy's driver name."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)
