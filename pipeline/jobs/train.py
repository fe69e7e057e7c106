"""`train`: tables, or whatever they are read from -> a published run."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pyarrow as pa

from belfry.dataset.concurrency.blas import one_thread
from belfry.dataset.concurrency.machine import workers_to_use
from belfry.dataset.errors import InputError
from belfry.dataset.folds import Holdout
from belfry.dataset.history.repeats import Repeats
from belfry.dataset.prepare import Data, prepare
from belfry.dataset.sources.reading import Reading
from belfry.dataset.sources.tabular import Source, read_tables
from belfry.dataset.tables import Tables
from belfry.dataset.validation.check import check
from belfry.pipeline.cluster import joined
from belfry.pipeline.config import PipelineConfig, load_config
from belfry.pipeline.jobs.estimate.dry_run import note_if_scarce
from belfry.pipeline.jobs.training_data import declare, prepare_tables, with_repeats
from belfry.pipeline.progress import Progress, Work, silent
from belfry.pipeline.runs.reader import default_artifacts
from belfry.pipeline.runs.signature import signer
from belfry.pipeline.runs.writer import check_place
from belfry.pipeline.serving.recommender import PathLike, Recommender
from belfry.pipeline.training.publish import train_and_publish
from belfry.pipeline.training.warm_start.parent import Parent

DEFAULT_PRESET = "default"
MAX_SEED = 2**31 - 1  # NumPy and TensorFlow both take it
READING = "reading and checking"  # a stage of the work


def train(
    interactions: Source,
    items: Source | None = None,
    users: Source | None = None,
    ratings: Source | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    preset: str | None = None,
    holdout: Holdout | None = None,
    settings: Iterable[str] = (),
    repeats: Repeats | None = None,
    seed: int = 0,
    artifacts: PathLike | None = None,
    start_from: PathLike | None = None,
    workers: int = 1,
    address: str | None = None,
    budget_s: float | None = None,
    sign: PathLike | None = None,
    progress: Progress = silent,
) -> Recommender:
    """Train both stages on all of the interactions, publish the run, and return what answers from it.

    Every table may be a path (CSV, JSON lines, Parquet, Arrow), or in memory: of pandas, Polars, Arrow, or of
    whatever else gives an Arrow stream.

    Args:
        interactions: `user_id` and `item_id`; `rating`, `timestamp_s`, `event` and `weight` are used where they are
            there.
        items: `item_id`, `title` and features.
        users: `user_id` and features.
        ratings: further interactions, with a `rating`.
        columns: what columns of the tables are called: {"user_id": "userId", "item_id": "movieId"}.
        delimiter: of the CSV files among them; found out without.
        encoding: of their text; UTF-8 without.
        preset: a name such as "default" or "multitask", or the path of a TOML file; "default" without.
        holdout: which part of the history stands in for the future while ranker, early stopping and gate learn; by
            default the newest events where there are times, each user's last ones where there is order alone
            (data.order), else a random part.
        settings: texts such as "retrieval.epochs=20"; docs/config.md lists the keys.
        repeats: what lists hold of items that a user has seen: none ("exclude", the default), also them ("allow"), or
            nothing else ("only"), for data in which users come back to the same items.
        seed: equal seeds and data give equal lists.
        artifacts: the folder of runs, or its address such as s3://BUCKET/PREFIX; by default the one that
            `BELFRY_ARTIFACTS` names, else `artifacts`.
        start_from: a run, or a folder of runs, whose weights to go on from, for a fraction of the cost; the tables are
            those that it was trained with and what came since. Preset and settings are those of the run, and may be
            left out. docs/training-on.md says what is kept.
        workers: processes at work on parts of the history at once, of which this is one; the run is the same. Each
            further one loads the libraries and the data again, and needs a script whose main part stands behind
            `if __name__ == "__main__"`.
        address: of a Ray cluster (`HOST:PORT`, or "auto") that works on those parts instead; docs/cluster.md.
        budget_s: how long training may take by the clock, about: dear sources are not tried where they would take it
            beyond. None: as long as it takes.
        sign: an ed25519 private key (PEM) to sign the run with.
        progress: told the step under way, and how far the whole training is, in parts of a thousand.

    Raises:
        InputError: a table, a setting or the folder is wrong; the message names all problems of the tables.
        DivergenceError: a loss is not finite.

    Examples:
        >>> import pandas as pd
        >>> from belfry import train
        >>> watches, items = pd.read_parquet("watches.parquet"), pd.read_parquet("items.parquet")
        >>> recommender = train(interactions=watches, items=items, artifacts="mine")
        >>> len(recommender.recommend(42, 10))
        10
    """
    folder = Path(artifacts) if artifacts is not None else default_artifacts()
    work = Work(progress)
    reading = Reading.of(columns, delimiter, encoding)
    published = train_tables(
        partial(read_tables, interactions, items, users, ratings=ratings, reading=reading),
        preset=preset,
        holdout=holdout,
        settings=settings,
        repeats=repeats,
        seed=seed,
        artifacts=folder,
        start_from=None if start_from is None else Path(start_from),
        work=work,
        workers=workers,
        address=address,
        budget_s=budget_s,
        sign=Path(sign) if sign is not None else None,
    )
    return Recommender.load(folder / published.name)


def train_tables(
    read: Callable[[], Tables],
    *,
    preset: str | None,
    holdout: Holdout | None,
    settings: Iterable[str],
    repeats: Repeats | None = None,
    seed: int,
    artifacts: Path,
    start_from: Path | None = None,
    work: Work | None = None,
    workers: int = 1,
    address: str | None = None,
    budget_s: float | None = None,
    sign: Path | None = None,
) -> Path:
    """Train on all of the raw tables and publish; returns the run's folder, of an address that of its copy.

    Args:
        read: gives the tables, which are let go of as soon as they are numbered.

    Raises:
        InputError: see `train`; or no cluster answers at `address`; or `seed` is no whole number from 0 to `MAX_SEED`.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
        raise InputError(f"seed={seed!r}: wanted a whole number from 0 to {MAX_SEED}")
    check_place(artifacts)
    who = signer(sign)
    work = work or Work()
    if address is not None and start_from is not None:
        raise InputError("--address: training on from a run learns no parts of the history apart; leave it out")
    with one_thread, joined(address, None) if address else nullcontext():  # before hours of work, rather than after
        with work.step(READING):
            parent = None if start_from is None else Parent.open(start_from)
            if parent is None:
                preset = preset or DEFAULT_PRESET
                data, config, holdout = prepare_tables(read(), preset, holdout, settings, repeats)
                name = name_of_preset(preset)
            else:
                parent.run.tell_who_signs(who)
                config = _config_like(parent, preset, holdout, with_repeats(settings, repeats))
                data, holdout, name = _prepare_for(parent, read(), config), parent.holdout, parent.run.manifest.preset
            pa.default_memory_pool().release_unused()  # what the tables took goes back to the system
        workers = workers_to_use(workers)
        note_if_scarce(data, artifacts, workers)
        return train_and_publish(
            data,
            config,
            preset=name,
            holdout=holdout,
            seed=seed,
            artifacts=artifacts,
            work=work,
            workers=workers,
            address=address,
            budget_s=budget_s,
            parent=parent,
            signer=who,
        )


def _config_like(
    parent: Parent, preset: str | None, holdout: Holdout | None, settings: Iterable[str]
) -> PipelineConfig:
    """That of a run; or what was asked for, where its weights would be the same.

    Raises:
        InputError: they would not.
    """
    settings = list(settings)
    if preset is None and holdout is None and not settings:
        return parent.asked
    config = load_config(preset or DEFAULT_PRESET, holdout=holdout or parent.holdout, settings=settings)
    parent.check_settings(config)
    return config


def _prepare_for(parent: Parent, tables: Tables, config: PipelineConfig) -> Data:
    """Checked and numbered data, the features as the weights of a run read them.

    Raises:
        InputError: a table is wrong, or not of the run.
    """
    declared, policy = declare(tables, config)
    checked, report = check(declared, policy)
    report.tell()
    data = prepare(checked, config.event_weights, liked_from=config.data.liked_from)
    return parent.described(data, checked)


def name_of_preset(preset: str) -> str:
    """The name that runs of it bear: that of its file, without folder and suffix, where it is one."""
    return Path(preset).stem if preset.endswith(".toml") else preset
