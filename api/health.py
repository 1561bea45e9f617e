"""Whether it lives, whether it is ready, what it counts: /healthz, /readyz, /metrics, and the front door.

Owns these four. Refuses to decide what ready means: the intake and the store say how they stand. Liveness never
depends on anything outside this process, so that a database that is away does not get every process killed.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.concurrency import run_in_threadpool

from api.house import House, house
from api.problems import RETRY_SECONDS
from api.schemas import CheckBody, Health, Readiness, Welcome
from api.version import VERSION

router = APIRouter()


@router.get("/", summary="Where things are", tags=["health"])
async def front_door(here: Annotated[House, Depends(house)]) -> Welcome:
    """Points to what this process serves, and says whether anybody has to sign in."""
    return Welcome(version=VERSION, access=here.settings.access)


@router.get("/healthz", summary="Does the process live?", tags=["health"])
async def healthz() -> Health:
    """200 as long as the process answers at all. For a liveness probe."""
    return Health()


@router.get(
    "/readyz",
    summary="Are stills taken?",
    tags=["health"],
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "Not ready; the checks say why."}},
)
async def readyz(here: Annotated[House, Depends(house)]) -> Response:
    """200 when the index is loaded, the lease is held and the store answers; with Kafka behind it, when the brokers and
    the store answer. 503 otherwise. For a readiness probe. The kill switch is told here and changes nothing of it.
    """
    checks = [*await here.intake.checks(), await run_in_threadpool(here.store_check)]
    checks.append(await run_in_threadpool(here.kill_check))
    ready = all(check.ok for check in checks)
    told = [CheckBody(name=check.name, ok=check.ok, detail=check.detail) for check in checks]
    return Response(
        Readiness(ready=ready, checks=told).model_dump_json(),
        200 if ready else 503,
        {} if ready else {"Retry-After": str(RETRY_SECONDS)},
        "application/json",
    )


@router.get(
    "/metrics",
    summary="Counters and timings, for Prometheus",
    tags=["health"],
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "docs/metrics.md"}},
)
async def metrics(here: Annotated[House, Depends(house)]) -> Response:
    """Prometheus' text format; docs/metrics.md explains each. No account, camera or delivery is ever a label."""
    return Response(await here.counts.told(), media_type=CONTENT_TYPE_LATEST)
