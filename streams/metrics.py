"""What an operator watches: Prometheus metrics, named and united as Prometheus asks. docs/metrics.md explains each.

Owns names, units and labels. No account, camera or delivery ever becomes a label: cardinality and privacy both forbid
it. A `Metrics` has a registry of its own, so that two engines in one process (tests, the demo) do not mix.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from detector.engine import Changes
from detector.suspension import State
from models.records import Judgement, Verdict

_FAST = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512)
"""Buckets in seconds for one still: decoding takes 2 to 10 ms, so each power of two tells something."""
_SLOW = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The metrics of one judging process."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        r = self.registry
        judged = Counter("strayframe_stills_judged_total", "Deliveries judged.", ["verdict"], registry=r)
        self._judged = {verdict: judged.labels(verdict.value) for verdict in Verdict}
        self.rejected = Counter(
            "strayframe_messages_rejected_total", "Messages that could not be judged.", ["reason"], registry=r
        )
        self.late = Counter(
            "strayframe_stills_late_total",
            "Deliveries whose pictures were passed over as late.",
            registry=r,
        )
        self.forwarded = Counter(
            "strayframe_messages_forwarded_total", "Messages sent on to another topic.", registry=r
        )
        self.lost = Counter(
            "strayframe_messages_lost_total",
            "Messages that the broker no longer had when they were to be read.",
            ["topic"],
            registry=r,
        )
        self._raised = Counter("strayframe_alerts_raised_total", "Alerts raised.", ["kind", "level"], registry=r)
        self._withdrawn = Counter("strayframe_alerts_withdrawn_total", "Alerts withdrawn.", registry=r)
        self.judge_seconds = Histogram(
            "strayframe_judge_seconds", "Time that the judging process took for a still.", buckets=_FAST, registry=r
        )
        self.look_seconds = Histogram(
            "strayframe_look_seconds", "Time from a still's bytes to its fingerprint.", buckets=_FAST, registry=r
        )
        self.commit_seconds = Histogram(
            "strayframe_commit_seconds", "Time of the transaction that stores a batch.", buckets=_SLOW, registry=r
        )
        self.alert_seconds = Histogram(
            "strayframe_alert_delay_seconds",
            "Time from a leaked delivery to its stored alert, by the clock on the wall.",
            buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600),
            registry=r,
        )
        self.lag_seconds = Gauge("strayframe_lag_seconds", "Age of the last delivery that was judged.", registry=r)
        self.lag_seconds.set(math.nan)  # 0 would say that all is well where nothing was judged yet
        self.behind = Gauge("strayframe_messages_behind", "Messages on Kafka that were not judged yet.", registry=r)
        self.ready = Gauge("strayframe_ready", "1 when the index is loaded and stills are judged.", registry=r)
        self.outbox_waiting = Gauge("strayframe_outbox_waiting", "Calls of hooks and sinks that wait.", registry=r)
        self.outbox_oldest_seconds = Gauge(
            "strayframe_outbox_oldest_seconds", "Age of the oldest call that waits.", registry=r
        )
        self.outbox_unknown()
        self.outbox_attempts = Counter(
            "strayframe_outbox_attempts_total", "Attempts at calls of hooks and sinks.", ["result"], registry=r
        )
        self.notice_delay_seconds = Histogram(
            "strayframe_notice_delay_seconds",
            "Time from a stored notice to the first attempt at each of its calls.",
            buckets=_SLOW,
            registry=r,
        )
        self.store_unavailable = Counter(
            "strayframe_store_unavailable_total", "Times that the store did not answer and was tried again.", registry=r
        )
        self.kill_switch = Gauge("strayframe_kill_switch", "1 while the kill switch is on.", registry=r)
        self.kill_switch.set(math.nan)
        self._suspensions = Gauge("strayframe_suspensions", "Suspensions by state.", ["state"], registry=r)
        self.snapshot_time = Gauge(
            "strayframe_snapshot_timestamp_seconds", "When the last snapshot was written.", registry=r
        )
        for result in ("delivered", "retry", "gone", "dry_run"):
            self.outbox_attempts.labels(result)
        for reason in ("not_json", "missing_attribute", "bad_attribute", "bad_time", "unknown_type", "no_picture"):
            self.rejected.labels(reason)

    def judged(self, judgement: Judgement) -> None:
        """Count one verdict."""
        self._judged[judgement.verdict].inc()

    def stored(self, changes: Changes) -> None:
        """Count what a stored batch raised and withdrew."""
        for alert in changes.raised:
            self._raised.labels(alert.kind.value, alert.level.value).inc()
        self._withdrawn.inc(len(changes.withdrawn))

    def outbox_unknown(self) -> None:
        """Nothing is known of the outbox: this process does not dispatch."""
        self.outbox_waiting.set(math.nan)
        self.outbox_oldest_seconds.set(math.nan)

    def switches(self, killed: bool, suspensions: Mapping[State, int]) -> None:
        """Tell how the switches stand."""
        self.kill_switch.set(killed)
        for state in State:
            self._suspensions.labels(state.value).set(suspensions.get(state, 0))

    def switches_unknown(self) -> None:
        """Nothing is known of them: this process does not look."""
        self.kill_switch.set(math.nan)
        self._suspensions.clear()
