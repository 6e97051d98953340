"""What a report says of a model is what its users get over HTTP."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest

from index.artifact import Artifact
from index.recommender import Recommender
from index.store import Store
from tests.test_readme import free_port, wait_for
from tests.training.small_jobs import quick_config
from training.job import load_held_out, train
from training.metrics import user_metrics
from training.progress import QuietProgress

K = 100


def test_ndcg_counted_from_http_answers_is_the_figure_in_the_report(tmp_path: Path) -> None:
    run, store = tmp_path / "run", tmp_path / "store"
    config = quick_config(tmp_path, "synthetic", k=K)
    report = train(config, run, QuietProgress(), lambda _: None)
    Store(store).publish(run / "artifact")
    model = Artifact.open(run / "artifact").model
    held_out = load_held_out(run, len(model.users))
    users = np.flatnonzero(held_out.counts())
    offline = Recommender(Store(store).open()).rank_users(users, K)

    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "index.cli", "serve", "--store", store, "--port", str(port)]
    ndcg: list[float] = []
    with subprocess.Popen(command, text=True) as server, httpx.Client(base_url=url) as client:
        try:
            wait_for(f"{url}/readyz", server)
            for user, ranking in zip(users, offline, strict=True):
                answer = json.loads(client.get(f"/recommend/{model.users.id(user)}?k={K}").content)
                rows = [model.items.row(item["item_id"]) for item in answer["items"]]
                assert rows == ranking.rows.tolist()
                assert not set(rows) & set(model.seen[user].tolist())
                ndcg.append(user_metrics(np.array(rows), held_out[user], K).ndcg)
        finally:
            server.send_signal(signal.SIGTERM)
    assert len(ndcg) > 900
    assert np.mean(ndcg) == pytest.approx(report.metrics["test"]["codes"]["ndcg"])
