from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from hashrec.index.artifacts.store import Store
from hashrec.service.telemetry.metrics import Metrics
from tests.service.serving import metric, samples, serving, settings

DURATION = "http_request_duration_seconds_count"


def test_requests_are_counted_by_method_route_and_status(store: Store):
    with serving(settings(store.path)) as client:
        for path in ("/recommend/u1", "/v1/recommend/a%2Fb", "/recommend/u1?k=0", "/popular"):
            client.get(path)
        for path in ("/items/i1/similar", "/items/none/similar", "/x", "/y", "/y/../z"):
            client.get(path)
        client.post("/recommend/batch", json={"user_ids": ["u1", "u2"]})
        client.request("PROPFIND", "/popular")
        counted = {
            (labels["method"], labels["route"], labels["status"]): value
            for labels, value in samples(client, DURATION)
        }
    assert counted == {
        ("GET", "/recommend/{user_id}", "200"): 2,
        ("GET", "/recommend/{user_id}", "422"): 1,
        ("GET", "/popular", "200"): 1,
        ("GET", "/items/{item_id}/similar", "200"): 1,
        ("GET", "/items/{item_id}/similar", "404"): 1,
        ("GET", "unmatched", "404"): 3,
        ("POST", "/recommend/batch", "200"): 1,
        ("OTHER", "/popular", "405"): 1,
    }


def test_lists_are_counted_by_source_and_cache(store: Store):
    with serving(settings(store.path)) as client:
        for path in ("u1", "u1", "nobody", "nobody?category=Drama"):
            client.get(f"/recommend/{path}")
        client.post("/recommend/batch", json={"user_ids": ["u1", "u2", "nobody"]})
        client.get("/popular")
        counted = {
            (labels["source"], labels["cache"]): value
            for labels, value in samples(client, "hashrec_recommend_requests_total")
        }
        assert counted == {
            ("personal", "miss"): 2,
            ("personal", "local"): 2,
            ("popular", "miss"): 1,
            ("popular", "local"): 1,
            ("category_popular", "miss"): 1,
        }
        assert metric(client, "hashrec_fallback_total", reason="unknown_user") == 3
        assert metric(client, "hashrec_search_duration_seconds_count", index="flat") == 5


def test_the_index_is_described(store: Store):
    with serving(settings(store.path)) as client:
        assert metric(client, "hashrec_index_items") == 40
        assert metric(client, "hashrec_index_bytes") >= 40 * 4
        assert metric(client, "hashrec_model_info", version=store.current(), bits="32") == 1
        assert metric(client, "hashrec_model_activated_timestamp_seconds") > 1.7e9
        assert metric(client, "hashrec_degraded") == 0


def test_no_metric_has_a_user_or_an_item_in_it(client: httpx.Client):
    client.get("/recommend/u17")
    client.get("/items/i23/similar")
    client.get("/items/unheard-of/similar")
    text = client.get("/metrics").text
    for trace in ("u17", "i23", "unheard-of"):
        assert trace not in text


WORKER = """
import sys
from pathlib import Path
from hashrec.service.telemetry.metrics import Metrics

metrics = Metrics(Path(sys.argv[1]))
metrics.recommendations("personal", "local").inc(int(sys.argv[2]))
metrics.model_served(sys.argv[3], 32, 40, 160, 1.0)
metrics.degraded.set(1)
print("ready", flush=True)
sys.stdin.readline()
"""


def test_the_gauges_of_a_dead_worker_go_and_its_counts_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}

    def worker(count: int, version: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(tmp_path), str(count), version],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    total = 'hashrec_recommend_requests_total{cache="local",source="personal"} '
    with worker(3, "old") as dying, worker(4, "new") as living:
        text = Metrics(tmp_path).exposition().decode()
        assert total + "7.0" in text
        assert 'version="old"' in text
        dying.kill()
        dying.wait()
        text = Metrics(tmp_path).exposition().decode()
        assert total + "7.0" in text
        assert 'version="old"' not in text
        assert 'version="new"' in text
        living.kill()
