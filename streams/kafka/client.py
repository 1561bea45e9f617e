"""Kafka's clients as Strayframe uses them: made from the settings, and a producer that tells what was acknowledged.

Owns client options and what an unreachable broker is called. Refuses to start without the compiled crc32c, to
commit offsets by itself, to create topics by naming them, and to judge anything. Which messages are read, and from
where on, is `streams.kafka.reader`'s; topics are `streams.kafka.topics`'.
"""

from __future__ import annotations

import importlib.util
import ssl
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Final, Protocol

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError
from kafka.net.compat import KafkaNetClient
from kafka.net.selector import NetworkSelector

from models.errors import StrayframeError
from models.records import ChangeDeployed, Delivery, Event, RightChanged, StillOpened
from streams.cloudevents import Message, partition_key, to_headers
from streams.kafka.inlet import Manager
from streams.settings import Settings

INSTANCE: Final = "judge"
"""The consumer's static member name. There is one judging process a store, so there is one member: a worker that is
started again takes its place at once (40 ms measured on loopback), where a nameless one waits until the dead member's
session has run out (45 s), and one that was stopped and wakes up is told that it was replaced."""

BOOTSTRAP_SECONDS: Final = 15.0
"""How long the first answer of a broker may take. A broker that starts answers after about 4 s on an idle core."""

SESSION_SECONDS: Final = 45.0
"""How long the group waits for a silent member; Kafka's own default. The background thread sends a heartbeat every
3 s, however long a still takes."""

POLL_SECONDS: Final = 300.0
"""Longest time between two polls, Kafka's default. The largest batch allowed, 5,000 stills, takes about 50 s."""

REQUEST_SECONDS: Final = 15.0
"""How long one request may take before it is sent again. Must lie above the broker's own waits (fetch: 0.5 s)."""

DELIVERY_SECONDS: Final = 30.0
"""How long a produced message may stay unacknowledged, retries included: two requests, and what an HTTP client or
the end of a batch can be expected to wait."""

FETCH_BYTES: Final = 8 * 1024 * 1024
"""Bytes that one fetch may bring: some 50 stills of 144 kB, at 0.17 ms of CPU each. With half as many it is 0.22 ms: a
fetch and the poll behind it cost a millisecond whatever they bring, and each partition's last batch comes cut off."""

FETCH_WAIT_MS: Final = 100
"""How long a broker holds back the answer to a fetch while it has nothing. When the rights are read, such a fetch is
under way that does not ask for stills: the first of them waits for its end. Kafka's default is 500; an idle worker pays
0.4 % of a core for ten a second."""

PARTITION_FETCH_BYTES: Final = 4 * 1024 * 1024
"""Bytes that one fetch may bring from one partition. The client asks for more when it has handed out what it holds, so
memory stays below two fetches a broker however far behind the worker is. A larger message is delivered all the same,
alone (KIP-74)."""

MARGIN_BYTES: Final = 1024 * 1024
"""What a message may hold beside the picture: key, headers and the batch around them; brokers count them too."""

BATCH_BYTES: Final = 512 * 1024
"""Bytes that travel as one batch to one partition: some five stills, and below a topic's default limit of 1 MiB."""

LINGER_MS: Final = 5
"""How long a batch waits for company: small beside the 15 s of a request, long enough for a burst's next message."""

PENDING_BYTES: Final = 64 * 1024 * 1024
"""Bytes produced but not acknowledged, at most: the client itself sets no limit."""


class KafkaUnavailable(StrayframeError):
    """Kafka cannot be reached, or did not do what was asked of it in time; trying again may help."""

    retry: ClassVar[bool] = True


class KafkaRefused(StrayframeError):
    """Kafka or its client will not work as things stand: a setting, a right or a topic has to change first."""


class MessageTooLarge(StrayframeError):
    """A message is larger than settings or brokers allow; no retry helps."""


class Record(Protocol):
    """A message as the consumer gives it: `timestamp` in milliseconds since 1970, by the producer's clock."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


def require_crc32c() -> None:
    """Raise KafkaRefused when the compiled checksum is missing: without it each still costs 11.5 ms more."""
    if importlib.util.find_spec("crc32c") is None:
        raise KafkaRefused(
            "the Python package crc32c is missing: without it the checksum of each still costs 11.5 ms instead of "
            "0.3 ms; install kafka-python[crc32c]"
        )


def client_options(settings: Settings) -> dict[str, Any]:
    """Options that every client shares: where the brokers are and how to prove who we are. Raises KafkaRefused."""
    options: dict[str, Any] = {
        "bootstrap_servers": [server.strip() for server in settings.kafka.split(",")],
        "security_protocol": settings.kafka_security,
        "bootstrap_timeout_ms": int(BOOTSTRAP_SECONDS * 1000),
        "request_timeout_ms": int(REQUEST_SECONDS * 1000),
    }
    if settings.kafka_security.startswith("SASL"):
        options["sasl_mechanism"] = settings.kafka_sasl
        options["sasl_plain_username"] = settings.kafka_user
        options["sasl_plain_password"] = settings.kafka_password.get_secret_value()
    if settings.kafka_security.endswith("SSL"):
        options["ssl_context"] = _certificates(settings)
    return options


def _certificates(settings: Settings) -> ssl.SSLContext:
    """Whom we trust and who we are. Made here, because the client would go on trying for ever with a missing file."""
    try:
        context = ssl.create_default_context(cafile=settings.kafka_ca or None)
        if settings.kafka_certificate:
            context.load_cert_chain(settings.kafka_certificate, settings.kafka_key or None)
    except OSError as error:  # ssl.SSLError is one of them
        raise KafkaRefused(f"kafka_ca, kafka_certificate or kafka_key cannot be used ({error})") from None
    return context


def message_bytes(settings: Settings) -> int:
    """The largest message that a topic with stills has to take: the largest still in base64, as structured events
    have it, and what is around it."""
    return settings.still_bytes * 4 // 3 + MARGIN_BYTES


def consumer(settings: Settings) -> KafkaConsumer:
    """A consumer in the group that moves no offset by itself. Raises KafkaUnavailable, KafkaRefused."""
    require_crc32c()
    with connecting(settings) as options:
        return KafkaConsumer(
            **options,
            client_id="strayframe-worker",
            group_id=settings.kafka_group,
            group_instance_id=INSTANCE,
            enable_auto_commit=False,
            auto_offset_reset="none",
            allow_auto_create_topics=False,
            isolation_level="read_committed",
            session_timeout_ms=int(SESSION_SECONDS * 1000),
            max_poll_interval_ms=int(POLL_SECONDS * 1000),
            fetch_max_wait_ms=FETCH_WAIT_MS,
            fetch_max_bytes=FETCH_BYTES,
            max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
            metrics_enabled=False,
        )


def producer(settings: Settings) -> KafkaProducer:
    """A producer whose messages count when all in-sync replicas have them. Raises as `consumer` does.

    Not the idempotent one: in kafka-python 3.0.12 that one fails everything, and for ever, after a single message that
    is too large (`classify_batch_error` answers FATAL). One request at a time keeps each key's order instead, and
    what a retry doubles is one by its id.
    """
    require_crc32c()
    with connecting(settings) as options:
        return KafkaProducer(
            **options,
            client_id="strayframe-producer",
            acks="all",
            enable_idempotence=False,
            max_in_flight_requests_per_connection=1,
            batch_size=BATCH_BYTES,
            linger_ms=LINGER_MS,
            delivery_timeout_ms=int(DELIVERY_SECONDS * 1000),
            max_block_ms=int(REQUEST_SECONDS * 1000),
            max_request_size=message_bytes(settings),
            allow_auto_create_topics=False,
            metrics_enabled=False,
        )


@contextmanager
def admin(settings: Settings) -> Iterator[KafkaAdminClient]:
    """An admin client that is closed afterwards. Raises KafkaUnavailable, KafkaRefused."""
    with connecting(settings) as options:
        client = KafkaAdminClient(**options, client_id="strayframe-admin")
    try:
        yield client
    finally:
        client.close()


@contextmanager
def connecting(settings: Settings) -> Iterator[dict[str, Any]]:
    """Options to make a client from. A client that cannot be made is let go of, with its thread and its sockets.

    kafka-python leaves both behind when the first answer does not come, and a worker tries again for hours.
    """
    made: list[KafkaNetClient] = []

    def make(**options: Any) -> KafkaNetClient:
        net = NetworkSelector(**options)
        made.append(KafkaNetClient(net, Manager(net, **options)))  # type: ignore[no-untyped-call]
        return made[-1]

    try:
        with reaching(settings):
            yield {**client_options(settings), "kafka_client": make}
    except StrayframeError:
        for client in made:
            client.close()
        raise


@contextmanager
def reaching(settings: Settings) -> Iterator[None]:
    """Turn what the client raises while it connects into a sentence that names the brokers and the likely cause."""
    try:
        yield
    except KafkaTimeoutError:
        raise KafkaUnavailable(_unreachable(settings)) from None
    except KafkaError as error:
        kind = KafkaUnavailable if error.retriable else KafkaRefused
        raise kind(f"Kafka at {settings.kafka}: {said(error)}") from None
    except (OSError, ValueError) as error:  # a certificate file that is missing, a host name that is none
        raise KafkaRefused(f"Kafka at {settings.kafka} cannot be spoken to with these settings: {error}") from None


def said(error: BaseException) -> str:
    """What a client's error says, in one line, with its kind where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


def _unreachable(settings: Settings) -> str:
    sentence = f"no Kafka broker answered at {settings.kafka} within {BOOTSTRAP_SECONDS:.0f} s"
    if settings.kafka_security == "PLAINTEXT":
        return f"{sentence}: is it running, is the address right, and does that port speak PLAINTEXT (kafka_security)?"
    if settings.kafka_security == "SSL":
        return f"{sentence}: it is not running, or it and kafka_ca or kafka_certificate do not trust each other"
    return (
        f"{sentence}: most likely kafka_user or kafka_password is wrong (brokers hang up on a wrong password "
        f"without a word), or it is not running, or that port does not speak {settings.kafka_security} with "
        f"{settings.kafka_sasl}"
    )


class Receipt:
    """A message that is on its way. It has arrived when `wait` returns."""

    def __init__(self, future: Any, size: int) -> None:
        self._future = future
        self.size = size
        self.told = False

    @property
    def done(self) -> bool:
        """Whether the broker has answered, with yes or no."""
        return bool(self._future.is_done)

    @property
    def refused(self) -> bool:
        """Whether the answer was no."""
        return bool(self._future.failed())

    def wait(self, seconds: float = DELIVERY_SECONDS) -> None:
        """Return once the broker has acknowledged it. Raises KafkaUnavailable, KafkaRefused, MessageTooLarge."""
        self.told = True
        try:
            self._future.get(timeout=seconds)
        except MessageSizeTooLargeError:
            raise MessageTooLarge(f"the brokers refuse a message of {self.size} bytes as too large") from None
        except KafkaError as error:
            kind = KafkaUnavailable if error.retriable else KafkaRefused
            raise kind(f"Kafka did not acknowledge a message: {said(error)}") from None


class Outlet:
    """Produces events, with their pictures, to the topic and partition where they belong. Safe for several threads.

    Messages with the same key keep their order. A context manager: leaving it in order waits for every
    acknowledgement; leaving it with an exception does not wait.
    """

    def __init__(self, settings: Settings) -> None:
        self._topics = settings
        self._producer = producer(settings)
        self._pending: deque[Receipt] = deque()
        self._bytes = 0
        self._refused: Receipt | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Outlet:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.flush()
        finally:
            self.close()

    def send(self, message: Message) -> Receipt:
        """Send one event; its receipt tells when it has arrived. Waits while too much is on its way.

        Raises MessageTooLarge, KafkaUnavailable, KafkaRefused.
        """
        self._make_room()
        headers = to_headers(message.event, id=message.key.id, source=message.key.source)
        if message.dataref is not None:
            headers.append(("ce_dataref", message.dataref.encode()))
        if message.trace is not None:
            headers.append(("ce_traceparent", message.trace.encode()))
        value = _body(message)
        receipt = Receipt(self._start(topic_of(message.event, self._topics), message, value, headers), len(value))
        with self._lock:
            self._pending.append(receipt)
            self._bytes += receipt.size
        return receipt

    @property
    def pending_bytes(self) -> int:
        """Bytes that were sent and not seen acknowledged yet."""
        return self._bytes

    def flush(self, seconds: float = DELIVERY_SECONDS) -> None:
        """Return once everything that was sent is acknowledged; raises what the first refused one raises, once."""
        while (receipt := self._oldest()) is not None:
            if not receipt.told:
                receipt.wait(seconds)
        refused, self._refused = self._refused, None
        if refused is not None and not refused.told:
            refused.wait(seconds)

    def close(self) -> None:
        """Let go of the connections. What is not acknowledged by then may be lost."""
        self._producer.close(timeout=1)

    def _start(self, topic: str, message: Message, value: bytes, headers: list[tuple[str, bytes]]) -> Any:
        try:
            return self._producer.send(topic, value, key=partition_key(message.event), headers=headers)
        except MessageSizeTooLargeError:
            raise MessageTooLarge(f"a message of {len(value)} bytes is larger than still_bytes allows") from None
        except KafkaTimeoutError:
            raise KafkaUnavailable(
                f"topic {topic} cannot be produced to: no broker knows it (`strayframe topics check`) or none answers"
            ) from None

    def _make_room(self) -> None:
        while self._bytes > PENDING_BYTES and (oldest := self._oldest()) is not None:
            oldest.wait()
        with self._lock:
            while self._pending and self._pending[0].done:
                receipt = self._pending.popleft()
                self._bytes -= receipt.size
                if receipt.refused and self._refused is None:
                    self._refused = receipt

    def _oldest(self) -> Receipt | None:
        with self._lock:
            if not self._pending:
                return None
            receipt = self._pending.popleft()
            self._bytes -= receipt.size
            return receipt


def topic_of(event: Event, settings: Settings) -> str:
    """The topic that an event belongs to."""
    match event:
        case Delivery() | StillOpened():
            return settings.topic_stills
        case RightChanged():
            return settings.topic_rights
        case ChangeDeployed():
            return settings.topic_changes


def _body(message: Message) -> bytes:
    """The message's value. Never null, also where there is nothing to say: a compacted topic deletes null values."""
    if isinstance(message.event, Delivery):
        return message.data or b""
    return b"{}"
