"""The Dockerfile and compose.yaml, checked without a Docker engine: each command, name and file in them is real."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import services
import yaml
from typer.testing import CliRunner

from api.cli import app
from streams.settings import load

ROOT = Path(__file__).parents[1]
DOCKERFILE = ROOT / "docker" / "Dockerfile"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())
OURS = {name: service for name, service in COMPOSE["services"].items() if service["image"].startswith("strayframe")}


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions and their arguments, continued lines joined, comments left out."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines()) if word]


def last(word: str) -> str:
    """The arguments of the last such instruction, which is the one that counts."""
    return [rest for each, rest in instructions() if each == word][-1]


def image_environment() -> dict[str, str]:
    """What the image sets."""
    return dict(part.split("=", 1) for part in last("ENV").split())


def commands() -> list[list[str]]:
    """Every command that the image or a service of ours runs."""
    return [json.loads(last("CMD")), *(service["command"] for service in OURS.values())]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_is_one_that_the_program_knows(words: list[str]) -> None:
    assert json.loads(last("ENTRYPOINT")) == ["strayframe"]
    shown = CliRunner().invoke(app, [*words, "--help"])
    assert shown.exit_code == 0, shown.output


@pytest.mark.parametrize("service", sorted(OURS))
def test_every_setting_that_a_service_is_given_exists_and_is_accepted(service: str) -> None:
    text = json.dumps(OURS[service]["environment"]).replace("${POSTGRES_PASSWORD:-strayframe}", "secret")
    given = image_environment() | json.loads(text)
    assert given["STRAYFRAME_STORE"] == "postgresql://strayframe:secret@postgres:5432/strayframe"
    settings = load(environment={name: value for name, value in given.items() if name.startswith("STRAYFRAME_")})
    assert settings.kafka == "kafka:9092"


def test_the_image_keeps_its_store_where_it_may_write() -> None:
    store = load(environment={"STRAYFRAME_STORE": image_environment()["STRAYFRAME_STORE"]}).store
    assert store.removeprefix("sqlite:///").startswith(last("VOLUME"))


def test_the_image_runs_as_nobody_special() -> None:
    assert int(last("USER").split(":")[0]) > 0


@pytest.mark.parametrize(("answer", "code"), [(200, 0), (503, 1)])
@pytest.mark.parametrize("variable", ["STRAYFRAME_PORT", "STRAYFRAME_METRICS_PORT"])
def test_the_health_check_says_what_healthz_says(answer: int, code: int, variable: str) -> None:
    words = json.loads(last("HEALTHCHECK").partition("CMD ")[2])
    assert words[:2] == ["python", "-c"]
    with healthz(answer) as port:
        environment = os.environ | {"STRAYFRAME_PORT": "1", variable: str(port)}
        done = subprocess.run([sys.executable, "-c", words[2]], env=environment, check=False)
    assert done.returncode == code


@contextmanager
def healthz(answer: int) -> Iterator[int]:
    """A server on a port of its own that gives `answer` at /healthz and 404 elsewhere."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(answer if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_every_file_that_is_copied_exists_and_reaches_the_build() -> None:
    allowed = re.findall(r"^!(\S+)$", (ROOT / "docker" / "Dockerfile.dockerignore").read_text(), re.MULTILINE)
    copies = [rest.split()[:-1] for word, rest in instructions() if word == "COPY" and "--from" not in rest]
    sources = [source for copy in copies for source in copy]
    assert sorted(sources) == sorted(allowed)
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_services_wait_for_services_that_exist() -> None:
    waited_for = {name for service in COMPOSE["services"].values() for name in service.get("depends_on", {})}
    assert waited_for <= set(COMPOSE["services"])


def test_nothing_listens_beyond_this_machine() -> None:
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_the_api_is_published_on_the_port_that_it_listens_on() -> None:
    port = int(image_environment()["STRAYFRAME_PORT"])
    assert port == load(environment={}).port
    assert OURS["api"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert last("EXPOSE") == str(port)


def test_the_broker_is_the_one_that_the_tests_run_against() -> None:
    assert COMPOSE["services"]["kafka"]["image"] == f"apache/kafka:{services.KAFKA_VERSION}"


def test_the_dockerfile_passes_the_linter() -> None:
    linter = Path(sys.prefix) / "bin" / "hadolint"
    done = subprocess.run([linter, DOCKERFILE], capture_output=True, text=True, check=False)
    assert done.stdout == ""
    assert done.returncode == 0
