"""The most popular items, and the latest items."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from hashrec.service.routes.dependencies import ServicesDependency, refuse_repeated_options
from hashrec.service.routes.list_response import ListResponse, list_responses
from hashrec.service.routes.schemas import LatestQuery, LatestReply, PopularQuery, PopularReply

router = APIRouter(tags=["items"], dependencies=[Depends(refuse_repeated_options)])


@router.get("/popular", responses=list_responses(PopularReply, 414), response_class=Response)
async def get_popular_items(
    request: Request, services: ServicesDependency, query: Annotated[PopularQuery, Query()]
) -> Response:
    """List the items with the most users, or with the most interactions in the last days."""
    answer = await services.recommendations.get(query.wanted())
    return ListResponse(request, answer, services)


@router.get("/latest", responses=list_responses(LatestReply, 414), response_class=Response)
async def get_latest_items(
    request: Request, services: ServicesDependency, query: Annotated[LatestQuery, Query()]
) -> Response:
    """List the newest items by their timestamps; popular items follow if there are too few.

    Items that no model has yet are among them.
    """
    answer = await services.recommendations.get(query.wanted())
    return ListResponse(request, answer, services)
