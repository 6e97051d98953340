"""docs/api.md is the contract: what it says of each route is what there is, and the reverse."""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import jsonschema_rs
import pytest

from hashrec.index.arrays.ids import IdMap
from hashrec.index.artifacts.store import Store
from hashrec.service.access.keys import new_key
from hashrec.service.app import create_app
from hashrec.service.settings import Settings
from tests.index.small_models import model_of, write
from tests.service.serving import serving, settings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "api.md"
ROW = re.compile(r"^\| `([A-Z]+) (/\S*)` \|(.*)\|(.*)\|(.*)\|$", re.MULTILINE)
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")  # what destroys comes last
TOLD = {"etag", "x-cache", "x-model-version"}  # headers that some routes have and some have not

# Routes of the contract that are still to come: a line goes when its route does.
PENDING: set[str] = set()
IDS = {"user_id": "42", "item_id": "1193"}
KEY, ENTRY = new_key("contract", "admin")


class Route(NamedTuple):
    """What a route takes and gives."""

    parameters: set[str]
    statuses: set[str]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The OpenAPI document."""
    return create_app(Settings(store=Path("unused"))).openapi()


@pytest.fixture(scope="module")
def page() -> dict[str, tuple[str, str, str]]:
    """The rows of the contract's table."""
    rows = ROW.findall(PAGE.read_text())
    return {f"{method} {path}": tuple(cells) for method, path, *cells in rows}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Generator[httpx.Client]:
    """An administrator's client of a service that knows the ids of the examples."""
    folder = tmp_path_factory.mktemp("contract")
    store = Store(folder / "store")
    for day in range(2):
        model = model_of(60, 40, 32, seed=day)
        users = IdMap.build(["42", "new-user-17", *(f"u{row}" for row in range(2, 60))])
        known = ["1193", "661", "914", "2355", "1207"]
        items = IdMap.build([*known, *(f"i{row}" for row in range(len(known), 40))])
        write(folder / str(day), replace(model, users=users, items=items), day=day)
        store.publish(folder / str(day))
    with serving(settings(store.path, keys={"entries": ENTRY.entry()})) as client:
        client.headers["x-api-key"] = KEY
        yield client


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every operation by its route, what destroys last."""
    found = {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    return dict(sorted(found.items(), key=lambda entry: METHODS.index(entry[0].split()[0])))


def resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference within the document."""
    name = schema.get("$ref", "").rpartition("/")[2]
    return document["components"]["schemas"][name] if name else schema


def body_schema(document: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    """The schema of one JSON object that an operation takes."""
    content = operation.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    return resolved(document, schema.get("anyOf", [schema])[0])


def test_the_document_has_the_routes_of_the_page_and_no_others(
    document: dict[str, Any], page: dict[str, tuple[str, str, str]]
):
    assert set(operations(document)) == set(page) - PENDING


def test_no_route_that_is_there_is_said_to_be_still_to_come(
    document: dict[str, Any], page: dict[str, tuple[str, str, str]]
):
    assert PENDING & set(operations(document)) == set(), "take these out of PENDING"
    assert set(page) >= PENDING


def test_each_route_takes_what_the_page_says(
    document: dict[str, Any], page: dict[str, tuple[str, str, str]]
):
    for route, operation in operations(document).items():
        named = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "query"}
        named |= set(body_schema(document, operation).get("properties", {}))
        assert set(re.findall(r"`(\w+)`", page[route][0])) == named, route


def test_each_route_replies_with_the_statuses_of_the_page(
    document: dict[str, Any], page: dict[str, tuple[str, str, str]]
):
    for route, operation in operations(document).items():
        assert set(page[route][1].split()) == set(operation["responses"]), route


def test_every_example_of_a_request_works_and_every_reply_is_as_documented(
    document: dict[str, Any], page: dict[str, tuple[str, str, str]], client: httpx.Client
):
    current = client.get("/models").json()["current"]
    for route, operation in operations(document).items():
        method, _, template = route.partition(" ")
        path = template.format_map({**IDS, "version": current})
        bodies: list[Any] = [None]
        if "requestBody" in operation:
            bodies = body_schema(document, operation).get("examples", [])
            assert bodies, f"{route} has no example of a body"
        for body in bodies:
            reply = client.request(method, path, json=body)
            assert reply.is_success, f"{route}: {reply.text}"
            content = operation["responses"][str(reply.status_code)].get("content", {})
            media_type = reply.headers.get("content-type", "").partition(";")[0]
            assert set(content) == ({media_type} - {""}), route
            if media_type == "application/json":
                whole = {**content[media_type]["schema"], "components": document["components"]}
                jsonschema_rs.validator_for(whole).validate(reply.json())
            named = {name.lower() for name in re.findall(r"`([\w-]+)`", page[route][2])}
            assert named & TOLD == set(reply.headers) & TOLD, route
            assert {"x-request-id", "server-timing"} <= set(reply.headers)


def test_every_example_of_a_parameter_is_taken(document: dict[str, Any], client: httpx.Client):
    for route, operation in operations(document).items():
        method, _, template = route.partition(" ")
        for parameter in operation.get("parameters", ()):
            given = [parameter["example"]] if "example" in parameter else []
            given += parameter["schema"].get("examples", [])
            for value in given:
                assert method == "GET", f"{route}: say here how to try {parameter['name']}"
                ids, query = dict(IDS), {}
                (ids if parameter["in"] == "path" else query)[parameter["name"]] = value
                reply = client.get(template.format_map(ids), params=query)
                assert reply.is_success, f"{route} {parameter['name']}={value}: {reply.text}"
