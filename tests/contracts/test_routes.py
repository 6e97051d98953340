"""What every router in ROUTERS must do: be documented truthfully, in each of its routes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from hashrec.service.app import create_app
from hashrec.service.routes import ROUTERS
from hashrec.service.routes.schemas import Problem
from hashrec.service.settings import Settings


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The OpenAPI document."""
    return create_app(Settings(store=Path("unused"))).openapi()


def operations(document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [
        document["paths"][route.path_format][method.lower()]
        for route in ROUTERS[name].routes
        if route.include_in_schema
        for method in route.methods
    ]


@pytest.mark.parametrize("name", sorted(ROUTERS))
def test_every_route_says_what_it_does(document: dict[str, Any], name: str):
    for operation in operations(document, name):
        assert operation["description"].endswith(".")
        assert operation["tags"]


@pytest.mark.parametrize("name", sorted(ROUTERS))
def test_every_error_is_documented_as_a_problem(document: dict[str, Any], name: str):
    for operation in operations(document, name):
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert response["content"] == {
                    "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
                }


@pytest.mark.parametrize("name", sorted(ROUTERS))
def test_every_parameter_is_explained(document: dict[str, Any], name: str):
    for operation in operations(document, name):
        for parameter in operation.get("parameters", ()):
            assert parameter["description"] or parameter["schema"]["description"]


def test_every_example_is_valid_by_its_own_schema(document: dict[str, Any]):
    examples = 0
    for name, schema in document["components"]["schemas"].items():
        validator = jsonschema_rs.validator_for(
            {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        )
        for example in schema.get("examples", ()):
            validator.validate(example)
            examples += 1
    assert examples >= 4


def test_example_scores_are_what_the_formula_gives(document: dict[str, Any]):
    (example,) = document["components"]["schemas"]["RecommendReply"]["examples"]
    (item,) = example["items"]
    assert item["score"] == 1 - item["hamming"] / 192
    assert example["count"] == len(example["items"])


def test_both_ways_to_reach_a_route_exist_and_one_is_documented(document: dict[str, Any]):
    assert document["paths"]
    assert not [path for path in document["paths"] if path.startswith("/v1")]


def test_the_problem_schema_names_what_rfc_9457_names():
    assert {"type", "title", "status", "detail", "instance"} <= set(Problem.model_fields)
