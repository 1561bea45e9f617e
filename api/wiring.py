"""Which intake fills which place: judging here, or producing to Kafka, as the settings say.

Owns what each needs. Refuses to know HTTP, so that a process which only judges serves none.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

from api.intake import Intake
from api.judging import Judging
from api.producing import Producing
from models.fingerprint import Still
from models.records import Judgement
from streams.judge import tell_stored
from streams.kafka.client import Outlet
from streams.kafka.topics import require_topics
from streams.metrics import Metrics
from streams.settings import Settings
from streams.store.sql import SqlStore
from streams.warm import warm_look
from streams.wiring import decoder, open_judge


def intake_of(
    settings: Settings, metrics: Metrics, now: Callable[[], datetime], noticed: Callable[[], None] | None = None
) -> Intake:
    """The intake that takes stills in this process, not yet started. Without settings.kafka it judges, and calls
    `noticed` when it has stored notices."""
    metrics.ready.set(0)
    return _producing(settings, metrics) if settings.kafka else _judging(settings, metrics, now, noticed)


def open_look(settings: Settings) -> Callable[[bytes], Still]:
    """What looks at pictures as the judge would, with all loaded that it needs. Raises what opening the store does."""
    with SqlStore(settings.store) as store:
        decode = decoder(settings, store)
    warm_look(decode)
    return decode.still


def _judging(
    settings: Settings, metrics: Metrics, now: Callable[[], datetime], noticed: Callable[[], None] | None
) -> Intake:
    def stored(judgement: Judgement) -> None:
        moment, delivered = now(), judgement.delivery.time
        metrics.lag_seconds.set_function(lambda: max(0.0, (now() - delivered).total_seconds()))
        for alert in judgement.alerts:
            tell_stored(alert)
            metrics.alert_seconds.observe(max(0.0, (moment - alert.delivered_at).total_seconds()))

    return Judging(
        partial(open_judge, settings, metrics, who="serve", noticed=noticed),
        batch=settings.batch_stills,
        ready=metrics.ready.set,
        stored=stored,
    )


def _producing(settings: Settings, metrics: Metrics) -> Intake:
    def look() -> str:
        require_topics(settings)
        return ""

    return Producing(partial(Outlet, settings), look, ready=metrics.ready.set)
