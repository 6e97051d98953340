"""What is measured offline of a model is what its users get over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest

from hashrec.index.arrays.seen import SeenItems
from hashrec.index.artifacts.artifact import Artifact
from hashrec.index.artifacts.store import Store
from hashrec.index.ranking.bulk import rank_users
from hashrec.index.ranking.nearest import most_popular
from hashrec.index.ranking.recommender import Recommender
from hashrec.training.data.splits import hold_out_users
from hashrec.training.jobs.config import load_config
from hashrec.training.jobs.fitting import fit
from hashrec.training.jobs.inputs import read
from hashrec.training.jobs.job import Job
from hashrec.training.jobs.outputs import load_held_out, write
from hashrec.training.jobs.recipe import Recipe
from hashrec.training.jobs.training import train
from hashrec.training.judging.evaluation import evaluate_histories
from hashrec.training.judging.metrics import user_metrics
from hashrec.training.progress import QuietProgress
from tests.commands import Command
from tests.ports import free_port
from tests.test_readme import wait_for
from tests.training.small_jobs import quick_config

K = 100


@contextmanager
def serving(store: Path) -> Iterator[httpx.Client]:
    """Serve a store in a process of its own; gives a client of it."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    server = Command("serve", "--store", store, "--port", port, HASHREC_DRAIN_S="0")
    with httpx.Client(base_url=url) as client:
        try:
            wait_for(f"{url}/readyz", server)
            yield client
        finally:
            server.terminate()
            assert server.wait(100) == 0


def test_ndcg_counted_from_http_answers_is_the_figure_in_the_report(tmp_path: Path) -> None:
    run, store = tmp_path / "run", tmp_path / "store"
    config = quick_config(tmp_path, "synthetic", k=K)
    report = train(config, run, QuietProgress(), lambda _: None)
    Store(store).publish(run / "artifact")
    model = Artifact.open(run / "artifact").model
    held_out = load_held_out(run, len(model.users))
    users = np.flatnonzero(held_out.counts())
    offline = rank_users(Store(store).open(), users, K)

    ndcg: list[float] = []
    with serving(store) as client:
        for user, ranking in zip(users, offline, strict=True):
            answer = json.loads(client.get(f"/recommend/{model.users.id(user)}?k={K}").content)
            rows = [model.items.row(item["item_id"]) for item in answer["items"]]
            assert rows == ranking.rows.tolist()
            assert not set(rows) & set(model.seen[user].tolist())
            ndcg.append(user_metrics(np.array(rows), held_out[user], K).ndcg)
    assert len(ndcg) > 900
    assert np.mean(ndcg) == pytest.approx(report.metrics["test"]["codes"]["ndcg"])


def test_new_users_with_ten_items_get_over_http_the_ndcg_that_is_measured_offline(
    tmp_path: Path,
) -> None:
    config = load_config(
        None,
        {
            "data.source": "synthetic",
            "model.name": "listwise",
            "model.epochs": 10,
            "model.n_bits": 64,
            "teacher.name": "ease",
            "teacher.regularization": 50,
        },
    )
    dataset = read(config.data, lambda _: None)
    split = hold_out_users(dataset.interactions, 100, seed=0).by_popularity()
    job = Job.of(config, QuietProgress(), lambda _: None)
    fitted = fit(job, Recipe.of(config), split.train)
    artifact, store = tmp_path / "artifact", tmp_path / "store"
    write(job, artifact, fitted, dataset)
    Store(store).publish(artifact)

    n_new, history = split.history.n_users, split.history.seen()
    ten = [history[user][:10] for user in range(n_new)]
    histories = SeenItems.build(
        np.repeat(np.arange(n_new), [len(rows) for rows in ten]), np.concatenate(ten), n_new
    )
    relevant, recommender = split.relevant.seen(), Recommender(Store(store).open())
    assert recommender.artifact.model.refiner is not None
    items, ndcg = recommender.artifact.model.items, []
    with serving(store) as client:
        for user in range(n_new):
            positive = [items.id(row) for row in histories[user]]
            answer = client.post("/recommend", json={"positive": positive, "k": 20}).json()
            assert answer["source"] == "fold_in"
            rows = np.array([items.row(item["item_id"]) for item in answer["items"]])
            if len(relevant[user]):
                ndcg.append(user_metrics(rows, relevant[user], 20).ndcg)
    offline = evaluate_histories(recommender, histories, relevant, 20).ndcg
    assert np.mean(ndcg) == pytest.approx(offline)
    popular = [
        user_metrics(most_popular(len(items), histories[user], 20), relevant[user], 20).ndcg
        for user in range(n_new)
        if len(relevant[user])
    ]
    assert np.mean(ndcg) > 1.3 * np.mean(popular)
