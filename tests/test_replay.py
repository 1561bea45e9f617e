"""The replay: files in, JSON lines out, the same engine as the stream."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from cloud import delivered, enrolled, in_memory, rounds, told
from typer.testing import CliRunner

from api.cli import app
from detector.engine import Engine
from models.records import Delivery, RightAction, RightChanged
from streams.claims import folder_fetch
from streams.cloudevents import Message, Rejected, event_id, to_json
from streams.decode import Decoder
from streams.judge import Judge
from streams.metrics import Metrics
from streams.replay import Line, replay

CLOUD = [*(enrolled(camera) for camera in range(6)), *rounds(cameras=6, each=9, leaks_from=6)]


def written(messages: list[Message], folder: Path, inline: bool = False) -> Path:
    """The messages as an event file, pictures beside it or inside it."""
    (folder / "stills").mkdir()
    with (folder / "events.jsonl").open("w") as file:
        for number, message in enumerate(messages):
            dataref, data = None, message.data
            if data is not None and not inline:
                dataref, data = f"stills/{number}.jpg", None
                (folder / dataref).write_bytes(message.data or b"")
            line = to_json(message.event, id=message.key.id, source=message.key.source, data=data, dataref=dataref)
            file.write(json.dumps(line) + "\n")
    return folder / "events.jsonl"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def command(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["replay", *map(str, arguments)])


@pytest.mark.parametrize("inline", [False, True])
def test_a_replay_says_what_the_judge_says_of_the_same_messages(tmp_path: Path, inline: bool) -> None:
    verdicts, alerts = in_memory(CLOUD)
    assert verdicts["leak"] >= 2
    events = written(CLOUD, tmp_path, inline)
    result = command(
        events,
        *("--verdicts", tmp_path / "v"),
        *("--alerts", tmp_path / "a"),
        *("--incidents", tmp_path / "i"),
    )
    assert result.exit_code == 0, result.output
    said = lines(tmp_path / "v")
    assert [line["id"] for line in said] == [m.key.id for m in CLOUD if isinstance(m.event, Delivery)]
    assert {v: sum(line["verdict"] == v for line in said) for v in verdicts} == verdicts
    found = lines(tmp_path / "a")
    assert {(a["id"], a["kind"], a["delivery"], a["recipient"], str(a["owner"])) for a in found} == {
        (one[0], one[1], one[3].partition("#")[2], one[4], one[5]) for one in told(alerts)
    }
    for alert in found:
        assert alert["why"].endswith(".")
        assert alert["raised_by"] in {line["id"] for line in said}
        assert alert["level"] in ("acting", "shown")
    incidents = lines(tmp_path / "i")
    assert [one["integration"] for one in incidents] == ["displays"]
    assert set(incidents[0]["alerts"]) <= {a["id"] for a in found}


def test_the_same_file_gives_the_same_bytes(tmp_path: Path) -> None:
    events = written(CLOUD, tmp_path)
    for run in ("one", "two"):
        command(events, "--verdicts", tmp_path / f"{run}.v", "--alerts", tmp_path / f"{run}.a")
    assert (tmp_path / "one.v").read_bytes() == (tmp_path / "two.v").read_bytes()
    assert (tmp_path / "one.a").read_bytes() == (tmp_path / "two.a").read_bytes()


def test_bad_lines_are_told_with_their_number_and_the_rest_is_judged(tmp_path: Path) -> None:
    events = written(CLOUD, tmp_path)
    good = events.read_text().splitlines()
    absent = {**json.loads(good[-1]), "dataref": "stills/absent.jpg"}
    escaping = {**json.loads(good[-1]), "dataref": "../secret.jpg"}
    bad = ["not json", json.dumps(absent), json.dumps(escaping), '{"specversion": "1.0"}']
    events.write_text("\n".join([bad[0], *good[:20], bad[1], "", bad[2], *good[20:], bad[3]]) + "\n")
    result = command(events, "--verdicts", tmp_path / "v", "--rejects", tmp_path / "r")
    assert result.exit_code == 0
    assert [(r["line"], r["reason"]) for r in lines(tmp_path / "r")] == [
        (1, "not_json"),
        (22, "no_picture"),
        (24, "bad_dataref"),
        (len(good) + 5, "missing_attribute"),
    ]
    assert lines(tmp_path / "r")[0]["event"] == "not json"
    assert "line 22: no_picture: 'stills/absent.jpg'" in result.stderr
    assert len(lines(tmp_path / "v")) == sum(isinstance(m.event, Delivery) for m in CLOUD)
    assert command(events, "--strict").exit_code == 1


def test_a_file_that_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    result = command(tmp_path / "absent.jsonl")
    assert result.exit_code == 2
    assert "absent.jsonl: No such file" in result.stderr
    events = written(CLOUD[:2], tmp_path)
    result = command(events, "--alerts", tmp_path / "no" / "a")
    assert result.exit_code == 2
    assert "no/a: No such file" in result.stderr


def test_a_withdrawn_alert_is_not_among_those_that_stand(tmp_path: Path) -> None:
    stranger = delivered(1, camera=0, viewer=5)
    grant = RightChanged(stranger.event.camera, stranger.event.account, RightAction.GRANT, stranger.event.time)  # type: ignore[union-attr]
    messages = [enrolled(0), stranger]
    late = [*messages, Message(grant, type(stranger.key)("test", event_id(grant)))]
    for name, cloud, standing in (("early", messages, 1), ("late", late, 0)):
        (tmp_path / name).mkdir()
        events = written(cloud, tmp_path / name)
        result = command(events, "--alerts", tmp_path / name / "a", "--incidents", tmp_path / name / "i")
        assert len(lines(tmp_path / name / "a")) == standing
        assert len(lines(tmp_path / name / "i")) == standing
        assert f"{1 - standing} withdrawn" in result.stderr


def test_progress_is_told_along_the_way(tmp_path: Path) -> None:
    events = written(CLOUD * 3, tmp_path)
    seen: list[Line] = []
    judge = Judge(Engine(), Decoder(b"k"), Metrics(), fetch=folder_fetch(tmp_path, 10**6))
    replay(events, judge, verdicts=io.StringIO(), progress=lambda line, _: seen.append(line))
    assert [line.number for line in seen] == [64, 128]


def test_a_dataref_never_leaves_the_folder(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out.jpg").write_bytes(b"x")
    (tmp_path / "in" / "link.jpg").symlink_to(tmp_path / "out.jpg")
    fetch = folder_fetch(tmp_path / "in", 10)
    for dataref in ("../out.jpg", str(tmp_path / "out.jpg"), "link.jpg"):
        with pytest.raises(Rejected, match="bad_dataref"):
            fetch(dataref)
    (tmp_path / "in" / "large.jpg").write_bytes(bytes(11))
    with pytest.raises(Rejected, match="too_large"):
        fetch("large.jpg")
    with pytest.raises(Rejected, match="no_picture"):
        fetch("a\0b")


def test_a_picture_may_lie_in_the_line_itself() -> None:
    message = delivered(1, camera=0)
    line = to_json(message.event, data=message.data)
    assert base64.b64decode(line["data_base64"]) == message.data
