"""The OpenAPI document: what the routes say of themselves, what holds for all of them, and an example for each.

Owns examples, put together from those of the fields, and the answers that any request may get. Refuses to describe what
a route does; a text field without an example is a fault that a test finds.
"""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from starlette.routing import compile_path

from api.gate import describe as gate
from api.problems import BAD_REQUEST, INTERNAL, TOO_LARGE, Responses, documented, together
from api.schemas import ProblemDocument

JSON: Final = "application/json"
_PLAIN: Final[dict[str, Any]] = {"integer": 3, "number": 0.5, "boolean": False, "object": {}, "null": None}
"""An example of a value that has none of its own."""

WORDS: Final[dict[str, Any]] = {
    "account": "acct-17",
    "acknowledged_by": "kim@example.com",
    "actor": "kim@example.com",
    "alerts": ["al-5f0c31"],
    "approved": "ben@example.com",
    "at": "2026-01-05T09:31:02.007000Z",
    "before": "9f2c41d8a6b07e35",
    "asked": "kim@example.com",
    "assignee": "lee@example.com",
    "camera": "cam-31",
    "component": "image-cache",
    "created_by": "anna",
    "cursor": "MTphbGVydHM6NDI",
    "detail": "attribute time carries no zone",
    "digest": "5be0a7c3419d22f8",
    "disabled_why": "disabled by hand",
    "events": ["suspension.requested", "suspension.lifted"],
    "head": "1042:5be0a7c3419d22f8",
    "id": "d-000912",
    "If-Match": '"v3"',
    "integration": "homeview",
    "integrations": ["homeview"],
    "label": "card of 2026",
    "law": "GDPR Art. 33",
    "name": "homeview",
    "next": "MTphbGVydHM6NDI",
    "note": "cache-3 was refilled at 9",
    "owner": "acct-31",
    "owner_camera": "cam-31",
    "password": "correct horse battery staple",
    "rule": "foreign-scene",
    "rules": "1",
    "ruled_by": "kim@example.com",
    "scene": "sc-90b2",
    "severity": "medium",
    "since": "2026-01-05T00:00:00Z",
    "snoozed_by": "kim@example.com",
    "split_from": "in-5f0c",
    "until": "2026-01-06T00:00:00Z",
    "url": "https://partner.example/hook",
    "value": "true_positive",
    "version": "2026.01.05-2",
    "viewer": "acct-17",
    "why": "stills of other homes come through cache-3",
    "withdrawn": False,
}
"""Examples by the name of a field or a parameter, for those that have none of their own: one word means one thing
everywhere."""
_BODIES: Final[dict[str, Any]] = {
    "text/csv": "viewer,owner,owner_camera,presumed,stills,opened,first,last\r\n"
    "acct-17,acct-31,cam-31,0,3,1,2026-01-05T09:04:11.532Z,2026-01-05T09:31:02.007Z\r\n",
    "text/markdown": "# Facts for a notification\n\n12 viewers received stills of 31 other homes.\n",
    "text/plain": 'strayframe_stills_judged_total{verdict="clear"} 1042.0\n',
    "multipart/form-data": {"account": "acct-17", "camera": "cam-31", "still": "(a JPEG)"},
    **dict.fromkeys(("image/jpeg", "image/png", "image/webp"), "(the picture's bytes)"),
}
"""Examples of what is no JSON."""

Schemas = dict[str, dict[str, Any]]


class Undescribed(ValueError):
    """A text field has no example; the message names it."""


def describe(app: FastAPI) -> None:
    """Have the app's document say all of this."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            schemas = document["components"]["schemas"]
            schemas.setdefault("ProblemDocument", ProblemDocument.model_json_schema())
            gate.add(document)
            for schema in schemas.values():
                for name, field in schema.get("properties", {}).items():
                    _exemplify(field, name)
            for path, methods in document["paths"].items():
                for operation in methods.values():
                    _complete(operation, schemas, probe=not path.startswith("/v1/"))
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def methods(document: dict[str, Any], path: str) -> list[str]:
    """The methods that the document knows of a path, for `Allow`: the framework names those of one route only."""
    known = (each for template, each in document["paths"].items() if compile_path(template)[0].fullmatch(path))
    return sorted({method.upper() for operations in known for method in operations})


def example(schema: dict[str, Any], schemas: Schemas, name: str = "") -> Any:
    """An example of what a schema allows. Raises Undescribed."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return example(schemas[name], schemas, name)
    for given in ("const", "example", "default"):
        if schema.get(given) is not None:
            return schema[given]
    for some in ("examples", "enum"):
        if schema.get(some):
            return schema[some][0]
    if "anyOf" in schema:
        return example(schema["anyOf"][0], schemas, name)
    match schema.get("type"):
        case "object" if "properties" in schema:
            return {n: example(each, schemas, f"{name}.{n}") for n, each in schema["properties"].items()}
        case "array":
            return [example(schema["items"], schemas, name)]
        case str() as kind if kind in _PLAIN:
            return _PLAIN[kind]
    if not schema or set(schema) <= {"title", "description"}:
        return {}
    raise Undescribed(f"{name or schema} has no example")


def _complete(operation: dict[str, Any], schemas: Schemas, *, probe: bool) -> None:
    bodies = operation.get("requestBody", {}).get("content", {})
    common = () if probe else (INTERNAL, BAD_REQUEST, TOO_LARGE) if bodies else (INTERNAL,)
    said: Responses = {str(status): entry for status, entry in documented(*common).items()}
    operation["responses"] = dict(sorted(together(operation["responses"], said).items()))
    answers = [answer.get("content", {}) for status, answer in operation["responses"].items() if status < "4"]
    for media, content in ((media, it) for each in (bodies, *answers) for media, it in each.items()):
        if not {"example", "examples"} & set(content):
            content["example"] = _BODIES[media] if media in _BODIES else example(content["schema"], schemas)
    for parameter in operation.get("parameters", ()):
        if "example" not in parameter:
            _exemplify(parameter["schema"], parameter["name"])


def _exemplify(field: dict[str, Any], name: str) -> None:
    """Give a field or parameter the example that its name stands for."""
    if name in WORDS and not {"examples", "const", "$ref"} & set(field) and "enum" not in field:
        kinds = {_kind(each) for each in (field, *field.get("anyOf", ()))}
        if {bool: "boolean", list: "array of string", str: "string"}[type(WORDS[name])] in kinds:
            field["examples"] = [WORDS[name]]


def _kind(schema: dict[str, Any]) -> str:
    kind: str = schema.get("type", "object")
    return f"array of {schema['items'].get('type')}" if kind == "array" else kind
