"""How certain is certain enough."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.certainty import LEAST, certainty, needed
from models.agreement import Agreement


def agreement(score: float, fine: float) -> Agreement:
    """An agreement of which only these two figures matter here."""
    return Agreement(score, score, fine, score, 40, 50, 1.0, 1.0, score, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0))


@given(
    score=st.floats(0.5, 0.98), fine=st.floats(0.3, 0.98), distance=st.floats(0.0, 0.17), common=st.integers(50, 400)
)
def test_better_figures_are_never_less_certain(score: float, fine: float, distance: float, common: int) -> None:
    here = certainty(distance, common, agreement(score, fine))
    assert certainty(distance, common + 20, agreement(score, fine)) >= here
    assert certainty(distance, common, agreement(score + 0.01, fine)) >= here
    assert certainty(distance, common, agreement(score, fine + 0.01)) >= here
    assert certainty(distance + 0.01, common, agreement(score, fine)) <= here


def test_a_larger_cloud_asks_for_more_and_a_small_one_never_for_less_than_was_seen() -> None:
    asked = [needed(cameras) for cameras in (0, 1, 2, 1_000, 100_000, 1_000_000, 10_000_000)]
    assert asked == sorted(asked)
    assert asked[0] == LEAST


def test_ten_times_the_cameras_ask_for_two_powers_of_ten_of_pairs() -> None:
    assert needed(10_000_000) - needed(1_000_000) == pytest.approx(needed(1_000_000) - needed(100_000), abs=0.01)


@pytest.mark.parametrize(("cameras", "bound"), [(1_000, LEAST), (100_000, 1.45), (1_000_000, 1.87), (10_000_000, 2.29)])
def test_level_is_the_upper_bound_that_was_measured_or_the_highest_that_was_seen(cameras: int, bound: float) -> None:
    assert needed(cameras) == pytest.approx(bound, abs=0.02)
