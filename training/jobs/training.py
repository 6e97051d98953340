"""`hashrec train`: one job from a data source to the folder of a run.

RUN/artifact/       what serves
RUN/held_out.npy    the held-out pairs, int32 (n, 2): user row, item row; none with `--split none`
RUN/report.json     figures, settings, seed, data hash
RUN/.checkpoints/   the state of a job that is not done
"""

from __future__ import annotations

from pathlib import Path

from hashrec.index.artifacts.artifact import HELD_OUT_FILE, RUN_FOLDER, record_metrics
from hashrec.training.data.catalogue import Dataset
from hashrec.training.data.splits import TIMED
from hashrec.training.jobs.checkpoints import CHECKPOINTS_FOLDER, Checkpoints
from hashrec.training.jobs.config import JobConfig
from hashrec.training.jobs.fitting import choose_by_validation, fit
from hashrec.training.jobs.inputs import read, split_data, split_report
from hashrec.training.jobs.job import Job
from hashrec.training.jobs.outputs import build_report, folder_of_run, save_held_out, write
from hashrec.training.jobs.recipe import Recipe
from hashrec.training.jobs.report import REPORT_FILE, Report
from hashrec.training.jobs.resuming import ResumableProgress
from hashrec.training.jobs.strength_choice import JUDGED_BY_TIME
from hashrec.training.judging.artifacts import Figures, headline, judge
from hashrec.training.judging.evaluation import evaluate_scores
from hashrec.training.judging.judgement import REPORTED_LENGTHS
from hashrec.training.progress import Progress, Say


def train(
    config: JobConfig,
    run: Path,
    progress: Progress,
    say: Say,
    *,
    fresh: bool = False,
    dataset: Dataset | None = None,
) -> Report:
    """Read, split, choose, fit the teacher and the model, write the artifact, judge, report.

    Args:
        config: the job's settings.
        run: folder to write to. A job that was killed there goes on if it has the same settings.
        progress: follows the training loops.
        say: takes one-line messages.
        fresh: start over, whatever is there.
        dataset: the data, if they are in memory already; None loads what `config` names.

    Raises:
        HashrecError: with the reason; an artifact that was in `run` before is replaced only by a
            complete one.
    """
    recipe = Recipe.of(config)
    checkpoints = Checkpoints(run / CHECKPOINTS_FOLDER, config.checkpoint_seconds, say)
    job = Job.of(config, ResumableProgress(progress, checkpoints, say), say)
    with folder_of_run(run):
        if fresh:
            checkpoints.clear()
        with job.stage("read"):
            needed = ("timestamp",) if config.split.strategy in TIMED else ()
            dataset = read(
                config.data, say, needed=needed, loaded=dataset, strength=config.given_strength
            )
            split = split_data(job, dataset)
            checkpoints.begin(recipe.key(job, split.train))
        with job.stage("selection"):
            by_time = config.split.strategy in JUDGED_BY_TIME
            recipe, selection = recipe.settle(job, split.train, dataset.strength, by_time=by_time)
        choice = choose_by_validation(job, recipe, split.train)
        fitted = fit(job, recipe, split.train)
        artifact = run / RUN_FOLDER
        with job.stage("write"):
            for stale in (HELD_OUT_FILE, REPORT_FILE):  # they describe the artifact that goes
                (run / stale).unlink(missing_ok=True)
            manifest = write(job, artifact, fitted, dataset, choice, cut=split.cut)
        metrics: dict[str, Figures] = {}
        if (held_out := split.held_out) is not None:
            with job.stage("evaluate"):
                save_held_out(run, held_out)
                relevant = held_out.seen()
                figures = judge(artifact, relevant, job.k)
                if fitted.teacher is not None:
                    judged = evaluate_scores(
                        fitted.teacher, split.train, relevant, job.k, lengths=REPORTED_LENGTHS
                    )
                    figures["teacher"] = judged.figures()
                metrics[split.judged_part] = figures
                record_metrics(artifact, headline(split.judged_part, figures))
        report = build_report(
            job, recipe, manifest, split.train, held_out, metrics=metrics,
            choice=choice, selection=selection, resumed=checkpoints.resumed,
            split=split_report(job, split),
            said=dataset.strength,
        )  # fmt: skip
        report.write(run)
    checkpoints.clear()
    return report
