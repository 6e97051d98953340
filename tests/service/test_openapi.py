from __future__ import annotations

from collections import Counter

import httpx
import pytest

from benchmarks.fuzz_api import fuzz, fuzz_operation, operations
from hashrec.service.app import create_app
from hashrec.service.routes import ROUTERS
from hashrec.service.settings import Settings


@pytest.mark.parametrize("name", sorted(ROUTERS.keys() - {"docs"}))
def test_no_generated_request_gets_an_undocumented_answer(client: httpx.Client, name: str):
    """A small share of `make fuzz`."""
    found = operations(client.get("/openapi.json").json())
    for route in ROUTERS[name].routes:
        if route.include_in_schema:
            (method,) = route.methods
            fuzz_operation(found[f"{method} {route.path_format}"], str(client.base_url), 8)


def test_the_fuzz_gives_what_a_route_has_no_use_for_to_the_others():
    def send(most: int, n_cases: int, number: int) -> Counter[int]:
        return Counter({200: min(most, n_cases)})

    counted, failures = fuzz({"GET /one": 1, "GET /many": 10_000}, 1000, send)
    assert counted["GET /one"].total() <= 2
    assert sum(statuses.total() for statuses in counted.values()) >= 1000
    assert failures == []


def test_the_fuzz_says_what_fails_and_goes_on_with_the_rest(client: httpx.Client):
    """An undocumented status is found: the document is made to lack one."""
    document = client.get("/openapi.json").json()
    for status in ("200", "422"):
        del document["paths"]["/popular"]["get"]["responses"][status]
    found = operations(document)
    found = {route: found[route] for route in ("GET /popular", "GET /livez")}

    def send(operation: object, n_cases: int, number: int) -> Counter[int]:
        return fuzz_operation(operation, str(client.base_url), n_cases)

    counted, failures = fuzz(found, 10, send)
    assert len(failures) == 1
    assert failures[0].startswith("GET /popular")
    assert "Undocumented status code" in failures[0]
    assert counted["GET /livez"] == {200: 1}


def test_the_document_is_the_same_in_every_process(client: httpx.Client):
    made = create_app(Settings()).openapi()
    assert client.get("/openapi.json").json() == made


def test_the_reference_page_fetches_nothing_from_elsewhere(client: httpx.Client):
    page = client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "//" not in page.text
    assert "openapi.json" in page.text


def test_operation_ids_are_the_method_names_of_generated_clients(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert {
        operation["operationId"]: f"{method.upper()} {path}"
        for path, operations_of_path in paths.items()
        for method, operation in operations_of_path.items()
    } == {
        "get_recommendations": "GET /recommend/{user_id}",
        "recommend_for_history": "POST /recommend",
        "recommend_batch": "POST /recommend/batch",
        "get_similar_items": "GET /items/{item_id}/similar",
        "get_similar_users": "GET /users/{user_id}/similar",
        "get_popular_items": "GET /popular",
        "get_latest_items": "GET /latest",
        "list_items": "GET /items",
        "get_item": "GET /items/{item_id}",
        "put_item": "PUT /items/{item_id}",
        "update_item": "PATCH /items/{item_id}",
        "delete_item": "DELETE /items/{item_id}",
        "get_user": "GET /users/{user_id}",
        "send_events": "POST /events",
        "list_models": "GET /models",
        "activate_model": "POST /models/{version}/activate",
        "compare_models": "POST /models/{version}/compare",
        "rollback_model": "POST /models/rollback",
        "get_liveness": "GET /livez",
        "get_readiness": "GET /readyz",
        "get_metrics": "GET /metrics",
    }


def test_events_are_described_by_name_in_both_media_types(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    content = document["paths"]["/events"]["post"]["requestBody"]["content"]
    assert list(content) == ["application/json", "application/x-ndjson"]
    one, several = content["application/json"]["schema"]["anyOf"]
    assert one == several["items"] == {"$ref": "#/components/schemas/EventBody"}
    assert set(document["components"]["schemas"]["EventBody"]["required"]) == {
        "user_id",
        "item_id",
        "type",
    }
    assert content["application/x-ndjson"]["schema"]["type"] == "string"
