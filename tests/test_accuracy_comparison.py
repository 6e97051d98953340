"""The comparison of accuracy makes each run once, and counts what the reports say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.accuracy import collect
from benchmarks.accuracy_jobs import Job, difference, finished, invent, jobs
from benchmarks.accuracy_tables import compare, markdown, summary
from hashrec.index.errors import DataError
from hashrec.training.reproduction.summary import write_into

DENSE = "synthetic-dense"


def hash_report(job: Job, ndcg: float, *, sha256: str = "same", **others: Any) -> dict[str, Any]:
    judged = {"recall": 0.25, "map": 0.125, "ndcg": ndcg}
    sizes = {"n_users": 3, "n_items": 4, "n_train": 6, "n_held_out": 5}
    return {
        "config": job.settings() | others,
        "data": {"source": "anywhere", "sha256": sha256, **sizes},
        "metrics": {"test": {"codes": judged, "teacher": judged | {"ndcg": 0.8}}},
        "seconds": {"total": 2.0},
        "peak_memory_mb": 100.0 * (1 + job.seed),
        "bytes_per_item": {"code": 8, "vector": 16, "total": 24},
    }


def test_a_run_is_made_once_and_again_when_a_setting_has_changed(tmp_path: Path) -> None:
    job = Job(DENSE, "popularity", None, 0)
    source = invent(DENSE, tmp_path)
    made, missing = collect([job], source, tmp_path, may_run=True)
    path = tmp_path / job.name / "report.json"
    first = path.read_bytes()
    assert not missing
    assert made[0][1]["metrics"]["test"]["scores"]["ndcg"] > 0

    again, _ = collect([job], source, tmp_path, may_run=True)
    assert again == made
    assert path.read_bytes() == first

    other = json.loads(first)
    other["config"]["k"] = 5
    path.write_text(json.dumps(other))
    assert collect([job], source, tmp_path, may_run=False) == ([], {})
    renewed, _ = collect([job], source, tmp_path, may_run=True)
    assert renewed[0][1]["config"]["k"] == 20


def test_a_method_that_is_refused_is_named_with_the_reason(tmp_path: Path) -> None:
    one_pair = tmp_path / "pairs.csv"
    one_pair.write_text("user_id,item_id\na,b\n")
    wanted = [Job(DENSE, "popularity", None, seed) for seed in (0, 1)]
    reports, missing = collect(wanted, one_pair, tmp_path, may_run=True)
    assert reports == []
    assert list(missing) == ["popularity"]
    assert "too little data" in missing["popularity"]


def test_settings_that_a_job_chooses_by_itself_may_differ() -> None:
    found = {"model": {"perplexity": 25.0, "n_bits": 64}, "teacher": {"name": "ials"}}
    wanted = {"model": {"perplexity": 50.0, "n_bits": 64}, "teacher": {}}
    assert difference(found, wanted, ("model.perplexity", "teacher")) is None
    assert difference(found, wanted, ("teacher",)) == "model.perplexity is 25.0, not 50.0"


def test_a_run_of_auto_counts_only_with_a_teacher_that_is_still_chosen_from(
    tmp_path: Path,
) -> None:
    job = Job(DENSE, "auto", 64, 0)
    folder = tmp_path / job.name
    folder.mkdir(parents=True)
    chosen = Job(DENSE, "ials-64", None, 0).settings()["teacher"]
    for teacher, counts in ((chosen, True), (chosen | {"alpha": 3.0}, False)):
        report = hash_report(job, 0.5, teacher=teacher, rerank="auto")
        (folder / "report.json").write_text(json.dumps(report))
        assert (finished(job, tmp_path) is not None) is counts
        # made with --rerank auto, it holds the re-ranked figures as well
        assert (finished(Job(DENSE, "auto-reranked", 64, 0), tmp_path) is not None) is counts


def test_a_row_has_mean_and_sample_deviation_over_the_splits() -> None:
    wanted = list(jobs(DENSE, ["least-squares"], 2, [64]))
    reports = [(job, hash_report(job, ndcg)) for job, ndcg in zip(wanted, (0.4, 0.6), strict=True)]
    comparison = compare(DENSE, reports, {"EASE": "too many items"})
    (row,) = comparison.rows
    assert row.n_splits == 2
    assert row.figures["ndcg"] == pytest.approx((0.5, 0.02**0.5))
    assert row.teacher_share == pytest.approx(0.625)
    assert row.bytes_per_item == (8,)
    assert row.peak_mb == 200.0
    table = markdown(comparison)
    assert "| least-squares | 64 | 8 | .2500 ± .0000 |" in table
    assert "| .5000 ± .1414 | 2 | 2 | 200 | 62.5% of denoised-ease |" in table
    assert "- No EASE: too many items" in table


def test_bytes_of_a_re_ranked_row_include_the_vector() -> None:
    job = Job(DENSE, "auto-reranked", 64, 0)
    comparison = compare(DENSE, [(job, hash_report(job, 0.5))], {})
    assert comparison.rows[0].bytes_per_item == (24,)
    assert "| – | – | .5000 | 24 |" in summary([comparison])


def test_runs_of_other_data_are_not_put_into_one_table() -> None:
    narrow, wide = jobs(DENSE, ["bincf"], 1, [64, 128])
    reports = [(narrow, hash_report(narrow, 0.5)), (wide, hash_report(wide, 0.5, sha256="other"))]
    with pytest.raises(DataError, match=r"bincf-128-0 .* other data"):
        compare(DENSE, reports, {})


def test_a_split_that_comes_with_the_data_is_judged_once() -> None:
    assert [job.name for job in jobs("gowalla", ["ease", "auto"], 5, None)] == [
        "gowalla/ease-float-0",
        "gowalla/auto-256-0",
    ]


def test_a_block_of_a_page_is_replaced_and_the_rest_is_kept(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- tables: begin -->\nold\n<!-- tables: end -->\nafter\n")
    for content in (r"new \1", "newer"):
        write_into(page, {"tables": content})
        expected = f"before\n<!-- tables: begin -->\n{content}\n<!-- tables: end -->\nafter\n"
        assert page.read_text() == expected
    with pytest.raises(DataError, match="in short"):
        write_into(page, {"in short": ""})
