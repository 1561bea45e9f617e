"""Traces: from a delivered still over its verdict to the hook that it caused, by OpenTelemetry (extra `otel`).

Owns whether spans are made (setting `traces`), and how a span is named in W3C's traceparent, the one form in which a
trace crosses a store, a broker or a hook. Off, a traceparent that came with a still is handed on as it came, nothing is
imported. Refuses to be the process's global provider: libraries that look for one make no spans of their own.

https://www.w3.org/TR/trace-context/ - where spans go, and how many, OTEL_* variables say (the SDK reads them).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from models.errors import StrayframeError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

_FORM: Final = re.compile(r"[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
LONGEST: Final = 128
"""Characters of a traceparent: 55 in the version of today, and some room for another one's."""


class NoTelemetry(StrayframeError):
    """Traces are wanted, and OpenTelemetry is not installed: `pip install 'strayframe[otel]'`."""


def accepted(traceparent: object) -> str | None:
    """The traceparent if it is one. Another one is ignored, as W3C asks: a trace begins anew."""
    if not isinstance(traceparent, str) or len(traceparent) > LONGEST or not _FORM.fullmatch(traceparent):
        return None
    return traceparent


class _Tracing:
    """What this process does about spans; `begin` changes it once, before anything is judged."""

    provider: TracerProvider | None = None


def is_on() -> bool:
    """Whether spans are made."""
    return _Tracing.provider is not None


def begin(exporter: SpanExporter | None = None) -> None:
    """Make spans from now on, and export them by OTLP (or to `exporter`, each as it ends). Raises NoTelemetry."""
    try:
        from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

        if exporter is None:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError:
        raise NoTelemetry("traces need OpenTelemetry: pip install 'strayframe[otel]'") from None
    unnamed = Resource({SERVICE_NAME: "strayframe"})
    provider = TracerProvider(
        resource=unnamed.merge(OTELResourceDetector().detect())
    )  # it exports what is left when the process ends
    processor = BatchSpanProcessor(OTLPSpanExporter()) if exporter is None else SimpleSpanProcessor(exporter)
    provider.add_span_processor(processor)
    _Tracing.provider = provider


def end() -> None:
    """Export what is left, and make no more spans."""
    if _Tracing.provider is not None:
        _Tracing.provider.shutdown()
        _Tracing.provider = None


class Span:
    """What a block may say of itself, and what names it to others."""

    def __init__(self, traceparent: str | None, span: Any = None) -> None:
        self.traceparent = traceparent
        self._span = span

    def say(self, **attributes: str | int) -> None:
        """Add attributes; their names' underscores are dots."""
        if self._span is not None:
            self._span.set_attributes(_dotted(attributes))


@contextmanager
def span(name: str, parent: str | None, *, kind: str = "INTERNAL", **attributes: str | int) -> Iterator[Span]:
    """A span around the block, below the one that `parent` names. Off, the block stands for `parent` itself."""
    if _Tracing.provider is None:
        yield Span(parent)
        return
    from opentelemetry.trace import SpanKind
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    propagator = TraceContextTextMapPropagator()
    above = propagator.extract({} if parent is None else {"traceparent": parent})
    tracer = _Tracing.provider.get_tracer("strayframe")
    with tracer.start_as_current_span(
        name, context=above, kind=SpanKind[kind], attributes=_dotted(attributes)
    ) as current:
        carrier: dict[str, str] = {}
        propagator.inject(carrier)
        yield Span(carrier.get("traceparent"), current)


def _dotted(attributes: dict[str, str | int]) -> dict[str, str | int]:
    return {name.replace("_", "."): value for name, value in attributes.items()}
