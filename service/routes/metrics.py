"""Metrics for Prometheus."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from starlette.responses import PlainTextResponse, Response

from hashrec.service.routes.dependencies import ServicesDependency

router = APIRouter(tags=["operation"])


@router.get("/metrics", response_class=PlainTextResponse)
async def get_metrics(services: ServicesDependency) -> Response:
    """Return the metrics of all worker processes together."""
    services.report_health()
    content = await asyncio.to_thread(services.metrics.exposition)
    return Response(content, headers={"content-type": CONTENT_TYPE_PLAIN_0_0_4})
