"""Kafka behind TLS: a name with a password (SCRAM), or a certificate of one's own, from settings alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from cloud import Cloud, delivered, enrolled
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from kafka import KafkaAdminClient
from kafka.admin import ScramMechanism, UserScramCredentialUpsertion
from programs import free_port
from pydantic import SecretStr
from services import Broker

from streams.kafka import client as clients
from streams.kafka.client import KafkaRefused, KafkaUnavailable
from streams.kafka.topics import check_topics
from streams.settings import Settings

pytestmark = [pytest.mark.filterwarnings("ignore:unclosed <:ResourceWarning"), pytest.mark.usefixtures("swept")]


class Guarded(Broker):
    """A broker with two more listeners: NAMED wants a user by SCRAM over TLS, CARD a client's certificate."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.named, self.card = free_port(), free_port()
        self.authority = trustme.CA()
        self.own = self.authority.issue_cert("127.0.0.1")

    def _defaults(self, controller: int) -> dict[str, str]:
        self.authority.cert_pem.write_to_path(self.folder / "ca.pem")
        key = load_pem_private_key(self.own.private_key_pem.bytes(), None)
        chain = b"".join(each.bytes() for each in self.own.cert_chain_pems)
        pkcs8 = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (self.folder / "broker.pem").write_bytes(pkcs8 + chain)
        plain = super()._defaults(controller)
        guarded = f"NAMED://127.0.0.1:{self.named},CARD://127.0.0.1:{self.card}"
        scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        return plain | {
            "listeners": f"{plain['listeners']},{guarded}",
            "advertised.listeners": f"{plain['advertised.listeners']},{guarded}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,NAMED:SASL_SSL,CARD:SSL",
            "sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512",
            "listener.name.named.scram-sha-512.sasl.jaas.config": scram,
            "listener.name.named.scram-sha-256.sasl.jaas.config": scram,
            "listener.name.card.ssl.client.auth": "required",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.folder / "broker.pem"),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.folder / "ca.pem"),
        }


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, services: object) -> Iterator[Guarded]:
    """The broker, with a user `judge`."""
    broker = Guarded(tmp_path_factory.mktemp("guarded") / "broker")
    broker.start()
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
        admin.alter_user_scram_credentials([UserScramCredentialUpsertion("judge", mechanism, "right")])
    admin.close()
    yield broker
    broker.kill()


def by_name(broker: Guarded, password: str = "right", mechanism: str = "SCRAM-SHA-512") -> dict[str, Any]:
    """Settings of one who has a name and a password."""
    return {
        "kafka": f"127.0.0.1:{broker.named}",
        "kafka_security": "SASL_SSL",
        "kafka_sasl": mechanism,
        "kafka_user": "judge",
        "kafka_password": SecretStr(password),
        "kafka_ca": str(broker.folder / "ca.pem"),
    }


def by_card(broker: Guarded, authority: trustme.CA, folder: Path) -> dict[str, Any]:
    """Settings of one who has a certificate that `authority` signed."""
    own = authority.issue_cert("judge@strayframe.test")
    own.private_key_pem.write_to_path(folder / "judge.key")
    own.cert_chain_pems[0].write_to_path(folder / "judge.pem")
    return {
        "kafka": f"127.0.0.1:{broker.card}",
        "kafka_security": "SSL",
        "kafka_ca": str(broker.folder / "ca.pem"),
        "kafka_certificate": str(folder / "judge.pem"),
        "kafka_key": str(folder / "judge.key"),
    }


def judged_through(broker: Guarded, folder: Path, security: dict[str, Any]) -> dict[str, int]:
    """What a worker judges that makes topics, produces, consumes and leaves its group behind those settings."""
    place = Cloud(broker.bootstrap, f"sqlite:///{folder}/store.db")
    place.settings = place.settings.model_copy(update=security)
    place.produce([enrolled(0), enrolled(1), *(delivered(n, 0) for n in range(4)), delivered(4, 1, viewer=0)])
    open_door = place.settings
    place.settings = place.settings.model_copy(update={"kafka": broker.bootstrap, "kafka_security": "PLAINTEXT"})
    ends = place.ends()
    place.settings = open_door
    place.ends = lambda: ends  # type: ignore[method-assign]
    place.judge_all()
    assert check_topics(open_door) == []
    return place.verdicts()


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "SCRAM-SHA-256"])
def test_a_worker_judges_over_tls_with_a_name_and_a_password(guarded: Guarded, tmp_path: Path, mechanism: str) -> None:
    verdicts = judged_through(guarded, tmp_path, by_name(guarded, mechanism=mechanism))
    assert (sum(verdicts.values()), verdicts["leak"]) == (5, 1)


def test_a_worker_judges_over_tls_with_a_certificate_of_its_own(guarded: Guarded, tmp_path: Path) -> None:
    verdicts = judged_through(guarded, tmp_path, by_card(guarded, guarded.authority, tmp_path))
    assert (sum(verdicts.values()), verdicts["leak"]) == (5, 1)


def test_a_wrong_password_gets_nowhere_and_is_not_told(guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "BOOTSTRAP_SECONDS", 3.0)
    with pytest.raises((KafkaUnavailable, KafkaRefused), match="kafka_password is wrong") as wrong:
        check_topics(Settings(**by_name(guarded, password="guess")))
    assert "guess" not in str(wrong.value)


def test_a_strangers_certificate_gets_nowhere(
    guarded: Guarded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "BOOTSTRAP_SECONDS", 3.0)
    with pytest.raises((KafkaUnavailable, KafkaRefused), match="kafka_c"):
        check_topics(Settings(**by_card(guarded, trustme.CA(), tmp_path)))


def test_a_broker_that_our_authority_did_not_sign_is_not_spoken_to(
    guarded: Guarded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "BOOTSTRAP_SECONDS", 3.0)
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    other = by_name(guarded) | {"kafka_ca": str(tmp_path / "other.pem")}
    with pytest.raises((KafkaUnavailable, KafkaRefused)):
        check_topics(Settings(**other))
