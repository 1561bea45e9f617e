"""The OpenAPI document is a contract: schemathesis finds nothing that breaks it, and a client generated from it works.

`make contract` looks longer. The stream never ends, so schemathesis cannot read it: tests/test_stream.py does.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from serving import Served, events, picture, post, right, serving, still

from api.app import create_app
from api.describe import Undescribed, example
from streams.settings import Settings

BIN = Path(sys.executable).parent
EXAMPLES = os.environ.get("CONTRACT_EXAMPLES", "4")
"""Requests that schemathesis draws for each operation, beside those of its other phases."""
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,unsupported_method,allow_header_conformance"
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with an alert, an incident, a suspension and a hook in it."""
    store = tmp_path_factory.mktemp("contract") / "s.db"
    settings = Settings(store=f"sqlite:///{store}", policy_mode="auto", warm_up_cameras=0, warm_up_share=0)
    with serving(create_app(settings)) as running:
        c = running.ready().client
        events(c, *(right(f"r{home}", "enrol", f"cam-{home}", f"acct-{home}") for home in range(2)))
        assert post(c, still("d1", "acct-1", "cam-0", 5), picture(0)).json()["verdict"] == "leak"
        assert c.post("/v1/hooks", json={"url": "https://partner.example/hook", "dry_run": True}).status_code == 201
        yield running


@pytest.fixture(scope="module")
def document(served: Served) -> dict[str, Any]:
    found: dict[str, Any] = served.client.get("/openapi.json").json()
    return found


def test_no_request_breaks_what_the_document_says(served: Served, tmp_path: Path) -> None:
    command = [BIN / "st", "run", f"{served.url}/openapi.json", "--exclude-path", "/v1/stream", "--checks", CHECKS]
    options = ["--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES, "--seed", "1", "--warnings", "off"]
    quiet = ["--suppress-health-check", "all", "--request-timeout", "30", "--no-shrink", "--continue-on-failure"]
    done = subprocess.run([*command, *options, *quiet], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-8000:]
    assert "No issues found" in done.stdout


def test_every_operation_has_examples_that_hold(document: dict[str, Any]) -> None:
    definitions = {"components": document["components"]}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            answers = [answer for status, answer in operation["responses"].items() if status < "4"]
            contents = [operation.get("requestBody", {}).get("content", {}), *(a.get("content", {}) for a in answers)]
            for media, content in ((media, it) for each in contents for media, it in each.items()):
                assert "example" in content or content.get("examples"), (method, path, media)
                if media == "application/json":
                    jsonschema.validate(content["example"], definitions | content["schema"])
            for parameter in operation.get("parameters", ()):
                schema = parameter["schema"]
                given = (
                    [parameter["example"]]
                    if "example" in parameter
                    else schema.get("examples", [schema.get("default")])
                )
                assert given[0] is not None or "enum" in str(schema), (method, path, parameter["name"])
                if given[0] is not None:
                    jsonschema.validate(given[0], definitions | schema)


def test_a_text_field_without_an_example_is_found() -> None:
    with pytest.raises(Undescribed, match=r"Body\.colour"):
        example({"type": "object", "properties": {"colour": {"type": "string"}}}, {}, "Body")


def test_a_client_generated_from_the_document_makes_the_round(
    document: dict[str, Any], served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    command = [BIN / "openapi-python-client", "generate", "--path", "openapi.json", "--meta", "none"]
    made = subprocess.run(
        [*command, "--output-path", "strayframe_client"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "WARNING" not in made.stdout.replace("Unable to format", ""), made.stdout
    monkeypatch.syspath_prepend(str(tmp_path))
    module = importlib.import_module("strayframe_client")
    models = importlib.import_module("strayframe_client.models")

    def call(room: str, operation: str, **given: Any) -> Any:
        with module.Client(base_url=served.url) as client:
            return importlib.import_module(f"strayframe_client.api.{room}.{operation}").sync(client=client, **given)

    (alert,) = call("alerts", "list_alerts", kind=models.Kind.LEAK, limit=5).items
    assert (alert.recipient, alert.owner, alert.delivered_at.utcoffset().total_seconds()) == ("acct-1", "acct-0", 0)
    said = models.AlertTriage(actor="kim", verdict=models.Ruling.TRUE_POSITIVE)
    seen = call("triage", "show_alert_triage", id=alert.id).version
    triage = call("triage", "triage_alert", id=alert.id, body=said, if_match=f'"v{seen}"', idempotency_key="k1")
    assert (triage.version, triage.verdict) == (seen + 1, "true_positive")
    assert call("triage", "show_alert_triage", id=alert.id).history[-1].actor == "kim"
    gone = call("triage", "triage_alert", id=alert.id, body=said, if_match=f'"v{seen}"')
    assert (gone.status, gone.type_) == (412, "urn:strayframe:problem:precondition-failed")
