"""What the comparison of two versions takes for a value, and what for the wording of a message."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.compare_differences import (
    Account,
    Difference,
    is_description,
    of_bytes,
    of_folders,
    of_json,
)
from benchmarks.compare_replies import Reply, metrics_of, of_replies
from benchmarks.compare_requests import Request, get
from benchmarks.compare_serving import operations
from benchmarks.compare_training import JOBS, report_of
from hashrec.training.models import HASH_MODELS
from hashrec.training.teachers import TEACHERS

PROBLEM = {
    "type": "urn:a",
    "title": "Not Found",
    "status": 404,
    "detail": "no item",
    "instance": "/",
}


def kinds(before: object, after: object, **options) -> dict[str, str]:
    found = of_json(json.dumps(before), json.dumps(after), "here", **options)
    return {difference.where.removeprefix("here: "): difference.kind for difference in found}


def test_equal_documents_have_no_difference():
    assert kinds(PROBLEM, dict(PROBLEM)) == {}


def test_the_detail_of_a_problem_is_wording_and_its_type_is_not():
    changed = PROBLEM | {"type": "urn:b", "detail": "there is no such item"}
    assert kinds(PROBLEM, changed) == {"type": "different", "detail": "wording"}


def test_a_problem_in_a_batch_is_one_too():
    before, after = ({"results": [{"items": []}, PROBLEM | {"detail": text}]} for text in "ab")
    assert kinds(before, after) == {"results.1.detail": "wording"}


def test_a_detail_that_is_gone_is_no_wording():
    without = {name: value for name, value in PROBLEM.items() if name != "detail"}
    assert kinds(PROBLEM, without)["detail"] == "different"


def test_the_title_of_an_item_is_a_value():
    before, after = ({"item_id": "1", "title": title} for title in ("Heat", "Heat (1995)"))
    assert kinds(before, after) == {"title": "different"}


def test_messages_of_errors_and_reasons_of_rejected_events_are_wording():
    before, after = (
        {
            "errors": [{"location": place, "message": text}],
            "rejected": [{"index": 1, "reason": text}],
        }
        for place, text in (("query.k", "too large"), ("query.n", "at most 500"))
    )
    assert kinds(before, after) == {
        "errors.0.location": "different",
        "errors.0.message": "wording",
        "rejected.0.reason": "wording",
    }


def test_descriptions_are_wording_in_an_openapi_document_alone():
    before = {"get": {"operationId": "recommend_get", "summary": "Recommend", "deprecated": False}}
    after = {"get": {"operationId": "get_list", "description": "More.", "deprecated": False}}
    assert kinds(before, after, is_wording=is_description) == {
        "get.operationId": "wording",
        "get.summary": "wording",
        "get.description": "wording",
    }
    assert set(kinds(before, after).values()) == {"different"}


def test_an_operation_without_its_id_is_no_wording():
    with_id, without = {"operationId": "a", "tags": []}, {"tags": []}
    assert kinds(with_id, without, is_wording=is_description) == {"operationId": "different"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"score": 0.5}', '{"score": 0.50}'),
        ('{"k": 1}', '{"k": 1.0}'),
        ('{"k": 1}', '{"k": true}'),
        ('{"k": 1}', '{"k": "1"}'),
        ('{"j": 1, "k": null}', '{"j": 1}'),
        ('{"k": []}', '{"k": {}}'),
        ('{"a": 1, "b": 2}', '{"b": 2, "a": 1}'),
        ('{"a": 1}', '{"a":1}'),
        ('{"a": 1}', "not JSON"),
    ],
)
def test_what_is_written_otherwise_differs(before: str, after: str):
    assert [difference.kind for difference in of_json(before, after, "here")] == ["different"]


def test_bytes_tell_how_many_differ_and_where():
    (found,) = of_bytes(b"\0\1\2\3", b"\0\1\6\7", "codes.npy")
    assert found.where == "codes.npy: 2 of 4 bytes, the first at 2"
    (found,) = of_bytes(b"ab", b"abc", "codes.npy")
    assert found.where == "codes.npy: 2 and 3 bytes, other from 2"


def test_a_file_that_one_side_lacks_differs(tmp_path: Path):
    for side in ("before", "after"):
        (tmp_path / side / "inner").mkdir(parents=True)
        (tmp_path / side / "inner" / "same").write_bytes(b"same")
        (tmp_path / side / "lock").write_text(side)
    (tmp_path / "after" / "more").write_bytes(b"")
    found = list(of_folders(tmp_path / "before", tmp_path / "after", "run", ignored=["lock"]))
    assert found == [[], [Difference("run/more", "(missing)", "there")]]


def test_the_worst_difference_counts_and_expected_ones_do_not_fail():
    account = Account(expected=("GET /openapi.json: *requestBody*",))
    wording = Difference("GET /a: detail", "x", "y", "wording")
    body = Difference("GET /openapi.json: paths./events.post.requestBody.content", "1", "2")
    account.add("replies", [])
    account.add("replies", [wording])
    account.add("replies", [wording, body])
    assert account.rows == {"replies": {"equal": 1, "wording": 1, "expected": 1}}
    assert not account.failed
    account.add("replies", [body, Difference("GET /a: status", "200", "404")])
    assert account.rows["replies"]["different"] == 1
    assert account.failed


def reply(content: object, status: int = 404, **headers: str) -> Reply:
    body = json.dumps(content).encode()
    given = {"content-type": "application/problem+json", "content-length": str(len(body))}
    return Reply(status, sorted((given | headers).items()), body)


def test_replies_differ_in_status_and_headers_and_not_in_the_length_of_words():
    before, longer = reply(PROBLEM), reply(PROBLEM | {"detail": "there is no such item"})
    found = of_replies(get("/items/x"), before, longer, "here")
    assert [(d.where, d.kind) for d in found] == [("here: detail", "wording")]
    other = reply(PROBLEM, 410, allow="GET")
    found = of_replies(get("/items/x"), before, other, "here")
    assert [(d.where, d.kind) for d in found] == [
        ("here: status", "different"),
        ("here: headers", "different"),
    ]


def test_a_length_without_a_body_is_a_value_unless_it_is_that_of_words():
    head = Request("HEAD", "/popular")
    for kind, expected in (("application/json", "different"), ("text/html", "wording")):
        replies = (
            Reply(200, [("content-length", length), ("content-type", kind)], b"")
            for length in ("10", "11")
        )
        (found,) = of_replies(head, *replies, "here")
        assert found.kind == expected


def test_metrics_keep_counts_and_labels_and_lose_seconds_and_polls():
    exposition = b"""\
# HELP seconds Time.
# TYPE seconds histogram
seconds_bucket{le="0.5",route="/popular"} 2.0
seconds_count{route="/popular"} 3.0
seconds_sum{route="/popular"} 0.123
seconds_count{route="/readyz"} 7.0
"""
    assert metrics_of(exposition) == {
        "help of seconds": {"in words": "Time."},
        "type of seconds": "histogram",
        'seconds_bucket{le="0.5",route="/popular"}': "TIME",
        'seconds_count{route="/popular"}': "3.0",
        'seconds_sum{route="/popular"}': "TIME",
    }


def test_names_of_loss_curves_are_wording_and_their_values_are_not():
    def report(curve: str, loss: float) -> dict:
        return report_of(
            {
                "version": "20261128T103733Z-0764af",
                "environment": {"commit": curve, "torch": "2"},
                "seconds": {"read": loss},
                "curves": {curve: {"loss": [loss]}},
                "selection": None,
            }
        )

    assert kinds(report("Epochs", 0.5), report("Passes", 0.5)) == {"curves.0.in words": "wording"}
    changed = kinds(report("Epochs", 0.5), report("Epochs", 0.25))
    assert changed == {"curves.0.value.loss.0": "different"}


def test_a_target_belongs_to_the_operation_that_says_most_of_it():
    operation_of = operations(
        {
            "/items/{item_id}": {"get": {}},
            "/items/{item_id}/similar": {"get": {}},
            "/a": {"post": {}},
        }
    )
    assert operation_of("GET", "/items/a%2Fb?k=1") == "GET /items/{item_id}"
    assert operation_of("GET", "/items/a/similar") == "GET /items/{item_id}/similar"
    assert operation_of("POST", "/a") == "POST /a"
    assert operation_of("GET", "/a") == ""


def test_every_hash_model_and_teacher_is_trained():
    assert {job.model for job in JOBS} == HASH_MODELS.keys() | {"auto"}
    assert {job.teacher for job in JOBS} - {None} == set(TEACHERS)
    assert len({job.name for job in JOBS}) == len(JOBS)
