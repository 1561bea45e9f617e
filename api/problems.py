"""Every error that the API answers with, as RFC 9457 problem details.

Owns the catalogue: a stable type, a status and a title each; docs/problems.md explains them and a test holds that it
does. Refuses to show internals: a fault of ours is logged in full and answered with its type only. A type never
changes its meaning; what is new gets a new type.

RFC 9457: https://www.rfc-editor.org/rfc/rfc9457
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from models.errors import StrayframeError
from streams.cloudevents import Rejected

MEDIA_TYPE: Final = "application/problem+json"
PREFIX: Final = "urn:strayframe:problem:"
RETRY_SECONDS: Final = 5
"""Seconds after which a client may ask again, where nothing better is known. An index of 100,000 scenes loads in
less, and a database that restarts is back by then or takes longer than any guess."""

Responses = dict[int | str, dict[str, Any]]
"""What an operation may answer, by status, as OpenAPI writes it."""

_log = structlog.get_logger()
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of error: `name` is the last part of its type; `retry` tells whether asking again may help."""

    name: str
    status: int
    title: str
    retry: bool = False

    @property
    def type(self) -> str:
        """The stable URI that a client may compare."""
        return PREFIX + self.name


BAD_CURSOR: Final = Problem("bad-cursor", 400, "The cursor is not one that this collection gave out")
BAD_REQUEST: Final = Problem("bad-request", 400, "The request is not well formed")
NOT_SIGNED_IN: Final = Problem("not-signed-in", 401, "Nobody is signed in, or no longer")
SIGN_IN_FAILED: Final = Problem("sign-in-failed", 401, "Name and password do not belong together")
NOT_ALLOWED: Final = Problem("not-allowed", 403, "You may not do this")
NOT_LOCAL: Final = Problem("not-local", 403, "Where nobody signs in, only this machine is answered")
NOT_FOUND: Final = Problem("not-found", 404, "There is nothing here")
NO_SUCH_ALERT: Final = Problem("no-such-alert", 404, "There is no alert with this id")
NO_SUCH_INCIDENT: Final = Problem("no-such-incident", 404, "There is no incident with this id")
NO_SUCH_HOOK: Final = Problem("no-such-hook", 404, "There is no hook with this id")
NO_SUCH_SINK: Final = Problem("no-such-sink", 404, "There is no sink with this name")
NO_SUCH_DELIVERY: Final = Problem("no-such-delivery", 404, "Nothing was sent there under this id")
NO_SUCH_PLACEHOLDER: Final = Problem("no-such-placeholder", 404, "There is no placeholder with this id")
NO_SUCH_SUSPENSION: Final = Problem("no-such-suspension", 404, "There is no suspension with this id")
NO_SUCH_USER: Final = Problem("no-such-user", 404, "There is no user of this name")
NO_SUCH_TOKEN: Final = Problem("no-such-token", 404, "There is no token with this id")
METHOD_NOT_ALLOWED: Final = Problem("method-not-allowed", 405, "This resource does not know the method")
DELIVERY_DIFFERS: Final = Problem("delivery-differs", 409, "Another delivery with this source and id was judged")
SUSPENSION_CHANGED: Final = Problem("suspension-changed", 409, "The suspension is no longer as you saw it")
NOT_MOVED: Final = Problem("not-moved", 409, "The suspension cannot do that as it stands")
SOMEBODYS_HOME: Final = Problem("somebodys-home", 409, "The picture is one living camera's home")
NO_PICTURE_KEPT: Final = Problem("no-picture-kept", 409, "Nothing is kept of what this alert shows")
IN_FLIGHT: Final = Problem("in-flight", 409, "The request with this Idempotency-Key is being done just now", retry=True)
KILL_SWITCH_ON: Final = Problem("kill-switch-on", 409, "The kill switch is on: nothing acts")
NAME_TAKEN: Final = Problem("name-taken", 409, "The name belongs to somebody else")
PRECONDITION_FAILED: Final = Problem("precondition-failed", 412, "Somebody else said something of it meanwhile")
TOO_LARGE: Final = Problem("too-large", 413, "The body is larger than what is accepted")
UNSUPPORTED_MEDIA: Final = Problem("unsupported-media-type", 415, "The body's media type is not accepted here")
BAD_HOOK_URL: Final = Problem("bad-hook-url", 422, "A hook cannot have this URL")
BAD_PARAMETER: Final = Problem("bad-parameter", 422, "A parameter is unknown or has a value that is not accepted")
BAD_SCOPE: Final = Problem("bad-scope", 422, "No scope has these attributes")
KEY_REUSED: Final = Problem("key-reused", 422, "Another request had this Idempotency-Key")
REJECTED: Final = Problem("rejected", 422, "The event cannot be judged")
TOO_MANY_REQUESTS: Final = Problem("too-many-requests", 429, "More requests than are answered", retry=True)
INTERNAL: Final = Problem("internal", 500, "Something went wrong on our side")
JUDGE_FAILED: Final = Problem("judge-failed", 500, "This event could not be judged, through a fault on our side")
LOADING: Final = Problem("loading", 503, "The index is loading", retry=True)
BUSY: Final = Problem("busy", 503, "More is waiting to be judged than is held in memory", retry=True)
STORE_UNAVAILABLE: Final = Problem("store-unavailable", 503, "The store does not answer", retry=True)
STREAM_UNAVAILABLE: Final = Problem("stream-unavailable", 503, "Kafka did not acknowledge", retry=True)
NOT_JUDGING: Final = Problem("not-judging", 503, "Another process judges for this store", retry=True)
PROVIDER_UNAVAILABLE: Final = Problem("provider-unavailable", 503, "The sign-in provider does not answer", retry=True)
STARTING: Final = Problem("starting", 503, "The process that judges is starting", retry=True)
STOPPING: Final = Problem("stopping", 503, "This process is stopping", retry=True)
TOO_MANY_READERS: Final = Problem("too-many-readers", 503, "As many as can be served read the stream", retry=True)

CATALOGUE: Final = (
    BAD_CURSOR,
    BAD_REQUEST,
    NOT_SIGNED_IN,
    SIGN_IN_FAILED,
    NOT_ALLOWED,
    NOT_LOCAL,
    NOT_FOUND,
    NO_SUCH_ALERT,
    NO_SUCH_INCIDENT,
    NO_SUCH_HOOK,
    NO_SUCH_SINK,
    NO_SUCH_DELIVERY,
    NO_SUCH_PLACEHOLDER,
    NO_SUCH_SUSPENSION,
    NO_SUCH_USER,
    NO_SUCH_TOKEN,
    METHOD_NOT_ALLOWED,
    DELIVERY_DIFFERS,
    SUSPENSION_CHANGED,
    NOT_MOVED,
    SOMEBODYS_HOME,
    NO_PICTURE_KEPT,
    IN_FLIGHT,
    KILL_SWITCH_ON,
    NAME_TAKEN,
    PRECONDITION_FAILED,
    TOO_LARGE,
    UNSUPPORTED_MEDIA,
    BAD_HOOK_URL,
    BAD_PARAMETER,
    BAD_SCOPE,
    KEY_REUSED,
    REJECTED,
    TOO_MANY_REQUESTS,
    INTERNAL,
    JUDGE_FAILED,
    LOADING,
    BUSY,
    STORE_UNAVAILABLE,
    STREAM_UNAVAILABLE,
    NOT_JUDGING,
    PROVIDER_UNAVAILABLE,
    STARTING,
    STOPPING,
    TOO_MANY_READERS,
)
_BY_STATUS: Final = {404: NOT_FOUND, 405: METHOD_NOT_ALLOWED, 413: TOO_LARGE, 415: UNSUPPORTED_MEDIA}


class ProblemError(Exception):
    """Ends a request with a problem. `detail` is a sentence for a person; `extra` are further members."""

    def __init__(
        self,
        problem: Problem,
        detail: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(f"{problem.name}: {detail}")
        self.problem = problem
        self.detail = detail
        self.headers = dict(headers or {})
        self.extra = extra

    def __reduce__(self) -> tuple[Any, ...]:
        """It crosses between processes whole."""
        return partial(ProblemError, self.problem, self.detail, headers=self.headers, **self.extra), ()


def there(found: T | None, problem: Problem) -> T:
    """What was found under an id; raises the problem where there was nothing."""
    if found is None:
        raise ProblemError(problem)
    return found


def rejected(error: Rejected) -> ProblemError:
    """The problem that says why an event or a still was refused; `reason` is the same word as in a dead letter."""
    return ProblemError(REJECTED, error.detail, reason=error.reason)


def response(error: ProblemError) -> JSONResponse:
    """The problem document. 429 and 503 always say when to ask again."""
    problem = error.problem
    body = {"type": problem.type, "title": problem.title, "status": problem.status}
    if error.detail:
        body["detail"] = error.detail
    headers = dict(error.headers)
    if problem.retry:
        headers.setdefault("Retry-After", str(RETRY_SECONDS))
    return JSONResponse({**error.extra, **body}, problem.status, headers, MEDIA_TYPE)


def documented(*problems: Problem) -> Responses:
    """What an operation's `responses` say of these problems in the OpenAPI document, one entry a status."""
    out: Responses = {}
    for problem in problems:
        entry = out.setdefault(problem.status, {"description": "", "content": {MEDIA_TYPE: _content()}})
        entry["description"] = "; ".join(filter(None, (entry["description"], f"{problem.title} (`{problem.name}`)")))
        entry["content"][MEDIA_TYPE]["examples"][problem.name] = {"value": _example(problem)}
        if problem.retry:
            entry["headers"] = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
    return out


def together(*responses: Responses) -> Responses:
    """Several operations' `responses` as one: of one status, each example and each meaning."""
    out: Responses = {}
    for status, entry in ((status, entry) for each in responses for status, entry in each.items()):
        if status not in out:
            out[status] = deepcopy(entry)
            continue
        held = out[status]
        held["description"] = "; ".join(filter(None, (held.get("description"), entry.get("description"))))
        held.setdefault("headers", {}).update(entry.get("headers", {}))
        for media, content in entry.get("content", {}).items():
            mine = held.setdefault("content", {}).setdefault(media, {})
            mine.setdefault("examples", {}).update(content.get("examples", {}))
    return out


def _content() -> dict[str, Any]:
    return {"schema": {"$ref": "#/components/schemas/ProblemDocument"}, "examples": {}}


def _example(problem: Problem) -> dict[str, Any]:
    extra = {"reason": "missing_attribute"} if problem is REJECTED else {}
    return {"type": problem.type, "title": problem.title, "status": problem.status, **extra}


def install(app: FastAPI) -> None:
    """Make every error of `app` a problem document, those of the framework too."""
    app.add_exception_handler(ProblemError, _on_problem)
    app.add_exception_handler(Rejected, _on_rejected)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(StrayframeError, _on_strayframe)
    app.add_exception_handler(Exception, _on_fault)


async def _on_problem(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ProblemError)
    return response(error)


async def _on_rejected(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Rejected)
    request.app.state.house.counts.rejected(error.reason)
    return response(rejected(error))


async def _on_validation(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    errors = [{"parameter": _parameter(detail["loc"]), "detail": detail["msg"]} for detail in error.errors()]
    told = "; ".join(f"{one['parameter']}: {one['detail']}" for one in errors)
    return response(ProblemError(BAD_PARAMETER, told, errors=errors))


def _parameter(place: Sequence[int | str]) -> str:
    return ".".join(str(part) for part in place[1:]) or str(place[0])


async def _on_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == METHOD_NOT_ALLOWED.status:
        headers["Allow"] = ", ".join(request.app.state.methods(request.url.path)) or headers.get("allow", "")
    problem = _BY_STATUS.get(error.status_code, BAD_REQUEST if error.status_code < 500 else INTERNAL)
    detail = error.detail if problem is BAD_REQUEST else ""
    return response(ProblemError(problem, detail, headers=headers))


async def _on_strayframe(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, StrayframeError)
    if error.retry:
        _log.warning("http.unavailable", path=request.url.path, error=str(error))
        return response(ProblemError(STORE_UNAVAILABLE))
    return await _on_fault(request, error)


async def _on_fault(request: Request, error: Exception) -> JSONResponse:
    _log.error("http.fault", path=request.url.path, method=request.method, exc_info=error)
    return response(ProblemError(INTERNAL, "The fault was logged; the same request may or may not work again."))
