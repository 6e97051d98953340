"""The response with a list: its bytes and headers, or 304."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from hashrec.service.answers import replies
from hashrec.service.answers.answer import Answer
from hashrec.service.http.problems import documented
from hashrec.service.routes.dependencies import Services
from hashrec.service.routes.schemas import ListReply, SimilarUsersReply


class ListResponse(Response):
    """Sends the bytes of an answer, or 304 if the client has them."""

    def __init__(self, request: Request, answer: Answer, services: Services) -> None:
        conditions = request.scope["headers"] if request.method == "GET" else ()
        status, body = replies.status_and_body(answer, conditions)
        super().__init__(body, status)
        self.raw_headers = replies.headers(answer, body, services.away(), conditions)


def list_responses(
    reply: type[ListReply] | type[SimilarUsersReply], *errors: int
) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries of a route that returns a list."""
    return {
        200: {"model": reply, "description": "The list."},
        304: {"description": "Not modified: `If-None-Match` names this list."},
        **documented(*errors, 422, 500, 503),
    }
