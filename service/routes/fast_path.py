"""`GET /recommend/{user_id}` without FastAPI, whose routing costs more than the answer.

It takes requests that are beyond doubt: a path with an id, and no query but one `k` or `n` in
range. Everything else goes on to FastAPI, and so does a request that is refused. A conformance test
holds the two paths against each other.
"""

from __future__ import annotations

import functools
import re
from time import perf_counter

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from hashrec.index.arrays.ids import require_id
from hashrec.index.errors import HashrecError
from hashrec.index.ranking.recommender import MAX_K
from hashrec.service.access.gate import Access
from hashrec.service.answers import replies
from hashrec.service.answers.lists import RECOMMEND
from hashrec.service.answers.wanted import Wanted
from hashrec.service.http import compression
from hashrec.service.http.problems import bug_response
from hashrec.service.routes.dependencies import Services
from hashrec.service.routes.schemas import DEFAULT_K
from hashrec.service.telemetry.request_observer import RequestObserver

PATHS = ("/recommend/", "/v1/recommend/")
ROUTE = "/recommend/{user_id}"
LENGTH = re.compile(rb"[kn]=([1-9][0-9]{0,2})")


class FastPath:
    """The ASGI layer in front of the request observer, whose duties it does for what it answers.

    Args:
        app: the observer.
        access: who is admitted.
        cors: adds the headers for pages of other origins, if there are any.
    """

    def __init__(
        self, app: RequestObserver, access: Access, cors: CORSMiddleware | None = None
    ) -> None:
        self._app = app
        self._access = access
        self._cors = cors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a plain request, or pass it on."""
        wanted = plain_request(scope)
        if wanted is None:
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        services: Services = scope["state"]["services"]
        request_id = self._app.request_id(scope["headers"])
        try:
            if self._access.guards:
                await self._access.admit(scope)
            answer = await services.recommendations.get(wanted)
        except HashrecError:  # the gate and FastAPI's handlers know what to say
            await self._app(scope, receive, send)
            return
        except Exception:  # noqa: BLE001  as the observer does, which this request did not pass
            self._app.log_bug(ROUTE, request_id)
            scope["state"]["request_id"] = request_id.decode()
            failed = bug_response(Request(scope))
            status, body, headers = failed.status_code, bytes(failed.body), failed.raw_headers
        else:
            status, body = replies.status_and_body(answer, scope["headers"])
            headers = replies.headers(answer, body, services.away(), scope["headers"])
        headers += self._app.headers(request_id, started)
        if self._cors is not None:
            given = Headers(scope=scope)
            send = functools.partial(self._cors.send, send=send, request_headers=given)
        if len(body) >= compression.FROM_BYTES:
            send = compression.compressing(scope["headers"], send)
        try:
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})
        finally:
            self._app.finish(scope, ROUTE, status, request_id, started, headers=headers)


def plain_request(scope: Scope) -> Wanted | None:
    """Return what a request wants if it is a plain one for recommendations."""
    if scope["type"] != "http" or scope["method"] != "GET":
        return None
    path: str = scope["path"]
    for prefix in PATHS:
        if path.startswith(prefix):
            user_id = path[len(prefix) :]
            break
    else:
        return None
    k = DEFAULT_K
    if query := scope["query_string"]:
        match = LENGTH.fullmatch(query)
        if match is None or (k := int(match[1])) > MAX_K:
            return None
    try:
        require_id(user_id)
    except ValueError:
        return None
    return Wanted(RECOMMEND, user_id, k)
