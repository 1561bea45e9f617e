"""The command line: help that teaches, the same settings everywhere, one sentence for each error."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest
from typer.main import get_command, get_group
from typer.testing import CliRunner

from api import cli
from api.cli import CONTENTS, app
from detector.notice import NoticeType
from detector.suspension import State
from streams.outbox import call as calling
from streams.settings import Settings
from streams.store.hooks import Hooks
from streams.store.sql import SqlStore

ENVIRONMENT = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}


def run(*arguments: str, **environment: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments), env={**ENVIRONMENT, **environment})
    return result.exit_code, result.stdout, result.stderr


def commands() -> list[list[str]]:
    root = get_command(app)
    found = []
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        found += [[name, sub] for sub in getattr(command, "commands", {})] or [[name]]
    return found


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_explains_itself(command: list[str]) -> None:
    code, out, _ = run(*command, "--help")
    assert code == 0
    assert len(out.split("Options")[0].split()) > 8


def test_an_option_that_is_a_setting_bears_its_name_and_default() -> None:
    _, out, _ = run("worker", "--help")
    for name in ("store", "kafka", "batch-stills", "lease-seconds"):
        assert f"--{name} " in out
    assert str(Settings.model_fields["store"].default) in out


def test_settings_lists_every_setting_with_its_source(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text("port = 9000\n")
    code, out, _ = run("settings", "--json", "--config", str(file), STRAYFRAME_HOST="::1")
    assert code == 0
    found = json.loads(out)
    assert found.keys() == Settings.model_fields.keys()
    assert (found["port"]["value"], found["port"]["source"]) == ("9000", str(file))
    assert found["host"]["source"] == "STRAYFRAME_HOST"
    assert "listens on" in run("settings")[1]


def test_a_bad_setting_ends_with_one_sentence() -> None:
    code, out, err = run("serve", "--port", "many")
    assert code == 2
    assert not out
    assert "option --port: port = 'many' is not accepted" in err
    assert "Traceback" not in err


def test_a_worker_without_kafka_says_what_to_do() -> None:
    code, _, err = run("worker")
    assert code == 2
    assert "STRAYFRAME_KAFKA" in err


def test_serve_names_an_address_that_it_cannot_have(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 's.db'}"
    code, _, err = run("serve", "--host", "192.0.2.1", "--access", "sign-in", "--store", store)
    assert code == 2
    assert "cannot listen on 192.0.2.1" in err


def test_rights_are_imported_whole_or_not_at_all(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 's.db'}"
    file = tmp_path / "rights.csv"
    file.write_text("camera,account\ncam-1,anna\n,ben\n")
    code, _, err = run("rights", "import", str(file), "--store", store)
    assert code == 1
    assert f"{file}:3: camera is empty" in err
    file.write_text("camera,account,action\ncam-1,anna,\ncam-1,ben,grant\n")
    assert "2 rights would be imported" in run("rights", "import", str(file), "--store", store, "--dry-run")[1]
    assert not (tmp_path / "s.db").exists()
    assert run("rights", "import", str(file), "--store", store)[0] == 0
    assert "0 cameras" in run("store", "check", "--store", store)[1]


def test_store_check_wants_an_upgrade_before_it_is_content(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 's.db'}"
    assert run("store", "check", "--store", store)[0] == 2
    assert "current" in run("store", "upgrade", "--store", store)[1]
    assert run("store", "check", "--store", store)[0] == 0
    code, _, err = run("store", "check", "--store", "mysql://x/y")
    assert code == 2
    assert "sqlite:///FILE and postgresql://" in err


def test_simulate_wants_one_place_to_go(tmp_path: Path) -> None:
    assert run("simulate", "xiaomi_2019")[0] == 2
    assert "xiaomi_2019:" in run("simulate", "list")[1]
    code, _, err = run("simulate", "atlantis_1900", "--out", str(tmp_path))
    assert code == 2
    assert "there is no scenario 'atlantis_1900'" in err


def test_the_demo_finds_the_leak_stops_it_by_its_hook_and_accuses_nobody(tmp_path: Path) -> None:
    """The README's first command, small, as a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "api", "demo", "--once", "--accounts", "30", "--seed", "3"],
        cwd=tmp_path,
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the leak was found and stopped, nobody innocent was accused" in done.stdout
    said = " ".join(done.stdout.replace("│", " ").split())
    assert "suspended release 2019.12.26-1 of home-display, at" in said
    assert re.search(r"by shared-scope \(pairs 3, deliveries \d+, pairs_outside 0, .*needed 10\.0\)", said)
    assert "more until that of the release, 0 after it" in said
    assert re.search(r"held back [1-9]\d* deliveries; [1-9]\d* would have shown a stranger's home", said)
    assert re.search(r"went on [1-9]\d* clean deliveries after the first suspension", said)
    store = f"sqlite:///{tmp_path}/.demo/strayframe.db"
    with SqlStore(store) as stored:
        states = {str(each.scope): each.state for each in stored.standing().suspensions}
        hooks = Hooks(stored.database)
        hook = hooks.page().items[0]
        calls = hooks.log(hook.id).items
    assert states["release 2019.12.26-1 of home-display"] is State.SUSPENDED
    assert hook.disabled is not None
    assert {call.notice.type for call in calls} == {NoticeType.SUSPENSION_REQUESTED, NoticeType.SUSPENSION_CHANGED}
    assert all(call.state is calling.State.DELIVERED for call in calls)


def test_help_needs_none_of_the_heavy_libraries() -> None:
    heavy = {"pydantic", "numpy", "numba", "fastapi", "kafka", "sqlalchemy", "sklearn"}
    code = f"import sys; import api.cli; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", CONTENTS)
def test_the_list_says_of_each_command_what_its_own_help_begins_with(name: str) -> None:
    command = get_command(app).commands[name]  # type: ignore[attr-defined]
    assert command.name == name
    assert command.help.startswith(CONTENTS[name].help)


def test_every_command_of_every_room_is_in_the_list() -> None:
    rooms = [name for _, name, _ in iter_modules(cli.__path__)]
    held = {(name, command) for name in rooms for command in get_group(import_module(f"api.cli.{name}").room).commands}
    assert held == {(entry.room, name) for name, entry in CONTENTS.items()}


@pytest.mark.parametrize("command", [("list",), ("show", "0:1"), ("replay", "0:1")], ids=lambda c: c[0])
def test_dead_letters_without_kafka_say_what_to_do(command: tuple[str, ...]) -> None:
    code, _, err = run("dlq", *command)
    assert code == 2
    assert "no Kafka is named" in err


@pytest.mark.parametrize("said", [("--by", "", "--why", "drill"), ("--by", "kim", "--why", " ")], ids=["by", "why"])
def test_nothing_is_switched_by_nobody_or_for_no_reason(said: tuple[str, ...], tmp_path: Path) -> None:
    code, _, err = run("kill-switch", "on", *said, "--store", f"sqlite:///{tmp_path / 's.db'}")
    assert (code, "says nothing" in err) == (2, True)


def test_a_setting_with_square_brackets_is_shown_as_it_is() -> None:
    assert "/srv/[cold]/s" in run("settings", STRAYFRAME_SNAPSHOT="/srv/[cold]/s")[1]


def test_a_misspelt_command_is_answered_with_those_that_are_alike() -> None:
    said = CliRunner().invoke(app, ["wroker"])
    assert said.exit_code == 2
    assert "'worker'" in said.output


def test_without_a_word_the_commands_are_listed() -> None:
    code, said, _ = run()
    assert code == 0
    assert said == run("--help")[1]
    assert all(f"\n  {name} " in said for name in CONTENTS)
