"""The first steps of a job: read the data, merge a journal's events, hold out the test part."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import closing
from dataclasses import replace
from typing import Any

from hashrec.index.errors import ConfigError, EmptyDataError
from hashrec.index.live.journal import open_journal
from hashrec.index.strength import Strength
from hashrec.training.data.catalogue import Dataset, load_dataset
from hashrec.training.data.cuts import iso
from hashrec.training.data.filtering import k_core
from hashrec.training.data.interactions import Interactions
from hashrec.training.data.journal_events import merge_events, read_events
from hashrec.training.data.reading import read_interactions
from hashrec.training.data.splits import Split, make_split
from hashrec.training.data.strengths import derived_from_types
from hashrec.training.jobs.config import DataConfig
from hashrec.training.jobs.job import Job
from hashrec.training.progress import Say

LEAK = "leaks the future: the model learns from later interactions of other users"


def read(
    config: DataConfig,
    say: Say,
    until: int | None = None,
    *,
    loaded: Dataset | None = None,
    needed: Collection[str] = (),
    strength: Strength | None = None,
) -> Dataset:
    """Read the data of a job, merge the events of its journal, and filter.

    Args:
        config: which data.
        say: takes one-line messages.
        until: position of the last journal entry to read; None reads all.
        loaded: the data, if they are in memory already; None loads what `config` names.
        needed: roles that every row has to have, such as `timestamp` for a split by time.
        strength: what interactions and events are worth; None derives it from the data.
    """
    dataset = loaded or load_dataset(
        config.source,
        data_home=config.home,
        items=config.items,
        item_columns=config.item_columns,
        options=config.format_options(),
        min_value=config.min_value,
        types=config.types,
        needed=needed,
        max_bad=config.max_bad,
        strength=strength,
    )
    for message in (dataset.description, *dataset.warnings):
        say(message)
    if config.events is not None:
        dataset = _with_events(dataset, config, say, until, strength)
    if dataset.strength.reason:
        say(f"strength: {dataset.strength.reason}")
    return dataset.with_interactions(k_core(dataset.interactions, config.k_core))


def _with_events(
    dataset: Dataset, config: DataConfig, say: Say, until: int | None, given: Strength | None
) -> Dataset:
    assert config.events is not None
    said = dataset.strength
    # The option names negative types in place of the policy's; its default does not.
    negative = config.negative_types if "negative_types" in config.model_fields_set else None
    with closing(open_journal(config.events.get_secret_value())) as journal:
        events = read_events(
            journal,
            types=config.types,
            strength=said.policy,
            negative_types=negative,
            until=until,
        )
    if given is None and said.policy.is_even:
        said = derived_from_types(events.positive_types()) or said
    if negative is not None:
        said = replace(said, policy=said.policy.with_negative_types(negative))
    merged = merge_events(dataset.interactions, events, said.policy)
    say(
        f"journal: {events.n_events:,} events; {merged.n_added:,} interactions added, "
        f"{merged.n_taken_back:,} taken back"
    )
    return replace(
        dataset,
        interactions=merged.interactions,
        journal_position=events.position or None,
        strength=said,
    )


def split_data(job: Job, dataset: Dataset) -> Split:
    """Hold out what the job says; item rows stand in descending popularity in training.

    Raises:
        ConfigError: the split needs a test file and has none, or has one that it does not take.
        EmptyDataError: nothing can be held out.
    """
    chosen = job.config.split
    test = _given_test(job, dataset)
    split = make_split(
        chosen.strategy, dataset.interactions, seed=job.seed, at=chosen.at, test=test
    )
    if split.cut is not None and split.test is not None:
        job.say(
            f"cut at {iso(split.cut)}: {len(split.train):,} interactions before it, "
            f"{len(split.test) + split.n_unknown:,} after it"
        )
    if chosen.strategy == "temporal":
        job.say(f"--split temporal {LEAK}; --split time has one cut for everyone")
    if split.n_unknown or split.n_known:
        job.say(
            f"left out of the test pairs: {split.n_unknown:,} of users or items that training "
            f"lacks ({split.n_cold_users:,} cold users, {split.n_cold_items:,} cold items), "
            f"{split.n_known:,} that training holds"
        )
    if chosen.by_validation:
        split = split.with_validation(seed=job.seed)
    for part in (split.test, split.validation):
        if part is not None and not len(part):
            raise EmptyDataError(
                job.config.data.source, "too little data to hold anything out; use --split none"
            )
    return split.by_popularity()


def split_report(job: Job, split: Split) -> dict[str, Any]:
    """Return what a report says of a split: the strategy, the cut, and the cold pairs."""
    strategy = job.config.split.strategy
    told: dict[str, Any] = {"strategy": strategy}
    if strategy in {"time", "given"}:
        told |= split.told()
    if strategy == "temporal":
        told["note"] = f"this split {LEAK}"
    return told


def _given_test(job: Job, dataset: Dataset) -> Interactions | None:
    """Read the test file of `--split given`; None for the other splits."""
    chosen, data = job.config.split, job.config.data
    if chosen.strategy != "given":
        if chosen.test is not None:
            raise ConfigError("--test FILE goes with --split given")
        return None
    path = chosen.test or dataset.test_path
    if path is None:
        raise ConfigError("--split given needs --test FILE")
    options = data.format_options()
    if chosen.test is None and dataset.reading is not None:  # train.txt and test.txt are alike
        options = replace(options, preset=dataset.reading.preset)
    reading = read_interactions(
        path,
        options,
        min_value=data.min_value,
        types=data.types,
        max_bad=data.max_bad,
    )
    job.say(reading.summary())
    return reading.interactions
