"""Recommendations for a user, a history, or many users."""

from __future__ import annotations

from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from hashrec.index.arrays.ids import require_id
from hashrec.index.errors import ConfigError, HashrecError
from hashrec.service.answers.answer import Answer
from hashrec.service.http.problems import documented, problem_of
from hashrec.service.routes.dependencies import ServicesDependency, refuse_repeated_options
from hashrec.service.routes.list_response import ListResponse, list_responses
from hashrec.service.routes.schemas import (
    BatchReply,
    BatchRequest,
    ExternalId,
    FoldInReply,
    FoldInRequest,
    RecommendQuery,
    RecommendReply,
)

router = APIRouter(tags=["recommendations"], dependencies=[Depends(refuse_repeated_options)])


@router.get(
    "/recommend/{user_id:id}",
    responses=list_responses(RecommendReply, 404, 410, 414),
    response_class=Response,
)
async def get_recommendations(
    request: Request,
    services: ServicesDependency,
    user_id: Annotated[ExternalId, Path(description="Any id; an unknown one gets popular items.")],
    query: Annotated[RecommendQuery, Query()],
) -> Response:
    """Recommend the items whose codes are nearest to the user's code."""
    answer = await services.recommendations.get(query.wanted(user_id), strict=query.strict)
    return ListResponse(request, answer, services)


@router.post(
    "/recommend",
    responses={
        200: {"model": FoldInReply, "description": "The list."},
        **documented(400, 404, 410, 413, 422, 500, 503),
    },
    response_class=Response,
)
async def recommend_for_history(
    request: Request, services: ServicesDependency, history: FoldInRequest
) -> Response:
    """Recommend items to a new or anonymous user by fold-in of a history.

    The history gets a code like that of a user, in microseconds and without training. Where no
    positive item of it is known, the list is of popular items.
    """
    answer = await services.recommendations.get(history.wanted(), strict=history.strict)
    return ListResponse(request, answer, services)


@router.post(
    "/recommend/batch",
    responses={
        200: {"model": BatchReply, "description": "One result for each user, in order."},
        **documented(400, 413, 422, 500, 503),
    },
    response_class=Response,
)
async def recommend_batch(services: ServicesDependency, batch: BatchRequest) -> Response:
    """Recommend items to up to 1,000 users, all with the same model."""
    model = services.models.get()
    checked = [_check(user_id, position) for position, user_id in enumerate(batch.user_ids)]
    wanted = [
        batch.wanted(user_id)
        for user_id, error in zip(batch.user_ids, checked, strict=True)
        if error is None
    ]
    answers = iter(await services.recommendations.get_many(model, wanted, strict=batch.strict))
    results = [_result(next(answers) if error is None else error) for error in checked]
    headers = {"x-model-version": model.version}
    if (away := services.away()) is not None:
        headers["x-degraded"] = away
    return Response(
        b'{"results":[' + b",".join(results) + b"]}", headers=headers, media_type="application/json"
    )


def _check(user_id: str, position: int) -> HashrecError | None:
    try:
        require_id(user_id)
    except ValueError as error:
        return ConfigError(f"body.user_ids.{position}: {error}")
    return None


def _result(result: Answer | HashrecError) -> bytes:
    return result.body if isinstance(result, Answer) else orjson.dumps(problem_of(result))
