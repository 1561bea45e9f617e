"""The simulated display maker: it believes signed hooks only, and holds back exactly the scope that it was told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from detector.scope import Breadth, Scope, link, scope
from models.records import AccountId, CameraId, Delivery, DeliveryId
from streams.outbox.secret import secret_of
from streams.outbox.webhook import signed
from streams.simulator.maker import Maker

SECRET = secret_of(b"key", "hk-1", 1)
NODE = scope(Breadth.NODE, "home-display", {"cachenode": "cache-3"})


@pytest.fixture
def maker() -> Iterator[Maker]:
    with Maker() as made:
        made.trust(SECRET)
        yield made


def tell(maker: Maker, type_: str, of: Scope, version: int = 1, secret: str = SECRET, **more: Any) -> int:
    """Call the maker's hook as the dispatcher does; the status that it answers."""
    data = {"suspension": of.id, "version": version, "scope": of.record(), **more}
    body = json.dumps({"type": type_, "timestamp": "2019-12-26T12:00:00Z", "data": data}).encode()
    headers = signed([secret], f"no-{of.id}-{version}", datetime.now(UTC), body)
    return httpx.post(maker.url, content=body, headers=headers).status_code


def passes(maker: Maker, account: str = "acct-1", **attributes: str) -> bool:
    found = {"integration": "home-display", "cachenode": "cache-3"} | attributes
    key = DeliveryId("/test", "1")
    return maker.gate(Delivery(key, datetime(2019, 12, 26, tzinfo=UTC), AccountId(account), CameraId("cam-1"), found))


def test_what_was_requested_is_held_back_and_everything_else_goes_on(maker: Maker) -> None:
    assert passes(maker)
    assert tell(maker, "suspension.requested", NODE) == 204
    assert not passes(maker)
    assert passes(maker, cachenode="cache-4")
    assert passes(maker, integration="camera-app")


def test_an_account_link_is_held_back_for_that_account_only(maker: Maker) -> None:
    assert tell(maker, "suspension.requested", link("home-display", "acct-1")) == 204
    assert not passes(maker, "acct-1")
    assert passes(maker, "acct-2")


def test_what_is_signed_with_another_secret_moves_nothing(maker: Maker) -> None:
    assert tell(maker, "suspension.requested", NODE, secret=secret_of(b"stranger", "hk-1", 1)) == 401
    assert passes(maker)
    assert maker.refused == 1


def test_a_maker_without_a_secret_believes_nobody() -> None:
    with Maker() as maker:
        assert tell(maker, "suspension.requested", NODE) == 401
        assert passes(maker)


def test_a_lifted_scope_opens_and_an_older_request_does_not_shut_it_again(maker: Maker) -> None:
    tell(maker, "suspension.requested", NODE, 1)
    tell(maker, "suspension.changed", NODE, 2, state="suspended", share=0.0)
    assert not passes(maker)
    tell(maker, "suspension.lifted", NODE, 3)
    assert passes(maker)
    assert tell(maker, "suspension.requested", NODE, 1) == 204
    assert passes(maker)


def test_an_order_is_known_to_be_answered_only_once_it_was(maker: Maker) -> None:
    assert maker.await_request(NODE.id, 1, 0) is None
    tell(maker, "suspension.requested", NODE, 1)
    assert maker.await_request(NODE.id, 1, 10) is not None
    assert maker.await_request(NODE.id, 2, 0) is None
