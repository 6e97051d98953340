"""Liveness and readiness of the process."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response

from hashrec.service.answers.caches import RedisCache
from hashrec.service.errors import NotReadyError
from hashrec.service.http.problems import documented, problem_of, problem_response
from hashrec.service.routes.dependencies import Services, ServicesDependency
from hashrec.service.routes.schemas import HealthReply

router = APIRouter(tags=["operation"])


@router.head("/livez", include_in_schema=False)
@router.get("/livez", responses={200: {"model": HealthReply}}, response_class=Response)
async def get_liveness() -> Response:
    """Return 200 while the process runs."""
    return JSONResponse({"status": "alive"})


@router.head("/readyz", include_in_schema=False)
@router.get(
    "/readyz",
    responses={200: {"model": HealthReply}, **documented(422, 503)},
    response_class=Response,
)
async def get_readiness(
    request: Request,
    services: ServicesDependency,
    verbose: Annotated[
        str | None,
        Query(description="Show the served version, unavailable parts and refused versions."),
    ] = None,
) -> Response:
    """Return 200 while a verified model is in memory and the process does not shut down."""
    degraded = services.report_health()
    details = {} if verbose is None else _details(services)
    if services.draining.begun or services.models.current is None:
        problem = problem_of(NotReadyError())
        if services.draining.begun:
            problem["detail"] = "the service is ending"
        elif verbose is not None and services.models.empty_store is not None:
            problem["detail"] = f"nothing is published in {services.models.empty_store} yet"
        return problem_response(request, problem, extra=details)
    return JSONResponse({"status": "degraded" if degraded else "ready", **details})


def _details(services: Services) -> dict[str, Any]:
    model, refusal, cache = services.models.current, services.models.refusal, services.shared_cache
    details: dict[str, Any] = {"model": None, "refused": None, RedisCache.name: "not configured"}
    details["events"] = services.events.state
    if model is not None:
        manifest = model.recommender.artifact.manifest
        details["model"] = {
            "version": model.version,
            "name": manifest.model.name,
            "bits": manifest.n_bits,
            "users": manifest.n_users,
            "items": manifest.n_items,
            "activated_at": model.activated_at.isoformat(timespec="seconds"),
        }
    if refusal is not None:
        details["refused"] = {"version": refusal.version, "reason": refusal.reason}
    if (experiment := services.models.experiment) is not None:
        refused = services.models.candidate_refusal
        details["experiment"] = {
            "candidate": experiment.candidate,
            "share": experiment.share,
            "running": services.models.candidate is not None,
            "refused": refused and refused.reason,
        }
    if cache is not None:
        details[cache.name] = "available" if cache.available else "unavailable"
    return details
