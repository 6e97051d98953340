"""Errors as RFC 9457 problem details, and the HTTP status of each error class."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from hashrec.index.errors import (
    ArtifactError,
    ConfigError,
    HashrecError,
    NoEarlierVersionError,
    NoEncoderError,
    StoreBusyError,
    UnknownHistoryError,
    UnknownItemError,
    UnknownUserError,
    UnknownVersionError,
    shorten,
)
from hashrec.service.errors import (
    AdminOffError,
    ComparisonBusyError,
    EventsUnavailableError,
    NoKeyError,
    NotReadyError,
    RateLimitError,
    ScopeError,
    StaleCursorError,
    StoreNotWritableError,
    VersionDamagedError,
)
from hashrec.service.http.methods import allowed_methods
from hashrec.service.telemetry.request_observer import route_of

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = "1"
BLANK = "about:blank"

log = structlog.stdlib.get_logger("service.errors")

# The first class in an error's method resolution order that is listed here decides.
STATUS_AND_TYPE: dict[type[Exception], tuple[int, str]] = {
    UnknownUserError: (404, "urn:hashrec:unknown-user"),
    UnknownItemError: (404, "urn:hashrec:unknown-item"),
    UnknownHistoryError: (404, "urn:hashrec:unknown-history"),
    ConfigError: (422, "urn:hashrec:invalid-request"),
    StaleCursorError: (410, "urn:hashrec:stale-cursor"),
    NoKeyError: (401, "urn:hashrec:no-key"),
    ScopeError: (403, "urn:hashrec:scope"),
    AdminOffError: (403, "urn:hashrec:admin-off"),
    RateLimitError: (429, "urn:hashrec:rate-limit"),
    NoEncoderError: (503, "urn:hashrec:no-encoder"),
    NotReadyError: (503, "urn:hashrec:not-ready"),
    EventsUnavailableError: (503, "urn:hashrec:events-unavailable"),
    UnknownVersionError: (404, "urn:hashrec:unknown-version"),
    NoEarlierVersionError: (409, "urn:hashrec:no-earlier-version"),
    StoreBusyError: (409, "urn:hashrec:store-busy"),
    ComparisonBusyError: (409, "urn:hashrec:comparison-busy"),
    VersionDamagedError: (409, "urn:hashrec:version-damaged"),
    StoreNotWritableError: (503, "urn:hashrec:store-not-writable"),
    ArtifactError: (503, BLANK),
    HashrecError: (500, BLANK),
}


def problem_of(error: HashrecError) -> dict[str, Any]:
    """Return the problem details of an error."""
    found = (STATUS_AND_TYPE.get(ancestor) for ancestor in type(error).__mro__)
    status, kind = next(entry for entry in found if entry is not None)
    # An error without its own type is for the operator: its message names paths and files.
    return _problem(status, _FAILED if kind == BLANK else str(error), kind)


def problem_response(
    request: Request,
    problem: dict[str, Any],
    *,
    headers: Mapping[str, str] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Response:
    """Return the reply that carries a problem."""
    headers = dict(headers or {})
    if problem["status"] in (429, 503):
        headers.setdefault("retry-after", RETRY_AFTER_S)
    raw_path: bytes = request.scope.get("raw_path") or b""
    content = {
        **problem,
        "instance": shorten(raw_path.decode("ascii", "replace"), 256),
        "request_id": getattr(request.state, "request_id", None),
        **(extra or {}),
    }
    return Response(
        orjson.dumps(content),
        status_code=problem["status"],
        headers=headers,
        media_type=MEDIA_TYPE,
    )


def error_response(request: Request, error: HashrecError) -> Response:
    """Return the reply to a request that raised an error of hashrec."""
    return problem_response(request, problem_of(error), headers=_headers_of(error))


def bug_response(request: Request) -> Response:
    """Return the reply to a request that met a bug; it does not reveal the cause."""
    return problem_response(request, _problem(500, _FAILED))


def add_error_handlers(app: FastAPI) -> None:
    """Register handlers that answer every error with a problem."""
    app.add_exception_handler(HashrecError, _on_hashrec_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(Exception, _on_bug)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries of the errors a route can answer with."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }


def _headers_of(error: HashrecError) -> dict[str, str]:
    """Return the headers that the status of an error requires (RFC 6750 for keys)."""
    if isinstance(error, RateLimitError):
        return {"retry-after": str(max(1, math.ceil(error.wait_s)))}
    challenge = 'Bearer realm="hashrec"'
    if isinstance(error, NoKeyError):
        wrong = ', error="invalid_token"' if error.given else ""
        return {"www-authenticate": challenge + wrong}
    if isinstance(error, ScopeError):
        wrong = f', error="insufficient_scope", scope="{error.scope}"'
        return {"www-authenticate": challenge + wrong}
    return {}


_FAILED = "the service failed on this request; report it with the request id"


def _problem(
    status: int, detail: str, kind: str = BLANK, errors: Sequence[Mapping[str, str]] = ()
) -> dict[str, Any]:
    problem: dict[str, Any] = {
        "type": kind,
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if errors:
        problem["errors"] = list(errors)
    return problem


async def _on_hashrec_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HashrecError)
    problem = problem_of(error)
    if problem["type"] == BLANK:  # the reply does not name the cause, so the log must
        log.error(
            "request failed",
            route=route_of(request.scope),
            request_id=request.state.request_id,
            reason=str(error),
            exc_info=error,
        )
    return error_response(request, error)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    details = {
        404: "no route has this path; /docs lists the routes",
        405: "this path does not support this method",
    }
    detail = details.get(error.status_code, error.detail)
    headers = error.headers
    if error.status_code == 405:
        headers = {"allow": allowed_methods(request.scope)}
    return problem_response(request, _problem(error.status_code, detail), headers=headers)


async def _on_invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [
        {
            # A member's name can hold half of a surrogate pair, which JSON in UTF-8 cannot.
            "location": shorten(".".join(map(str, entry["loc"])), 128)
            .encode(errors="replace")
            .decode(),
            "message": entry["msg"].removeprefix("Value error, "),
        }
        for entry in error.errors()[:20]
    ]
    detail = "; ".join(f"{entry['location']}: {entry['message']}" for entry in errors[:3])
    problem = _problem(422, detail, "urn:hashrec:invalid-request", errors)
    return problem_response(request, problem)


async def _on_bug(request: Request, error: Exception) -> Response:
    del error  # the request observer logs it; the reply does not name it
    return bug_response(request)
