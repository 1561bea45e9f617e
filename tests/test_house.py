"""The house keeps its own rules: locks without hosts, modules with a text and a name, a wheel that works alone."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import LONG
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from serve_command import serve, until_ready
from serving import events, picture, post, right, still

ROOT = Path(__file__).parents[1]
PACKAGES = ("models", "detector", "streams", "api")
LOCKS = sorted(ROOT.glob("requirements*.lock"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
UNTRACKED = {"__pycache__", "node_modules", "build", "dist"}
"""Folders that are never part of the repository; neither are those that start with a dot, `.ci` apart."""


def tree() -> Iterator[Path]:
    """The files of the repository: as git lists them where there is git, else all that are not ignored."""
    if (ROOT / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        yield from (ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file())
        return
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in UNTRACKED and (name[0] != "." or name == ".ci")]
        yield from (Path(folder) / name for name in names)


def modules() -> list[Path]:
    """Every Python file that is ours."""
    return [path for path in tree() if path.suffix == ".py"]


def pins(lock: str) -> dict[str, str]:
    """Distribution and version of every pin in a lock file."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", (ROOT / lock).read_text(), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


# --- the locks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_a_lock_names_no_host_no_index_and_no_folder_of_wheels(lock: Path) -> None:
    text = lock.read_text()
    assert not re.search(r"\w+://|@ |--index-url|--extra-index|--find-links|^-[fi]", text, re.MULTILINE)
    assert not re.search(r"\.(org|com|io|net)\b", text)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_pin_has_a_hash(lock: Path) -> None:
    entries = re.split(r"^(?=[A-Za-z0-9])", lock.read_text(), flags=re.MULTILINE)[1:]
    assert entries
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("requirements.lock", PROJECT["project"]["dependencies"]),
        ("requirements-build.lock", PROJECT["build-system"]["requires"]),
        ("requirements-build.lock", PROJECT["dependency-groups"]["build"]),
        ("requirements-dev.lock", [each for each in PROJECT["dependency-groups"]["dev"] if isinstance(each, str)]),
    ],
    ids=["run", "build system", "build", "dev"],
)
def test_the_lock_holds_what_the_project_asks_for(lock: str, wanted: list[str]) -> None:
    pinned = pins(lock)
    requirements = [Requirement(text) for text in wanted]
    missing = [str(each) for each in requirements if canonicalize_name(each.name) not in pinned]
    assert missing == [], "run `make lock`"
    unmet = [str(each) for each in requirements if Version(pinned[canonicalize_name(each.name)]) not in each.specifier]
    assert unmet == [], "run `make lock`"


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-build.lock"])
def test_tests_run_with_the_versions_that_users_get(lock: str) -> None:
    assert pins(lock).items() <= pins("requirements-dev.lock").items()


# --- the tree --------------------------------------------------------------------------------------------


def test_no_file_names_a_path_of_a_developers_machine() -> None:
    private = re.compile(r"(?<![\w.$}])/(work|root|home|Users)/\w|\.\./" + "shared")
    named = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tree()
        if path != Path(__file__)
        for number, line in enumerate(path.read_bytes().decode(errors="ignore").splitlines(), start=1)
        if private.search(line)
    ]
    assert named == []


def test_every_module_opens_with_what_it_is() -> None:
    parsed = {path: ast.parse(path.read_text()) for path in modules()}
    silent = [path for path, module in parsed.items() if module.body and not ast.get_docstring(module)]
    assert [str(path.relative_to(ROOT)) for path in silent] == []


def test_no_module_is_named_after_nothing() -> None:
    empty = {"utils", "util", "helpers", "helper", "common", "base", "manager", "managers", "misc"}
    named = [path.relative_to(ROOT) for path in modules() if empty & {part.split(".")[0] for part in path.parts}]
    assert named == []


def test_no_other_folder_bears_the_name_of_a_package() -> None:
    folders = {parent.relative_to(ROOT) for path in tree() for parent in path.parents if parent.is_relative_to(ROOT)}
    twins = [folder for folder in folders if folder.name in PACKAGES and len(folder.parts) > 1]
    assert twins == []


def test_the_files_that_run_first_are_there() -> None:
    assert [name for name in LONG if not (Path(__file__).parent / f"{name}.py").exists()] == []


# --- make ------------------------------------------------------------------------------------------------


def test_every_make_target_is_in_make_help() -> None:
    targets = re.findall(r"^\.PHONY: (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {"demo", "test", "check", "help"} <= set(targets)
    assert [target for target in targets if not re.search(rf"^  make {target} +\S", shown, re.MULTILINE)] == []


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"PYTHON": "no-such-python"}, "PYTHON=no-such-python is not Python 3.11 or newer."),
        ({"PATH": "EMPTY"}, "Strayframe needs Python 3.11 or newer and found none"),
    ],
)
def test_a_machine_without_a_fit_python_is_told_in_one_sentence(
    tmp_path: Path, environment: dict[str, str], sentence: str
) -> None:
    environment = {name: value.replace("EMPTY", str(tmp_path)) for name, value in environment.items()}
    command = ["/bin/sh", str(ROOT / ".ci" / "venv"), "requirements.lock"]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert done.stderr.startswith(sentence)
    assert len(done.stderr.splitlines()) == 1


# --- the wheel -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as it would be published."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, capture_output=True, check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the wheel in it; its dependencies are lent by the one we run in."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    into = ["--python", str(python), "--disable-pip-version-check", "install", "-q", "--no-deps", "--no-index"]
    subprocess.run([sys.executable, "-m", "pip", *into, str(wheel)], check=True, stdin=subprocess.DEVNULL)
    (packages,) = folder.glob("lib/python*/site-packages")
    (lent,) = Path(sys.prefix).glob("lib/python*/site-packages")
    (packages / "lent.pth").write_text(f"{lent}\n")
    for name in PACKAGES:
        lend_compiled(ROOT / name, packages / name)
    return folder / "bin"


def lend_compiled(ours: Path, theirs: Path) -> None:
    """Give a package the compiled code of the same sources, which is known by their size and time. Where there is none
    the first start compiles."""
    for source in theirs.rglob("*.py"):
        same = ours / source.relative_to(theirs)
        os.utime(source, ns=(same.stat().st_atime_ns, same.stat().st_mtime_ns))
    for code in ours.rglob("__pycache__/*.nb?"):
        shutil.copy2(code, theirs / code.relative_to(ours))


def test_the_wheel_holds_the_four_packages_whole_and_nothing_else(wheel: Path) -> None:
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    ours = {path.relative_to(ROOT).as_posix() for path in tree()}
    assert held == {name for name in ours if name.split("/")[0] in PACKAGES}


def test_the_command_runs_from_the_wheel_alone(installed: Path, tmp_path: Path) -> None:
    shown = subprocess.run(
        [installed / "strayframe", "--help"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "demo" in shown.stdout
    ask = f"import {', '.join(PACKAGES)}; print(*(module.__file__ for module in ({', '.join(PACKAGES)})), sep='\\n')"
    found = subprocess.run([installed / "python", "-c", ask], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert [path for path in found.stdout.splitlines() if not path.startswith(str(installed.parent))] == []


COLD_SECONDS = 240.0
"""What is freshly installed compiles first: a minute on a core of its own."""


def test_what_the_wheel_installs_judges_a_still_and_tells_of_it(installed: Path, tmp_path: Path) -> None:
    with serve(tmp_path / "s.db", command=installed / "strayframe") as (process, client):
        until_ready(process, client, seconds=COLD_SECONDS)
        events(client, right("r0", "enrol", "cam-0", "acct-0"))
        assert post(client, still("d1", "acct-1", "cam-0", 5), picture(0)).json()["verdict"] == "leak"
        (alert,) = client.get("/v1/alerts").json()["items"]
        assert (alert["recipient"], alert["owner"]) == ("acct-1", "acct-0")
        assert client.get("/openapi.json").json()["openapi"].startswith("3.1.")
        assert 'strayframe_stills_judged_total{verdict="leak"} 1.0' in client.get("/metrics").text


def test_nobody_else_owns_the_names_of_the_packages(installed: Path, tmp_path: Path) -> None:
    ask = "import json; from importlib.metadata import packages_distributions as p; print(json.dumps(p()))"
    found = subprocess.run([installed / "python", "-c", ask], cwd=tmp_path, capture_output=True, text=True, check=True)
    owners = json.loads(found.stdout)
    assert {name: set(owners[name]) for name in PACKAGES} == {name: {"strayframe"} for name in PACKAGES}
