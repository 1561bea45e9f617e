"""The sinks that the settings name, each made from its table.

Owns which class serves which type. Refuses two of one name: TOML does.
"""

from __future__ import annotations

from pathlib import Path

from streams.settings import Settings
from streams.sinks.alertmanager import AlertmanagerSink
from streams.sinks.configuration import (
    Alertmanager,
    Apprise,
    CefSyslog,
    Known,
    OcsfFile,
    OcsfHttp,
    OcsfKafka,
    PagerDuty,
    SinkError,
    Splunk,
    read,
)
from streams.sinks.sink import Sink


def sinks_of(settings: Settings) -> list[Sink]:
    """The sinks of the file that the settings name, in its order; none without one. Raises SinkError."""
    if not settings.sinks:
        return []
    path = Path(settings.sinks)
    made = []
    for spec in read(path):
        try:
            made.append(_made(spec, settings))
        except SinkError as error:
            said = str(error).removeprefix(f"[{spec.name}] ")
            raise SinkError(f"{path}: [{spec.name}] {said}") from None
    return made


def _made(spec: Known, settings: Settings) -> Sink:
    match spec:
        case OcsfFile():
            from streams.sinks.file import FileSink

            return FileSink(spec)
        case OcsfKafka():
            from streams.sinks.kafka import KafkaSink

            return KafkaSink(spec, settings)
        case OcsfHttp():
            from streams.sinks.http import HttpSink

            return HttpSink(spec)
        case CefSyslog():
            from streams.sinks.syslog import SyslogSink

            return SyslogSink(spec)
        case PagerDuty():
            from streams.sinks.pagerduty import PagerDutySink

            return PagerDutySink(spec)
        case Alertmanager():
            return AlertmanagerSink(spec)
        case Splunk():
            from streams.sinks.splunk import SplunkSink

            return SplunkSink(spec)
        case Apprise():
            from streams.sinks.apprise import AppriseSink

            return AppriseSink(spec)
