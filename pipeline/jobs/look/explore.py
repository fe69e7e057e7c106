"""`explore`: what a run learned, on one page."""

import logging
from pathlib import Path

import pyarrow as pa

from belfry.dataset.errors import pip_install
from belfry.dataset.folds import sample_users
from belfry.dataset.sources.reading import AS_IT_IS, Reading
from belfry.evaluation.reports.exploration.result import Exploration
from belfry.pipeline.jobs.look.expected_ratings import expected_ratings
from belfry.pipeline.jobs.look.held_out import held_out
from belfry.pipeline.jobs.look.importance import N_USERS, importances
from belfry.pipeline.jobs.look.item_columns import (
    colourings_of_table,
    items_of_run,
    of_no_colour,
    read_items,
    titles_of_table,
)
from belfry.pipeline.jobs.look.item_map import MIN_ITEMS, check_library, item_map, shown_items, similarities
from belfry.pipeline.jobs.look.pages import write_page
from belfry.pipeline.jobs.look.shown_users import show_users, users_to_show, users_with_later
from belfry.pipeline.jobs.look.training_notes import TrainingNotes, gate_seen
from belfry.pipeline.progress import Progress, silent
from belfry.pipeline.serving.recommender import PathLike, Recommender

MAX_ITEMS, N_SHOWN, N_LISTED = 5_000, 12, 10
MAX_BYTES = 8_000_000

log = logging.getLogger(__name__)


def explore(
    run: PathLike | None = None,
    *,
    items: str | None = None,
    test: Path | None = None,
    reading: Reading = AS_IT_IS,
    data_folder: Path | None = None,
    max_items: int = MAX_ITEMS,
    n_users: int = N_SHOWN,
    seed: int = 0,
    progress: Progress = silent,
) -> Exploration:
    """What there is to see of a run.

    Args:
        run: its folder, or an artifacts folder; as in `Recommender.load`.
        items: a table of items whose columns colour the map, or what `belfry run --data` takes; else the run's own.
        test: what users did later; else the test part that `belfry run` keeps in the run, if there is one.
        data_folder: where MovieLens files lie.
        max_items: on the map; those of fewer users are left out.
        n_users: whose lists are shown.
        seed: of the maps and of what is sampled.

    Raises:
        ArtifactError: there is no run, or it is damaged.
        InputError: a table cannot be read, or scikit-learn is not installed.
    """
    check_library()
    recommender = Recommender.load(run)
    table = items_of_run(recommender) if items is None else read_items(items, reading, data_folder)
    later = held_out(recommender, test, reading)
    manifest, notes = recommender.run.manifest, TrainingNotes.of(recommender.run)
    history, missing = recommender.features.history, dict[str, str]()

    shown = shown_items(recommender, max_items)
    titles = _titles(recommender, table)
    colourings, without = colourings_of_table(table, recommender.items, shown)
    if without:
        missing["columns"] = of_no_colour(without)
    places = [titles[item - 1] for item in shown.tolist()]
    plane = item_map(recommender, shown, places, colourings, seed=seed, progress=progress)
    if not plane.projections:
        missing["map"] = f"There are fewer than {MIN_ITEMS} items: too few for a map."
    elif len(plane.projections) == 1:
        missing["map"] = f"A second map, by UMAP, needs umap-learn, which is missing; run: {pip_install('explore')}"

    seen_later = None if later is None else later.seen_items
    known = users_with_later(recommender, seen_later)
    if seen_later is not None and not seen_later.count(known).any():
        seen_later = None  # of nobody whom the run knows
    users = show_users(
        recommender,
        users_to_show(recommender, known, n_users, seed=seed),
        titles,
        seen_later,
        n=N_LISTED,
        progress=progress,
    )
    if recommender.two_stage.ranker is None:
        missing["lists"] = "No ranker orders the lists of this run: retrieval's list is the final one."
    progress("ranker", 0, 1)
    weights = importances(recommender, sample_users(known, N_USERS, seed=seed), seen_later)
    ratings = expected_ratings(recommender, later, seed=seed)
    if isinstance(weights, str):
        missing["importances"] = weights
    if isinstance(ratings, str):
        missing["ratings"] = ratings
    if not notes.curves:
        missing["curves"] = "The run has no curves: its models have no epochs, or an earlier Belfry trained it."
    progress("ranker", 1, 1)
    return Exploration(
        name=manifest.name,
        preset=manifest.preset,
        holdout=manifest.holdout,
        created_at=manifest.created_at,
        n_users=len(recommender.users),
        n_items=len(recommender.items),
        n_watches=len(history),
        gate=gate_seen(manifest.gate),
        sources=notes.tried,
        together=notes.source_choice.together if notes.source_choice else None,
        index_recall=notes.index.recall if notes.index else None,
        seconds=tuple((name, seconds.cpu) for name, seconds in notes.seconds.items() if seconds.cpu >= 0.01),
        curves=notes.shown_curves,
        item_map=plane,
        similarities=similarities(recommender, shown, plane, seed=seed),
        n_listed=N_LISTED,
        users=tuple(users),
        importances=None if isinstance(weights, str) else weights,
        ratings=None if isinstance(ratings, str) else ratings,
        missing=missing,
    )


def write_exploration(found: Exploration, path: Path) -> None:
    """The page; a log line where it is larger than `MAX_BYTES`.

    Raises:
        InputError: it cannot be written there.
    """
    from belfry.evaluation.reports.exploration.page import page

    write_page(page(found), path)
    if (size := path.stat().st_size) > MAX_BYTES:
        log.warning("%s: has %.1f MB, which opens slowly; --max-items makes it smaller", path, size / 1e6)


def _titles(recommender: Recommender, table: pa.Table) -> list[str | None]:
    """[n_items] of the table where it has some, else the run's."""
    of_table = titles_of_table(table, recommender.items)
    return (recommender.titles if of_table is None else of_table).to_pylist()  # type: ignore[no-any-return]
