"""The processes that look at stills: what they see does not depend on how many there are, nor on which of them die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from cloud import delivered, enrolled, still
from mortal import DEADLY, Mortal, Unborn
from programs import start_tick, wait_until
from typer.testing import CliRunner

from api.cli import app
from detector.engine import Engine
from models.fingerprint import Still
from models.records import Verdict
from streams.crew import AHEAD_BYTES, DIED, Crew, CrewFailed, crew_of
from streams.decode import Decoder
from streams.judge import Judge
from streams.metrics import Metrics
from streams.simulator.scenario import scenario
from streams.simulator.simulate import Simulation, write_folder
from streams.simulator.studio import PROCESSES, Studio

KEY = b"k" * 16


def alone(data: bytes) -> Still:
    return Decoder(KEY).still(data)


def same(one: Still, other: Still) -> bool:
    marks = [(s.digest, s.prefix, s.reason, s.complete, s.noisy) for s in (one, other)]
    prints = [s.fingerprint and (s.fingerprint.to_bytes(), s.fingerprint.mask.tobytes()) for s in (one, other)]
    return marks[0] == marks[1] and prints[0] == prints[1]


def processes_of(judge: int) -> list[int]:
    """The ids of those that look, by the system's own account."""
    found = Path(f"/proc/{judge}/task/{judge}/children").read_text().split()
    return [pid for pid in map(int, found) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    with Crew(Mortal(KEY), 2) as made:
        made.await_ready()
        yield made


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A replay of the simulator with its own damaged stills, and some that are cut, senseless, no JPEG, or missing."""
    folder = tmp_path_factory.mktemp("replay")
    with Studio(PROCESSES) as studio:
        write_folder(Simulation(scenario("xiaomi_2019").scaled(20), 5, studio=studio), folder)
    pictures = sorted(folder.rglob("*.jpg"))
    for number, path in enumerate(pictures):
        match number % 40:
            case 7:
                path.write_bytes(path.read_bytes()[: 3000 + 400 * number])
            case 17:
                path.write_bytes(bytes([0xFF, 0xD8]) + path.read_bytes()[900:2000])
            case 27:
                path.write_bytes(b"no picture at all")
            case 37:
                path.unlink()
    return folder / "events.jsonl"


def test_verdicts_do_not_depend_on_the_number_of_processes(replay: Path, tmp_path: Path) -> None:
    written = []
    for count in ("1", "3"):
        files = [tmp_path / f"{name}{count}" for name in ("verdicts", "alerts", "incidents", "rejects")]
        options = [part for path in files for part in (f"--{path.name[:-1]}", str(path))]
        result = CliRunner().invoke(app, ["replay", str(replay), "--processes", count, *options])
        assert result.exit_code == 0, result.output
        written.append([path.read_bytes() for path in files])
    assert written[0] == written[1]
    verdicts, alerts, _, rejects = written[0]
    assert b'"leak"' in alerts
    assert {verdict for verdict in Verdict if f'"{verdict}"'.encode() in verdicts} >= {Verdict.CLEAR, Verdict.UNJUDGED}
    assert b"no_picture" in rejects


def test_looks_may_be_asked_for_in_any_order_or_never(crew: Crew) -> None:
    stills = [still(camera, moment) for camera in range(4) for moment in range(6)]
    stills[3] = os.urandom(9_000_000)  # more than lies ready at a time
    looks = [crew.look(data) for data in stills]
    for number in (23, 3, 0, 11, 22):
        assert same(looks[number](), alone(stills[number]))
    assert same(crew.look(stills[5])(), alone(stills[5]))


def test_what_is_handed_out_ahead_is_bounded(crew: Crew) -> None:
    looks = []
    while crew.hungry:
        looks.append(crew.look(bytes(200_000)))
        assert len(looks) <= 2 * AHEAD_BYTES // 200_000 + 1, "what fits, and one that waits for room"
    assert [look().reason for look in looks] == [looks[0]().reason] * len(looks)
    assert crew.hungry


def test_a_killed_process_loses_no_still(crew: Crew) -> None:
    stills = [still(camera, moment) for camera in range(4) for moment in range(10)]
    looks = [crew.look(data) for data in stills]
    before = processes_of(os.getpid())
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    assert all(same(look(), alone(data)) for look, data in zip(looks, stills, strict=True))
    assert len(processes_of(os.getpid())) == len(before) == 2
    assert not set(processes_of(os.getpid())) & set(before)


def test_a_still_that_kills_two_processes_is_undecodable_and_the_others_are_seen(crew: Crew) -> None:
    stills = [still(0, 1), DEADLY, still(1, 1), DEADLY + bytes(50_000), still(2, 1), still(3, 1)]
    looks = [crew.look(data) for data in stills]
    for data, look in zip(stills, looks, strict=True):
        seen = look()
        if data.startswith(DEADLY):
            assert (seen.fingerprint, seen.reason) == (None, DIED)
            assert (seen.digest, seen.prefix) == (alone(data).digest, alone(data).prefix)
        else:
            assert same(seen, alone(data))


def test_a_delivery_whose_still_kills_its_decoder_is_unjudged_not_lost() -> None:
    metrics = Metrics()
    with crew_of(Mortal(KEY), 2, metrics.look_seconds.observe) as crew:
        judge = Judge(Engine(), Decoder(KEY), metrics, crew=crew)
        judge.take(enrolled(0))
        hostile = delivered(5, 0)
        object.__setattr__(hostile, "data", DEADLY)
        messages = [*(delivered(number, 0) for number in range(5)), hostile, delivered(6, 0)]
        verdicts = [
            judgement.verdict for each in [judge.begin(m) for m in messages] if (judgement := judge.finish(each))
        ]
    assert verdicts[5] is Verdict.UNJUDGED
    assert verdicts[4] is verdicts[6] is Verdict.CLEAR
    looked = metrics.registry.get_sample_value("strayframe_look_seconds_count")
    assert looked == 6, "seconds are counted in whichever process they pass"


def test_processes_that_cannot_start_are_told_not_waited_for() -> None:
    with Crew(Unborn(KEY), 2) as crew, pytest.raises(CrewFailed, match="at its start 3 times, with code 7") as failed:
        crew.look(still(0, 0))()
    assert failed.value.retry


def test_one_who_asks_the_group_to_stop_does_not_reach_those_that_look(crew: Crew) -> None:
    before = processes_of(os.getpid())
    for pid in before:
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGINT)
    looks = [crew.look(still(camera, 3)) for camera in range(6)]
    assert all(same(look(), alone(still(camera, 3))) for camera, look in enumerate(looks))
    assert processes_of(os.getpid()) == before


def files_of(pid: int) -> set[str]:
    """What a process has open, as the system names it; what it closes meanwhile is left out."""
    found = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.add(str(path.readlink()))
    return found


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_no_process_outlives_its_judge_and_no_still_either(end: signal.Signals) -> None:
    program = (
        "import os, time\nfrom streams.crew import Crew\nfrom streams.decode import Decoder\n"
        "crew = Crew(Decoder(b'k'), 2)\ncrew.await_ready()\n"
        "looks = [crew.look(os.urandom(50_000)) for _ in range(100)]\n"
        "print(flush=True)\ntime.sleep(600)"
    )
    judge = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert judge.stdout is not None
    with judge.stdout:
        judge.stdout.readline()
    pids = processes_of(judge.pid)
    assert len(pids) == 2
    for pid in [judge.pid, *pids]:
        assert [name for name in files_of(pid) if "stills" in name] == ["/memfd:stills (deleted)"]
        assert not [name for name in files_of(pid) if name.startswith("/dev/shm")]
    judge.send_signal(end)
    judge.wait(30)
    assert wait_until(lambda: not any(start_tick(pid) for pid in pids), 30)
