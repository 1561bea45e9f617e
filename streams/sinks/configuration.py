"""The file that names the sinks: one TOML table for each, its secrets named and never written there.

Owns the names of options, what is accepted, and where a secret is read. Refuses unknown options and bad values at the
start, naming sink, option and what is accepted. No message repeats a secret.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator, model_validator

from detector.notice import NoticeType
from streams.settings import SettingsError
from streams.sinks.cef import FACILITIES
from streams.sinks.severity import Severity

NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
"""A sink's name is in its calls for ever, in paths and in logs."""


class SinkError(SettingsError):
    """A sink is configured in a way that cannot work; the message names the file, the sink and the option."""


class Secret(BaseModel):
    """Where a secret lies: `{env = "NAME"}` or `{file = "PATH"}`. It is read anew for each use."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    env: str | None = None
    file: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _named(cls, given: object) -> object:
        if isinstance(given, str):
            raise ValueError('a secret is not written here: say where it lies, {env = "NAME"} or {file = "PATH"}')
        return given

    @model_validator(mode="after")
    def _one(self) -> Secret:
        if (self.env is None) == (self.file is None):
            raise ValueError('name one place: {env = "NAME"} or {file = "PATH"}')
        return self

    def read(self) -> str:
        """The secret. Raises SinkError where it is not there."""
        if self.env is not None:
            found = os.environ.get(self.env, "").strip()
            where = f"the environment variable {self.env}"
        else:
            where = f"the file {self.file}"
            try:
                found = Path(str(self.file)).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise SinkError(f"{where} cannot be read ({getattr(error, 'strerror', None) or 'not UTF-8'})") from None
        if not found:
            raise SinkError(f"{where} is missing or empty")
        return found


class Spec(BaseModel):
    """What every sink may be told: of which integrations, of which types, from which severity on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    integrations: frozenset[str] | None = None
    events: frozenset[NoticeType] | None = None
    severity: Literal["informational", "low", "medium", "high", "critical"] = "informational"

    @property
    def least(self) -> Severity:
        """The least severity that it is told of; endings are told in any case."""
        return Severity[self.severity.upper()]

    def secrets(self) -> Iterator[tuple[str, Secret]]:
        """Its secrets by the names of their options."""
        for name in type(self).model_fields:
            if isinstance(value := getattr(self, name), Secret):
                yield name, value


Url = Annotated[str, Field(pattern=r"^https?://[^\s@#]+$", max_length=2000)]
Label = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]


class _Ocsf(Spec):
    assignee_group: str = Field("unassigned", min_length=1)


class _Web(Spec):
    url: Url
    ca: str | None = None


class OcsfFile(_Ocsf):
    """OCSF events as JSON lines at the end of a file."""

    type: Literal["ocsf-file"]
    path: str = Field(min_length=1)


class OcsfKafka(_Ocsf):
    """OCSF events on a topic; servers and security are those of the settings, other `servers` may be named."""

    type: Literal["ocsf-kafka"]
    topic: str = Field(pattern=r"^[a-zA-Z0-9._-]{1,249}$")
    servers: str | None = None


class OcsfHttp(_Ocsf, _Web):
    """OCSF events, each posted as a JSON object. `authorization` is the whole value of that header."""

    type: Literal["ocsf-http"]
    authorization: Secret | None = None
    headers: dict[str, str] = Field(default_factory=dict)


class CefSyslog(Spec):
    """CEF over syslog: TCP, or TLS with a certificate of one's own where the receiver asks for one."""

    type: Literal["cef-syslog"]
    host: str = Field(min_length=1)
    port: int = Field(ge=1, le=65535)
    tls: bool = True
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    facility: str = "local0"

    @field_validator("facility")
    @classmethod
    def _known(cls, text: str) -> str:
        if text not in FACILITIES:
            raise ValueError(f"one of {', '.join(FACILITIES)}")
        return text


class PagerDuty(_Web):
    """PagerDuty's Events API v2. `routing_key` is the service's integration key."""

    type: Literal["pagerduty"]
    routing_key: Secret
    url: Url = "https://events.pagerduty.com/v2/enqueue"


class Alertmanager(_Web):
    """Alertmanager's API v2; `url` is where it is, without /api. What stands is said again every minute."""

    type: Literal["alertmanager"]
    authorization: Secret | None = None
    labels: dict[Label, str] = Field(default_factory=dict)
    expires_minutes: float = Field(15.0, ge=3, le=1440)


class Splunk(_Web):
    """Splunk's HTTP Event Collector; `url` is where it is, without /services."""

    type: Literal["splunk"]
    token: Secret
    index: str | None = None
    sourcetype: str = "strayframe:ocsf"


class Apprise(Spec):
    """Anything that Apprise knows: `url` is Apprise's, a secret as a whole."""

    type: Literal["apprise"]
    url: Secret


Known = OcsfFile | OcsfKafka | OcsfHttp | CefSyslog | PagerDuty | Alertmanager | Splunk | Apprise
TYPES: Final = ("ocsf-file", "ocsf-kafka", "ocsf-http", "cef-syslog", "pagerduty", "alertmanager", "splunk", "apprise")
_ANY: Final[TypeAdapter[Known]] = TypeAdapter(Annotated[Known, Field(discriminator="type")])


def read(path: Path) -> list[Known]:
    """The sinks of a file, in its order. Every secret is looked for. Raises SinkError."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SinkError(f"{path}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SinkError(f"{path}: not valid TOML ({error})") from None
    found = [_spec(path, name, table) for name, table in tables.items()]
    for spec in found:
        for option, secret in spec.secrets():
            try:
                secret.read()
            except SinkError as error:
                raise SinkError(f"{path}: [{spec.name}] {option}: {error}") from None
    return found


def _spec(path: Path, name: str, table: Any) -> Known:
    if not isinstance(table, dict):
        raise SinkError(f"{path}: {name} stands outside of a table; each sink is a table, [NAME]")
    if not NAME.fullmatch(name):
        raise SinkError(f"{path}: [{name}] a sink's name has small letters, digits and -, 63 at most")
    if table.get("type") not in TYPES:
        raise SinkError(f"{path}: [{name}] type: {table.get('type')!r} is none; there are {', '.join(TYPES)}")
    try:
        return _ANY.validate_python({**table, "name": name})
    except ValidationError as error:
        raise SinkError("; ".join(f"{path}: [{name}] {_explained(detail)}" for detail in error.errors())) from None


def _explained(detail: Any) -> str:
    """What is wrong with an option. What was given is not repeated: it may be a secret in the wrong place."""
    option = ".".join(str(part) for part in detail["loc"] if part not in TYPES)
    if detail["type"] == "extra_forbidden":
        return f"{option}: there is no such option"
    return f"{option}: {detail['msg'].removeprefix('Value error, ')}"
