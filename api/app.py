"""The HTTP application: which rooms there are, who takes what comes in, and the OpenAPI document.

Owns `create_app`. Refuses to route (each room has its own) and to wire what judges (`api.wiring` does). No page here
loads anything from elsewhere: FastAPI's pages of docs do, so they are off, and /openapi.json is the documentation.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Final

from fastapi import FastAPI

from api import (
    alerts,
    facts,
    health,
    hooks,
    incidents,
    ingest,
    placeholders,
    problems,
    reach,
    sinks,
    stream,
    suspensions,
    switches,
    triage,
)
from api.bodies import Bounded
from api.describe import describe, methods
from api.gate import admission, oidc, sessions, trail
from api.gate.door import Door
from api.gate.keys import Keys
from api.gate.rates import Rate
from api.house import House
from api.intake import Counts, Intake, OwnCounts
from api.version import VERSION
from api.wiring import intake_of
from streams.metrics import Metrics
from streams.outbox.dispatch import Dispatcher
from streams.settings import Settings
from streams.sinks.roster import sinks_of
from streams.store.database import Database
from streams.store.sql import SqlStore

TAGS: Final = [
    {"name": "alerts", "description": "Deliveries that reached, or seem to have reached, the wrong home."},
    {"name": "incidents", "description": "Alerts that belong together."},
    {"name": "suspensions", "description": "Delivery paths that are switched off, and what may switch them."},
    {"name": "coverage", "description": "What was watched."},
    {"name": "hooks", "description": "Who is told of what, by signed webhooks, and what came of it."},
    {"name": "sinks", "description": "SIEM, pager and files that are told, and what came of it."},
    {"name": "stream", "description": "What happens, as it happens."},
    {"name": "triage", "description": "What persons say of incidents and alerts. Every act names its actor."},
    {"name": "placeholders", "description": "Pictures that anybody may get, and what persons say of them."},
    {"name": "facts", "description": "Changes, rights: what the camera cloud told."},
    {"name": "ingest", "description": "Stills, rights, changes and openings in, as CloudEvents."},
    {"name": "access", "description": "Who is signed in, who may, and who did what."},
    {"name": "health", "description": "For probes and scrapers."},
]
DESCRIPTION: Final = (
    "Alerts out, stills in. Times are UTC with `Z`. Lists are paged by opaque cursors, given as `next` and as a `Link` "
    "header. Every error is `application/problem+json` (RFC 9457) with a stable `type`; docs/problems.md lists them."
)


def create_app(
    settings: Settings,
    *,
    now: Callable[[], datetime] | None = None,
    intake: Intake | None = None,
    counts: Counts | None = None,
    open_store: Callable[[], SqlStore] | None = None,
) -> FastAPI:
    """The application for these settings; everything is opened when it starts. Raises BadStoreUrl, SinkError.

    Without settings.kafka it judges by itself, and takes the store's lease for that; with it, it produces. It carries
    notices out, too. Where another process does all that, `intake` and `counts` lead there; `open_store` is for tests
    that need their own.
    """
    Database(settings.store).close()  # a URL that is no good is told before anything starts
    now = now or partial(datetime.now, UTC)
    metrics = Metrics()
    dispatcher = None if intake else Dispatcher(settings, metrics)
    house = House(
        settings,
        intake or intake_of(settings, metrics, now, dispatcher.noticed if dispatcher else None),
        counts or OwnCounts(metrics),
        open_store or partial(SqlStore, settings.store),
        now,
        dispatcher,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await house.open()
        try:
            yield
        finally:
            await house.close()

    app = FastAPI(
        title="Strayframe",
        version=VERSION,
        summary="A live detector of camera stills that reach the wrong home.",
        description=DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        openapi_tags=TAGS,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        lifespan=lifespan,
    )
    app.state.house = house
    app.state.keys = keys = Keys(house.store, now)
    app.state.tries = Rate(sessions.TRIES_A_MINUTE)
    app.state.sinks = {sink.spec.name: sink for sink in sinks_of(settings)}
    app.add_middleware(Door, house=house, keys=keys)
    problems.install(app)
    app.add_middleware(Bounded)
    # tried in this order, and most of the traffic is stills
    for room in (ingest, alerts, incidents, triage, reach, suspensions, switches, placeholders, facts, hooks, sinks):
        app.include_router(room.router)
    for room in (stream, sessions, oidc, admission, trail, health):
        app.include_router(room.router)
    describe(app)
    app.state.methods = lambda path: methods(app.openapi(), path)
    return app
