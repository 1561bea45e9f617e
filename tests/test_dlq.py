"""Dead letters on the real broker: listed once each, shown without pictures, sent back and judged."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from cloud import START, Cloud, delivered, enrolled
from typer.testing import CliRunner

from api.cli import app
from models.records import Delivery, DeliveryId
from streams import log
from streams.cloudevents import Message
from streams.kafka.deadletters import DeadLetters
from streams.kafka.letters import letters


@pytest.fixture
def place(kafka: str, tmp_path: Path) -> Iterator[Cloud]:
    """A cloud whose folder of pictures is empty."""
    (tmp_path / "pictures").mkdir()
    made = Cloud(kafka, f"sqlite:///{tmp_path}/{uuid.uuid4().hex}.db", dataref_folder=str(tmp_path / "pictures"))
    yield made
    made.remove()


def dlq(place: Cloud, *arguments: str) -> tuple[int, str]:
    """What `strayframe dlq` says."""
    names = ("kafka", "topic_rejected", "topic_stills", "topic_rights", "topic_changes")
    environment = {f"STRAYFRAME_{name.upper()}": getattr(place.settings, name) for name in names}
    result = CliRunner().invoke(app, ["dlq", *arguments], env=environment)
    log.configure("info", "text")  # away from the runner's standard error, which is closed
    return result.exit_code, result.output


def listed(place: Cloud, *options: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in dlq(place, "list", "--json", *options)[1].splitlines()]


def by_reference(number: int) -> Message:
    """A delivery whose picture is not there yet."""
    message = delivered(number, 0)
    return Message(message.event, message.key, None, f"{number}.jpg")


def put(place: Cloud, number: int) -> None:
    """The picture is there."""
    data = delivered(number, 0).data
    assert data is not None
    Path(place.settings.dataref_folder, f"{number}.jpg").write_bytes(data)


def test_what_was_mended_is_sent_back_and_judged_and_goes_back_once(place: Cloud) -> None:
    future = Delivery(DeliveryId("test", "ahead"), START.replace(year=2999), *_who())
    place.produce([enrolled(0), *map(by_reference, range(3)), Message(future, future.key, b"\xff\xd8")])
    place.judge_all()
    assert place.verdicts() == {}
    assert [each["reason"] for each in listed(place)].count("no_picture") == 3
    code, out = dlq(place, "list", "--reason", "bad_time")
    assert code == 0
    assert "lies in the future" in out
    assert "1 bad_time" in out

    put(place, 0)
    put(place, 1)
    code, out = dlq(place, "replay", "--reason", "no_picture")
    assert (code, out.count("sent back to")) == (0, 3)
    place.judge_all()
    assert sum(place.verdicts().values()) == 2
    (left,) = listed(place, "--reason", "no_picture")
    assert len(listed(place, "--reason", "no_picture", "--all")) == 4

    assert dlq(place, "replay", str(left["place"]))[0] == 0
    assert dlq(place, "replay", "--reason", "no_picture") == (0, "")


def _who() -> tuple[object, object, dict[str, str]]:
    event = delivered(0, 0).event
    assert isinstance(event, Delivery)
    return event.account, event.camera, {}


def test_a_letter_is_shown_with_its_headers_and_its_picture_only_into_a_file(place: Cloud, tmp_path: Path) -> None:
    still = delivered(1, 0)
    wrong = Message(Delivery(DeliveryId("test", "ahead"), START.replace(year=2999), *_who()), still.key, still.data)
    place.produce([wrong])
    place.judge_all()
    (letter,) = listed(place)
    code, out = dlq(place, "show", str(letter["place"]), "--value", str(tmp_path / "value.jpg"))
    assert code == 0
    assert f"origin: {place.settings.topic_stills}/0/0" in out
    assert "header ce_camera: cam0" in out
    assert "key: cam0" in out
    assert "JFIF" not in out
    assert (tmp_path / "value.jpg").read_bytes() == still.data
    code, out = dlq(place, "show", str(letter["place"]), "--value", str(tmp_path / "nowhere" / "value.jpg"))
    assert (code, "No such file" in out) == (2, True)


def test_copies_that_a_crash_left_behind_are_one_letter(place: Cloud) -> None:
    place.produce([by_reference(0)])
    place.judge_all()
    (record,) = place.rejects()
    first = letters(place.settings)[0]
    again = DeadLetters(place.settings)
    came = [(name, value) for name, value in record.headers if not name.startswith("strayframe_")]
    read = SimpleNamespace(topic=place.settings.topic_stills, partition=0, offset=0, key=record.key, value=record.value)
    again.send(SimpleNamespace(headers=came, timestamp=record.timestamp, **vars(read)), "no_picture", first.detail)
    again.settle()
    again.close()
    (letter,) = letters(place.settings)
    assert len(letter.copies) == 1
    assert letter.place == first.place
    put(place, 0)
    assert dlq(place, "replay", "--reason", "no_picture")[1].count("sent back") == 1


@pytest.mark.parametrize("name", ["7:1", "0:99", "zero"])
def test_a_place_where_nothing_lies_is_said_in_a_sentence(place: Cloud, name: str) -> None:
    code, out = dlq(place, "show", name)
    assert code == 2
    assert "strayframe dlq list" in out


def test_without_letters_the_list_says_so(place: Cloud) -> None:
    assert dlq(place, "list") == (0, "no dead letters\n")
    assert dlq(place, "replay")[0] == 2
