"""What the API answers about sinks, as the OpenAPI document has it.

Owns names, meanings and examples. Refuses to hold a secret: a sink's body says where it leads, never by which token.
"""

from __future__ import annotations

from pydantic import Field

from api.schemas import Answer, Instant
from streams.sinks.sink import Sink
from streams.store.outbox import Waiting


class SinkBody(Answer):
    """A sink, as the file of sinks has it, and what waits for it."""

    name: str = Field(examples=["soc"])
    type: str = Field(description="Which protocol it speaks.", examples=["splunk"])
    place: str = Field(description="Where it leads.", examples=["https://splunk.example:8088/services/collector/event"])
    integrations: list[str] | None = Field(description="Only notices of these; null: of any.")
    events: list[str] | None = Field(description="Types that it is told of; null: all.")
    severity: str = Field(description="The least severity that it is told of; what ends something is told in any case.")
    waiting: int = Field(description="Notices that wait to be sent, or sent again.")
    oldest: Instant | None = Field(description="When the oldest of them was stored; null: none waits.")

    @classmethod
    def of(cls, sink: Sink, waiting: Waiting | None) -> SinkBody:
        spec = sink.spec
        return cls(
            name=spec.name,
            type=str(getattr(spec, "type", "")),
            place=sink.place,
            integrations=None if spec.integrations is None else sorted(spec.integrations),
            events=None if spec.events is None else sorted(event.value for event in spec.events),
            severity=spec.severity,
            waiting=0 if waiting is None else waiting.count,
            oldest=None if waiting is None else waiting.oldest,
        )


class SinkList(Answer):
    """All sinks, in the order of their file."""

    items: list[SinkBody]
