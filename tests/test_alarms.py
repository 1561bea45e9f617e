"""Alarms and the dashboard speak of metrics that exist, and each alarm rings when it should and at no other time."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from programs import need

from streams.metrics import Metrics

DOCKER = Path(__file__).parents[1] / "docker"
RULES = DOCKER / "prometheus" / "strayframe.rules.yml"
TESTS = DOCKER / "prometheus" / "rules.test.yml"
DASHBOARD = DOCKER / "grafana" / "strayframe.json"
(GROUP,) = yaml.safe_load(RULES.read_text())["groups"]
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())


@pytest.mark.services
@pytest.mark.parametrize(
    "words", [("check", "config", "prometheus.yml"), ("test", "rules", "rules.test.yml")], ids=["config", "rules"]
)
def test_promtool_finds_nothing_wrong(words: tuple[str, ...], tmp_path: Path) -> None:
    promtool = need(partial(shutil.which, "promtool"), "prometheus", "promtool")
    folder = shutil.copytree(RULES.parent, tmp_path / "prometheus")
    (folder / "token").write_text("sf_...")
    done = subprocess.run([promtool, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_whoever_asks_for_a_sign_in_is_scraped_with_a_token() -> None:
    assert "STRAYFRAME_ACCESS=sign-in" in (DOCKER / "Dockerfile").read_text()
    for job in yaml.safe_load((RULES.parent / "prometheus.yml").read_text())["scrape_configs"]:
        for target in (each for config in job["static_configs"] for each in config["targets"]):
            serves = COMPOSE["services"][target.partition(":")[0]]["command"] == ["serve"]
            assert ("authorization" in job) is serves, target


def test_every_alarm_is_tested_says_how_bad_it_is_and_leads_to_what_to_do() -> None:
    tested = TESTS.read_text()
    for rule in GROUP["rules"]:
        assert rule["alert"] in tested, rule["alert"]
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["annotations"]["runbook_url"] == f"docs/operations.md#{rule['alert'].lower()}"


@pytest.mark.parametrize("file", [RULES, TESTS, DASHBOARD], ids=lambda path: path.name)
def test_every_metric_that_is_named_exists(file: Path) -> None:
    known = {sample.name for family in Metrics().registry.collect() for sample in family.samples}
    known |= {family.name + end for family in Metrics().registry.collect() for end in ("", "_total", "_bucket")}
    named = set(re.findall(r"strayframe_\w+", file.read_text()))
    assert len(named) >= 9
    assert named <= known


def test_the_dashboard_asks_for_whatever_an_alarm_rings_for() -> None:
    asked = " ".join(
        target["expr"] for panel in json.loads(DASHBOARD.read_text())["panels"] for target in panel["targets"]
    )
    rung = set(re.findall(r"strayframe_\w+", RULES.read_text()))
    rung -= {
        "strayframe_messages_lost_total",
        "strayframe_store_unavailable_total",
        "strayframe_snapshot_timestamp_seconds",
    }
    assert {metric for metric in rung if metric not in asked} == set()


def test_what_is_mounted_exists() -> None:
    mounted = [
        volume.split(":")[0] for name in ("prometheus", "grafana") for volume in COMPOSE["services"][name]["volumes"]
    ]
    assert [path for path in mounted if path.startswith("./") and not (DOCKER / path).exists()] == []
