"""The published versions: list, activate, roll back, compare."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel
from starlette.responses import Response

from hashrec.index.errors import (
    ArtifactCorruptError,
    NoArtifactError,
    StoreWriteError,
)
from hashrec.index.ranking.comparison import compare, sample_users
from hashrec.index.ranking.recommender import Recommender
from hashrec.service.access.gate import require_admin
from hashrec.service.errors import (
    ComparisonBusyError,
    NotReadyError,
    StoreNotWritableError,
    VersionDamagedError,
)
from hashrec.service.http.problems import documented
from hashrec.service.routes.dependencies import (
    Services,
    ServicesDependency,
    refuse_repeated_options,
)
from hashrec.service.routes.version_schemas import (
    CompareReply,
    CompareRequest,
    ModelsReply,
    ServedReply,
    VersionReply,
)

router = APIRouter(
    tags=["versions"], dependencies=[Depends(refuse_repeated_options), Depends(require_admin)]
)
CHANGED = {
    200: {"model": ServedReply, "description": "What is served from now on."},
    **documented(403, 404, 409, 422, 500, 503),
}


@router.get(
    "/models",
    responses={200: {"model": ModelsReply}, **documented(403, 422, 500, 503)},
    response_class=Response,
)
async def list_models(services: ServicesDependency) -> Response:
    """List the published versions, latest first."""
    store = services.models.store

    def look() -> ModelsReply:
        try:
            found = store.versions()
        except NoArtifactError:
            found = []
        return ModelsReply(
            **_served(services).model_dump(),
            versions=[VersionReply(**asdict(version)) for version in found],
        )

    return _json(await asyncio.to_thread(look))


@router.post("/models/{version}/activate", responses=CHANGED, response_class=Response)
async def activate_model(
    services: ServicesDependency,
    version: Annotated[str, Path(description="A published version.")],
) -> Response:
    """Verify a published version again and serve it.

    The answers of the process that replies come from it at once, those of other workers and
    machines within their poll interval. No request fails meanwhile.
    """
    return await _change(services, lambda: services.models.store.activate(version), version)


@router.post("/models/rollback", responses=CHANGED, response_class=Response)
async def rollback_model(services: ServicesDependency) -> Response:
    """Verify the previously served version again and serve it."""
    return await _change(services, services.models.store.rollback, "before this one")


@router.post(
    "/models/{version}/compare",
    responses={
        200: {"model": CompareReply, "description": "How the lists differ."},
        **documented(400, 403, 404, 409, 413, 422, 500, 503),
    },
    response_class=Response,
)
async def compare_models(
    services: ServicesDependency,
    version: Annotated[str, Path(description="The published version to compare.")],
    wanted: CompareRequest,
) -> Response:
    """Compare the lists of a version with those of the served one.

    The users are drawn from those whose lists this process was asked for most recently; before
    anybody asked, from all whom the served version knows. Both versions rank as they learned,
    without the events since then. One comparison at a time, beside the requests.
    """
    models = services.models
    if models.comparing.locked():
        raise ComparisonBusyError
    async with models.comparing:
        served = models.get().recommender
        users = services.recommendations.recent_users(wanted.users)

        def rank() -> CompareReply:
            loaded = [model for model in (models.candidate, models.current) if model is not None]
            found = next((m.recommender for m in loaded if m.version == version), None)
            candidate = found or Recommender(models.store.open(version))
            compared = compare(
                candidate, served, users or sample_users(served, wanted.users), wanted.k
            )
            return CompareReply(sample="recent" if users else "random", **asdict(compared))

        try:
            return _json(await asyncio.to_thread(rank))
        except ArtifactCorruptError as error:
            raise VersionDamagedError(version, error.reason) from error


async def _change(services: Services, change: Callable[[], object], version: str) -> Response:
    try:
        await asyncio.to_thread(change)
    except NoArtifactError as error:
        raise NotReadyError from error
    except ArtifactCorruptError as error:
        raise VersionDamagedError(version, error.reason) from error
    except StoreWriteError as error:
        raise StoreNotWritableError(error.reason) from error
    await services.models.look()
    return _json(await asyncio.to_thread(_served, services))


def _served(services: Services) -> ServedReply:
    pointer = services.models.store.pointer()
    loaded = services.models.current
    return ServedReply(
        current=None if pointer is None else pointer.current,
        previous=[] if pointer is None else list(pointer.previous),
        loaded=None if loaded is None else loaded.version,
    )


def _json(reply: BaseModel) -> Response:
    return Response(reply.model_dump_json(), media_type="application/json")
