"""What a webhook is made of: signatures, secrets, addresses that may be reached, what an answer means."""

from __future__ import annotations

import asyncio
import ipaddress
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from programs import free_port
from receivers import Receiver, hang, status

from streams.outbox import http
from streams.outbox.http import NoAnswer, post
from streams.outbox.reach import BadHookUrl, Reach, Unreachable
from streams.outbox.secret import secret_of
from streams.outbox.webhook import BadSecret, BadSignature, signed, verified
from streams.settings import SettingsError, load

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LOOPBACK = Reach((ipaddress.ip_network("127.0.0.0/8"),))
SECRET = secret_of(b"key", "hk-1", 1)


def test_a_signature_is_of_the_moment_whatever_its_zone() -> None:
    told, at = b"{}", datetime.now(UTC)
    elsewhere = at.astimezone(timezone(timedelta(hours=-8)))
    assert signed([SECRET], "no-1", elsewhere, told) == signed([SECRET], "no-1", at, told)
    assert verified(SECRET, signed([SECRET], "no-1", elsewhere, told), told) == {}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"webhook-signature": "v1"},
        {"webhook-signature": "v1,\u00e9"},
        {"webhook-timestamp": "nan"},
        {"webhook-timestamp": "1"},
        {"webhook-timestamp": "99999999999999999999"},
        {"webhook-id": "no-2"},
    ],
    ids=str,
)
def test_whatever_is_wrong_with_a_webhook_is_one_error(headers: dict[str, str]) -> None:
    good = signed([SECRET], "no-1", datetime.now(UTC), b"{}")
    with pytest.raises(BadSignature):
        verified(SECRET, good | headers if headers else {}, b"{}")
    for body in (b"\xff", b"{", b"[]x"):
        with pytest.raises(BadSignature):
            verified(SECRET, good, body)


def test_a_secret_that_is_none_is_told() -> None:
    for secret in ("", "whsec_", "whsec_\u00e9"):
        with pytest.raises(BadSecret):
            signed([secret], "no-1", NOON, b"{}")


@given(st.binary(min_size=1), st.text(min_size=1), st.integers(1, 5))
def test_each_hook_and_rotation_has_a_secret_of_its_own(key: bytes, hook: str, generation: int) -> None:
    own = secret_of(key, hook, generation)
    assert own == secret_of(key, hook, generation)
    assert own not in (secret_of(key, hook, generation + 1), secret_of(key, hook + "x", generation))
    assert own != secret_of(key + b"x", hook, generation)


# --- reach ------------------------------------------------------------------------------------------------------


def test_a_name_is_resolved_once_and_every_address_of_it_is_checked() -> None:
    asked = list[str]()

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    async def both(host: str, port: int) -> list[str]:
        return ["127.0.0.1", "10.0.0.1"]

    with Receiver() as receiver:
        url = receiver.url.replace("127.0.0.1", "partner.example")
        assert asyncio.run(post(url, b"{}", {}, LOOPBACK, resolve=resolve)).status == 204
        assert asked == ["partner.example"]
        assert receiver.arrived[0].headers["host"].startswith("partner.example:")
        for resolves in (resolve, both):  # rebound, and half of it not public
            with pytest.raises(Unreachable, match=r"10\.0\.0\.1"):
                asyncio.run(post(url, b"{}", {}, LOOPBACK, resolve=resolves))
        assert len(receiver.arrived) == 1


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "255.255.255.255",
        "::",
        "fe80::1%eth0",
        "fd00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "2002:7f00:1::",
        "64:ff9b::7f00:1",
    ],
)
def test_an_address_that_is_not_public_is_not_reached(address: str) -> None:
    with pytest.raises(Unreachable):
        Reach().check(address, plain=False)


def test_public_addresses_are_reached_over_tls_and_named_networks_in_any_way() -> None:
    for address in ("93.184.216.34", "2606:4700::1111"):
        Reach().check(address, plain=False)
        with pytest.raises(Unreachable, match="https"):
            Reach().check(address, plain=True)
    named = Reach.of("10.2.0.0/16, fd00::/8")
    named.check("10.2.3.4", plain=True)
    named.check("fd00::1", plain=True)
    with pytest.raises(Unreachable):
        named.check("10.3.0.1", plain=False)


def test_a_network_that_is_none_is_told_by_the_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="hook_networks"):
        load({"hook_networks": "10.0.0.0/8,nonsense"}, {}, None)


def test_a_name_without_an_address_and_a_silent_receiver_are_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unreachable, match="no address"):
        asyncio.run(post("https://nowhere.invalid/", b"{}", {}, LOOPBACK))
    for no_name in ("a..invalid", f"{'a' * 64}.invalid"):
        with pytest.raises(Unreachable, match="no address"):
            asyncio.run(post(f"https://{no_name}/", b"{}", {}, LOOPBACK, seconds=5))
    with Receiver([hang]) as receiver, pytest.raises(NoAnswer, match=r"within 0\.3 s"):
        asyncio.run(post(receiver.url, b"{}", {}, LOOPBACK, seconds=0.3))
    with pytest.raises(NoAnswer, match="ConnectError"):
        asyncio.run(post(f"http://127.0.0.1:{free_port()}/", b"{}", {}, LOOPBACK))
    with pytest.raises(BadHookUrl):
        LOOPBACK.check_url("https://" + "x" * http.SAYS_BYTES * 10)


def test_an_answer_may_ask_for_a_pause_in_seconds_or_until_a_date() -> None:
    later = (datetime.now(UTC) + timedelta(seconds=90)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    asked = (later, "7", "soon", "9" * 5000, "Fri, 01 Jan 99999999999 00:00:00 GMT")
    with Receiver([status(503, f"retry-after: {value}") for value in asked]) as r:
        after = [asyncio.run(post(r.url, b"{}", {}, LOOPBACK)).after for _ in asked]
    assert after[0] is not None
    assert timedelta(seconds=60) < after[0] <= timedelta(seconds=90)
    assert after[1:] == [timedelta(seconds=7), None, None, None]
