"""The most popular items: what a user nobody knows gets."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from service.dependencies import ServicesDependency, refuse_repeated_options
from service.routes.list_response import ListResponse, list_responses
from service.schemas import PopularQuery, PopularReply

router = APIRouter(tags=["items"], dependencies=[Depends(refuse_repeated_options)])


@router.get("/popular", responses=list_responses(PopularReply), response_class=Response)
async def popular(
    request: Request, services: ServicesDependency, query: Annotated[PopularQuery, Query()]
) -> Response:
    """List the items with the most users."""
    answer = await services.recommendations.get(query.wanted())
    return ListResponse(request, answer, services)
