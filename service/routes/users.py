"""Similar users."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from hashrec.service.routes.dependencies import ServicesDependency, refuse_repeated_options
from hashrec.service.routes.list_response import ListResponse, list_responses
from hashrec.service.routes.schemas import ExternalId, SimilarUsersQuery, SimilarUsersReply

router = APIRouter(tags=["users"], dependencies=[Depends(refuse_repeated_options)])


@router.get(
    "/users/{user_id:id}/similar",
    responses=list_responses(SimilarUsersReply, 404),
    response_class=Response,
)
async def get_similar_users(
    request: Request,
    services: ServicesDependency,
    user_id: Annotated[
        ExternalId, Path(description="A user of the model, or one with later events.")
    ],
    query: Annotated[SimilarUsersQuery, Query()],
) -> Response:
    """List the users whose codes are nearest to a user's code."""
    answer = await services.recommendations.get(query.wanted(user_id))
    return ListResponse(request, answer, services)
