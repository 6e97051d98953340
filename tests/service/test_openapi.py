from __future__ import annotations

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from service.app import create_app
from service.routes import ROUTERS
from service.settings import Settings

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.mark.parametrize("name", sorted(ROUTERS.keys() - {"docs"}))
def test_no_generated_request_gets_an_undocumented_answer(client: httpx.Client, name: str):
    schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())

    @hypothesis_settings(
        max_examples=30,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def conforms(data: st.DataObject) -> None:
        documented = [route for route in ROUTERS[name].routes if route.include_in_schema]
        route = data.draw(st.sampled_from(documented))
        (method,) = route.methods
        operation = schema[route.path_format][method]
        mode = data.draw(st.sampled_from(list(schemathesis.GenerationMode)))
        case = data.draw(operation.as_strategy(generation_mode=mode))
        case.call_and_validate(base_url=str(client.base_url), checks=CHECKS)

    conforms()


def test_the_document_is_the_same_in_every_process(client: httpx.Client):
    made = create_app(Settings()).openapi()
    assert client.get("/openapi.json").json() == made


def test_the_reference_page_fetches_nothing_from_elsewhere(client: httpx.Client):
    page = client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "//" not in page.text
    assert "openapi.json" in page.text
