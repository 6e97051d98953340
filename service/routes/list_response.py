"""The response that holds a list: bytes that are ready, and headers that tell about them."""

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
    """Sends an answer's bytes, or 304 where the client has them and got them."""

    def __init__(self, request: Request, answer: Answer, services: Services) -> None:
        conditions = request.scope["headers"] if request.method == "GET" else ()
        status, body = replies.status_and_body(answer, conditions)
        super().__init__(body, status)
        self.raw_headers = replies.headers(answer, body, services.away(), conditions)


def list_responses(
    reply: type[ListReply] | type[SimilarUsersReply], *errors: int
) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries of a route that answers with a list."""
    return {
        200: {"model": reply, "description": "The list."},
        304: {"description": "The client has the list already: its `If-None-Match` names it."},
        **documented(*errors, 422, 500, 503),
    }
