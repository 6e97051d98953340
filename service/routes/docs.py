"""The reference: the OpenAPI document, and a page that shows it without outside assets."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, JSONResponse, Response

PAGE = Path(__file__).with_name("docs.html")

router = APIRouter(include_in_schema=False)


@router.get("/docs", response_class=Response)
async def docs() -> Response:
    """Return the page."""
    return FileResponse(PAGE)


@router.get("/openapi.json", response_class=Response)
async def openapi(request: Request) -> Response:
    """Return the document."""
    return JSONResponse(request.app.openapi())
