"""Settings: every one of them, with its meaning, its default and where its value came from.

Owns the names. The same name is an environment variable behind the prefix `STRAYFRAME_`, a key in strayframe.toml
and, with dashes, a command-line option; the option wins over the environment, the environment over the file, the
file over the default. Refuses unknown keys and bad values at the start, naming key, value and what is accepted.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from detector.access import Role
from models.errors import StrayframeError

PREFIX = "STRAYFRAME_"
FILE = Path("strayframe.toml")


class SettingsError(StrayframeError):
    """A setting is unknown or has a value that is not accepted; the message names it and says what is."""


_ORIGIN = re.compile(r"https?://([a-z0-9._-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?")


def _origins(given: object) -> object:
    """A list of origins as text, separated by commas, or as a TOML array; as `streams.claims.origin_of` writes them."""
    names = given.split(",") if isinstance(given, str) else given
    if not isinstance(names, list | tuple):
        return given
    found = [str(name).strip().lower().rstrip("/") for name in names if str(name).strip()]
    for name in found:
        if not _ORIGIN.fullmatch(name):
            raise ValueError(f"{name!r} is not http(s)://HOST[:PORT]")
    return tuple(re.sub(r"^(https://.*):443$|^(http://.*):80$", r"\1\2", name) for name in found)


def roles_of(text: str) -> dict[str, frozenset[Role]]:
    """The roles that each value of a claim stands for, as oidc_roles_map writes it. Raises ValueError."""
    found: dict[str, frozenset[Role]] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        value, equals, role = part.rpartition("=")
        if not equals or role not in set(Role):
            raise ValueError(f"{part!r} is not VALUE=ROLE; the roles are {', '.join(Role)}")
        found[value] = found.get(value, frozenset()) | {Role(role)}
    return found


class Settings(BaseModel):
    """All settings. Field descriptions are what `strayframe settings` and docs/settings.md show."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, defer_build=True)

    store: str = Field(
        "sqlite:///strayframe.db",
        description="Database URL of the store: sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME.",
    )
    kafka: str = Field(
        "",
        description="Kafka bootstrap servers, HOST:PORT[,HOST:PORT...]. Empty: no Kafka; `serve` judges by itself.",
    )
    kafka_group: str = Field("strayframe", description="Consumer group whose lag tools may watch.")
    kafka_security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="Security protocol towards the brokers."
    )
    kafka_sasl: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="SASL mechanism, where kafka_security names SASL."
    )
    kafka_user: str = Field("", description="SASL user name.")
    kafka_password: SecretStr = Field(SecretStr(""), description="SASL password.")
    kafka_ca: str = Field("", description="PEM file of the authority that signed the brokers' certificates.")
    kafka_certificate: str = Field(
        "", description="PEM file of the client's own certificate, where brokers ask for one."
    )
    kafka_key: str = Field("", description="PEM file of the key that belongs to kafka_certificate.")
    topic_stills: str = Field("stills.delivered", description="Topic of delivered stills.")
    topic_arrived: str = Field(
        "",
        description="Topic of stills without a key or with a foreign partitioner, for `rekey`. Empty: there is none.",
    )
    topic_scenes: str = Field(
        "",
        description="Topic of what workers saw in stills, between `--role worker` and `--role matcher`. Empty: none.",
    )
    topic_rights: str = Field("cameras.rights", description="Topic of enrolments and grants.")
    topic_changes: str = Field("changes.deployed", description="Topic of deployed changes.")
    topic_rejected: str = Field(
        "stills.rejected", description="Dead-letter topic: what could not be judged, with the reason."
    )
    batch_stills: int = Field(200, ge=1, le=5000, description="Deliveries judged per database transaction, at most.")
    batch_seconds: float = Field(
        0.5, gt=0, le=60, description="Seconds after which a batch is stored even when it is not full."
    )
    when_behind: Literal["all", "newest"] = Field(
        "all",
        description="Stills that are late: all are judged; or of those older than late_seconds the rights alone are, "
        "so that the newest are judged in time.",
    )
    late_seconds: float = Field(300.0, gt=0, description="Seconds on Kafka after which a still is late.")
    lease_seconds: float = Field(
        15.0,
        ge=1,
        le=600,
        description="Seconds without a heartbeat after which another judge may take the store over.",
    )
    processes: int = Field(
        1,
        ge=1,
        le=256,
        description="Processes that look at stills, beside the one that judges. 1: the judging process looks itself.",
    )
    snapshot: str = Field(
        "",
        description="File to which what the index holds is written, so that the next start is fast. Empty: none.",
    )
    snapshot_minutes: float = Field(
        15.0, gt=0, le=1440, description="Minutes between two snapshots; one more is written at the end."
    )
    digest_key: SecretStr = Field(
        SecretStr(""),
        description="Key of the digests of stills, as text. Empty: one is drawn once and kept in the store.",
    )
    hook_key: SecretStr = Field(
        SecretStr(""),
        description="Key that secrets of hooks derive from, as text. Empty: one is drawn once and kept in the store.",
    )
    hook_networks: str = Field(
        "",
        description="Networks that hooks may reach beside public addresses, with commas: 10.2.0.0/16,127.0.0.1/32.",
    )
    outbox_days: float = Field(
        30.0,
        ge=1,
        le=3650,
        description="Days for which notices that are done with are kept, with what became of them.",
    )
    sinks: str = Field(
        "",
        description="TOML file that names the sinks: SIEM, pager, files. Empty: none.",
    )
    policy_mode: Literal["off", "shadow", "propose", "auto"] = Field(
        "shadow", description="What the policy may do for an integration for which nobody has set a mode."
    )
    policy_pairs: int = Field(
        3, ge=2, description="Owner-viewer pairs that share a scope, from which on it is suspended."
    )
    policy_minutes: float = Field(10.0, gt=0, le=1440, description="Minutes within which these pairs must come.")
    policy_ratio: float = Field(
        10.0, gt=1, description="Lower 95 % bound of the ratio of leak rates in and outside of a scope that it takes."
    )
    policy_spread_pairs: int = Field(
        5, ge=2, description="Owner-viewer pairs on several nodes or regions, from which on the surface is suspended."
    )
    policy_spread_places: int = Field(2, ge=2, description="Nodes or regions over which these pairs must lie.")
    policy_per_hour: int = Field(
        20, ge=0, description="Suspensions by the policy in an hour; beyond, it proposes and pages."
    )
    policy_links_share: float = Field(
        0.01, ge=0, le=1, description="Share of an integration's links that the policy may suspend."
    )
    policy_links_least: int = Field(
        10, ge=0, description="Links that it may suspend in any case, however few the integration has."
    )
    policy_grace_seconds: float = Field(
        60.0, ge=0, le=86400, description="Seconds that a receiver may take until deliveries in a scope stop."
    )
    policy_watch_seconds: float = Field(
        120.0,
        ge=0,
        le=86400,
        description="Seconds without a delivery, at least, after which a scope counts as suspended.",
    )
    policy_clean: int = Field(
        3000, ge=1, description="Explained deliveries without a leak that promote probing, and each step of the ramp."
    )
    warm_up_cameras: int = Field(
        20, ge=0, description="Cameras of an integration that must be known before anything acts for it."
    )
    warm_up_share: float = Field(
        0.8, ge=0, le=1, description="Share of its cameras that must be known before anything acts for it."
    )
    still_bytes: int = Field(16_000_000, ge=10_000, description="Largest still accepted, in bytes.")
    still_pixels: int = Field(50_000_000, ge=100_000, description="Largest still accepted, in pixels.")
    dataref_origins: Annotated[tuple[str, ...], BeforeValidator(_origins)] = Field(
        (),
        description="Places that pictures named by `dataref` may come from, http(s)://HOST[:PORT][,...]. Empty: none.",
    )
    dataref_folder: str = Field(
        "", description="Folder that pictures named by a relative or file `dataref` lie in. Empty: none."
    )
    dataref_seconds: float = Field(
        5.0, gt=0, le=60, description="Seconds that one try to fetch a picture may take; there are three."
    )
    dataref_private: bool = Field(
        False, description="Whether dataref_origins may have private addresses, such as 10.0.0.1 or 127.0.0.1."
    )
    host: str = Field("127.0.0.1", description="Address that `serve` listens on.")
    access: Literal["open", "sign-in"] = Field(
        "open",
        description="open: whoever reaches `serve` may do everything, so it listens on this machine only; sign-in: "
        "roles and tokens say who may.",
    )
    public_url: str = Field(
        "", description="Address of `serve` as browsers see it, http(s)://HOST[:PORT]; needed where oidc_issuer is set."
    )
    session_hours: float = Field(12.0, gt=0, le=720, description="Hours after which whoever signed in has to again.")
    rate_token: int = Field(
        120_000, ge=1, description="Requests a minute that one token or session may make, of each HTTP process."
    )
    rate_address: int = Field(
        600, ge=1, description="Requests a minute without a known token or session from one address, likewise."
    )
    oidc_issuer: str = Field("", description="Issuer of the OpenID Connect provider, http(s)://... Empty: none.")
    oidc_client: str = Field("", description="Client id that the provider knows `serve` by.")
    oidc_secret: SecretStr = Field(SecretStr(""), description="Client secret; empty for a public client.")
    oidc_scope: str = Field("openid email profile", description="Scopes that the provider is asked for.")
    oidc_name: str = Field("email", description="Claim that names a person; a name once met stays that person's.")
    oidc_roles: str = Field(
        "roles", description="Claim that holds a person's roles or groups; realm_access.roles goes into an object."
    )
    oidc_roles_map: str = Field(
        "", description="What the claim's values mean, VALUE=ROLE[,...]. Empty: they are the roles' own names."
    )
    port: int = Field(8321, ge=0, le=65535, description="Port that `serve` listens on.")
    metrics_port: int = Field(
        0, ge=0, le=65535, description="Port on which `worker` shows /metrics, /healthz and /readyz; 0: none."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe log event written."
    )
    log_format: Literal["text", "json"] = Field("text", description="Form of log lines on standard error.")
    traces: bool = Field(
        False, description="Export OpenTelemetry spans by OTLP (extra `otel`); where to, OTEL_* variables say."
    )

    @field_validator("public_url", "oidc_issuer")
    @classmethod
    def _address(cls, text: str) -> str:
        found = text.strip()
        if found and not re.fullmatch(r"https?://[^/?#\s@]+[^?#\s@]*", found):
            raise ValueError("is not http(s)://HOST[:PORT]")
        return found

    @field_validator("oidc_issuer")
    @classmethod
    def _unspoofed(cls, text: str) -> str:
        if text.startswith("http://") and not re.match(r"http://(localhost|127\.[0-9.]+|\[::1\])(:|/|$)", text):
            raise ValueError("has to begin with https: whoever is on the way could say who anybody is")
        return text

    @field_validator("oidc_roles_map")
    @classmethod
    def _roles(cls, text: str) -> str:
        roles_of(text)
        return text

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.oidc_issuer and not (self.oidc_client and self.public_url):
            raise ValueError("oidc_issuer needs oidc_client and public_url beside it")
        return self

    @field_validator("hook_networks")
    @classmethod
    def _networks(cls, text: str) -> str:
        for part in filter(None, map(str.strip, text.split(","))):
            ip_network(part)
        return text


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a setting's value came from, in words: `option --store`, `STRAYFRAME_STORE`, a file, or `default`."""

    name: str
    value: str
    source: str
    meaning: str


def load(
    options: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Settings:
    """The settings in force. `options` holds what the command line gave; None values count as not given.

    `file` defaults to ./strayframe.toml where that exists. Raises SettingsError.
    """
    return _load(options, environment, file)[0]


def origins(
    options: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> list[Origin]:
    """Every setting with its value, its source and its meaning; secrets are masked."""
    settings, sources = _load(options, environment, file)
    return [
        Origin(name, _shown(getattr(settings, name)), sources.get(name, "default"), info.description or "")
        for name, info in Settings.model_fields.items()
    ]


def _load(
    options: Mapping[str, Any] | None, environment: Mapping[str, str] | None, file: Path | None
) -> tuple[Settings, dict[str, str]]:
    environment = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    path = FILE if file is None else file
    if file is not None or path.exists():
        for key, value in _read(path).items():
            values[key], sources[key] = value, str(path)
    for variable, text in environment.items():
        # STRAYFRAME_TEST_* belongs to the test suite, which runs with the real settings beside it
        if variable.startswith(PREFIX) and not variable.startswith(PREFIX + "TEST_"):
            key = variable.removeprefix(PREFIX).lower()
            values[key], sources[key] = text, variable
    for key, value in (options or {}).items():
        if value is not None:
            values[key], sources[key] = value, f"option --{key.replace('_', '-')}"
    try:
        return Settings(**values), sources
    except ValidationError as error:
        raise SettingsError("; ".join(_explain(detail, sources) for detail in error.errors())) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not valid TOML ({error})") from error


def _explain(detail: Any, sources: Mapping[str, str]) -> str:
    if not detail["loc"]:
        return str(detail["msg"]).removeprefix("Value error, ")
    key = str(detail["loc"][0])
    source = sources.get(key, "default")
    if detail["type"] == "extra_forbidden":
        return f"{source}: there is no setting {key!r}; `strayframe settings` lists them"
    field = Settings.model_fields[key]
    given = "(hidden)" if field.annotation is SecretStr else repr(detail["input"])
    return f"{source}: {key} = {given} is not accepted ({detail['msg']}). {field.description}"


def _shown(value: object) -> str:
    if isinstance(value, SecretStr):
        return "(set)" if value.get_secret_value() else ""
    text = ",".join(value) if isinstance(value, tuple) else str(value)
    scheme, is_url, rest = text.partition("://")  # of a database: shown without its password, wherever that stands
    credentials, at, place = rest.rpartition("@")
    place, asks, _ = place.partition("?")
    named = f"{credentials.split(':', 1)[0]}:***@" if at else ""
    return f"{scheme}{is_url}{named}{place}{'?...' if asks else ''}"
