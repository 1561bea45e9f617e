"""Owners and grants from CSV: what a row means, and what is said of a bad one."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import NaiveTimeError
from models.records import RightAction
from streams.rights_file import BEGINNING, BadRightsFile, BadRow, read

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)


def rows(text: str, as_of: datetime = BEGINNING):  # type: ignore[no-untyped-def]
    return read(io.StringIO(text, newline=""), as_of=as_of)


def test_a_row_without_action_or_time_enrols_from_the_beginning() -> None:
    (right,) = rows("camera,account\ncam-1,acct-1\n").rights
    assert (right.camera, right.account, right.action, right.time) == ("cam-1", "acct-1", RightAction.ENROL, BEGINNING)


def test_columns_may_come_in_any_order_and_case_and_actions_too() -> None:
    found = rows("Time,ACTION,account,camera\n2026-01-02T03:00:00+03:00,Grant,guest,cam-1\n")
    (right,) = found.rights
    assert right.action is RightAction.GRANT
    assert right.time == datetime(2026, 1, 2, tzinfo=UTC)


def test_as_of_is_the_time_of_rows_without_one_only() -> None:
    text = "camera,account,time\nc1,a1,\nc2,a2,2020-01-01T00:00:00Z\n"
    assert [right.time.year for right in rows(text, AS_OF).rights] == [2026, 2020]


def test_an_as_of_without_a_zone_is_refused() -> None:
    with pytest.raises(NaiveTimeError):
        rows("camera,account\n", datetime(2026, 1, 1))  # noqa: DTZ001


BAD = [
    ("c1,,enrol,", "account is empty"),
    (",a1,enrol,", "camera is empty"),
    ("c1,a1,own,", "action 'own' is not one of enrol, release, grant, revoke"),
    ("c1,a1,enrol,2026-01-01T00:00:00", "carries no zone"),
    ("c1,a1,enrol,yesterday", "is not RFC 3339"),
    ("c1,a1,enrol", "3 cells where the first line names 4"),
    ("c1,a1,enrol,,", "5 cells where the first line names 4"),
    ("c1,a\t1,enrol,", "account must be printable text"),
    (f"{'c' * 2000},a1,enrol,", "camera must be printable text of at most 1024 bytes"),
]


@pytest.mark.parametrize(("row", "said"), BAD, ids=[said for _, said in BAD])
def test_a_bad_row_is_told_with_its_line_and_the_rest_is_read(row: str, said: str) -> None:
    found = rows(f"camera,account,action,time\nc0,a0,,\n\n{row}\nc9,a9,,\n")
    assert [right.camera for right in found.rights] == ["c0", "c9"]
    (bad,) = found.bad
    assert bad.line == 4
    assert said in bad.detail


def test_a_line_number_counts_lines_not_rows() -> None:
    found = rows('camera,account\n"c\n1",a1\nc2,\n')
    assert found.bad == [
        BadRow(3, "camera must be printable text of at most 1024 bytes"),
        BadRow(4, "account is empty"),
    ]


@pytest.mark.parametrize(
    "text", ["", "cam-1,acct-1\n", "camera\nc1\n", "camera,account,owner\n", "camera,account,camera\n", 'camera,"acc']
)
def test_a_file_without_its_columns_is_refused_whole(text: str) -> None:
    with pytest.raises(BadRightsFile, match=r"first line|not CSV"):
        rows(text)


def test_a_file_that_is_not_text_is_refused() -> None:
    raw = io.TextIOWrapper(io.BytesIO(b"camera,account\nc1,a1\nc2,\xff\xfe\n"), encoding="utf-8-sig", newline="")
    with pytest.raises(BadRightsFile, match="not UTF-8"):
        read(raw)


def test_a_row_said_twice_is_one_right() -> None:
    found = rows("camera,account\nc1,a1\nc1,a1\n")
    assert (len(found.rights), found.repeated) == (1, 1)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.sampled_from(RightAction)), max_size=12))
def test_the_same_row_has_the_same_event_id_and_different_rows_differ(given_rows: list[tuple[str, str, str]]) -> None:
    text = "camera,account,action\n" + "".join(f"{c},{a},{action}\n" for c, a, action in given_rows)
    first, second = ([message.key for message in rows(text).messages()] for _ in range(2))
    assert first == second
    assert len(set(first)) == len(first) == len(set(given_rows))
