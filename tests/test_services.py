"""The tests' own services behave as tests assume them to: real, restartable, each test apart."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
import services as services_module
from conftest import plain
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from programs import Process, ServiceError, need, start_tick, wait_until
from services import KAFKA_VARIABLE, Broker, Services, data_folder, sweep

pytestmark = [pytest.mark.filterwarnings("ignore:unclosed <:ResourceWarning"), pytest.mark.usefixtures("swept")]


def last_value(bootstrap: str, topic: str) -> bytes:
    """The first record of a topic's only partition."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=20_000)
    consumer.assign([TopicPartition(topic, 0)])
    value: bytes = next(iter(consumer)).value
    consumer.close()
    return value


def test_a_killed_broker_comes_back_on_its_port_with_its_records(own_broker: Callable[..., Broker]) -> None:
    broker = own_broker()
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    admin.create_topics({"kept": {"num_partitions": 1, "replication_factor": 1}})
    admin.close()
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap, acks="all")
    producer.send("kept", b"before").get(timeout=20)
    producer.close()
    before = broker.bootstrap
    broker.kill()
    assert not broker.answers()
    broker.start()
    assert broker.bootstrap == before
    assert last_value(broker.bootstrap, "kept") == b"before"


def test_the_shared_broker_takes_a_picture_of_some_megabytes(kafka: str, topic: Callable[..., str]) -> None:
    name = topic()
    producer = KafkaProducer(bootstrap_servers=kafka, max_request_size=8 << 20)
    producer.send(name, bytes(4 << 20)).get(timeout=20)
    producer.close()
    assert len(last_value(kafka, name)) == 4 << 20


@pytest.mark.parametrize("turn", ["first", "second"])
def test_each_test_has_an_empty_database(empty_postgres_url: str, turn: str) -> None:
    with psycopg.connect(plain(empty_postgres_url)) as database:
        found = database.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
        assert found == (0,)
        database.execute("CREATE TABLE traces (id int)")


def test_services_of_a_killed_run_are_ended_and_their_data_deleted() -> None:
    killed = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    folder = data_folder(f"{killed.pid}-{start_tick(killed.pid)}")
    (folder / "0").mkdir()
    left = Process.start(folder / "0", "kafka", [sys.executable, "-c", "import time; time.sleep(600)"])
    sweep()
    assert left.alive(), "a run that lives keeps its services"
    killed.kill()
    killed.communicate()
    sweep()
    assert not left.alive()
    assert not folder.exists()


def test_a_process_that_ignores_the_request_is_killed(tmp_path: Path) -> None:
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    )
    process = Process.start(tmp_path, "deaf", [sys.executable, "-c", deaf])
    assert wait_until(lambda: "deaf" in (tmp_path / "deaf.log").read_text(), 20)
    process.end(signal.SIGTERM, seconds=0.2)
    assert not process.alive()


def test_a_named_broker_that_does_not_answer_fails_in_one_sentence() -> None:
    with Services({KAFKA_VARIABLE: "127.0.0.1:1"}) as named, pytest.raises(ServiceError, match=r"^No Kafka .*\.$"):
        named.kafka()


def test_a_missing_program_is_named_to_those_who_are_not_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ServiceError, match="apt-get install maven"):
        need(lambda: None, "maven", "Maven")


@pytest.mark.services
def test_up_leaves_running_what_env_names_and_down_ends_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(services_module, "STATE", tmp_path / "state.json")
    assert services_module.main(["up"]) == 0
    assert services_module.main(["env"]) == 0
    assert f"export {KAFKA_VARIABLE}=127.0.0.1:" in capsys.readouterr().out
    assert services_module.kafka_answers("127.0.0.1", int(Services({}).kafka().rpartition(":")[2]))
    assert services_module.main(["down"]) == 0
    assert services_module.running() == {}
    assert services_module.main(["env"]) == 1
