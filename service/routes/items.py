"""Similar items."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from hashrec.service.routes.dependencies import ServicesDependency, refuse_repeated_options
from hashrec.service.routes.list_response import ListResponse, list_responses
from hashrec.service.routes.schemas import ExternalId, SimilarQuery, SimilarReply

router = APIRouter(tags=["items"], dependencies=[Depends(refuse_repeated_options)])


@router.get(
    "/items/{item_id:id}/similar",
    responses=list_responses(SimilarReply, 404),
    response_class=Response,
)
async def get_similar_items(
    request: Request,
    services: ServicesDependency,
    item_id: Annotated[ExternalId, Path(description="An item of the model.")],
    query: Annotated[SimilarQuery, Query()],
) -> Response:
    """List the items whose codes are nearest to an item's code."""
    answer = await services.recommendations.get(query.wanted(item_id))
    return ListResponse(request, answer, services)
