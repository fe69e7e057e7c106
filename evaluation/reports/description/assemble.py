"""Everything about a data set, put together."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from belfry.dataset.prepare import Data
from belfry.dataset.tables import Tables
from belfry.dataset.validation.features.table import ColumnUse
from belfry.evaluation.reports.description.counts import popular, shape_of, spread_of, watches_of_users
from belfry.evaluation.reports.description.result import Advice, Description
from belfry.evaluation.reports.description.times import cold_of, drift_of, times_of
from belfry.evaluation.reports.description.values import ratings_of, top_values, years_of


def describe(
    name: str,
    data: Data | None,
    checked: Tables | None,
    *,
    n_rows: int,
    n_doubles: int,
    errors: Sequence[str],
    notes: Sequence[str],
    columns: Sequence[ColumnUse],
    advice: Sequence[Advice],
) -> Description:
    """What tables hold.

    Args:
        name: what people call the data.
        data, checked: the numbered and the checked tables; None where validation refused them.
        n_rows: of interactions that were handed in.
        n_doubles: of them, dropped because they repeat an earlier one.
        errors, notes, columns: what validation found.
        advice: on training.
    """
    created = datetime.now(UTC).isoformat(timespec="seconds")
    found = Description(name, created, tuple(errors), tuple(notes), tuple(columns), tuple(advice))
    if data is None or checked is None:
        return found
    history = data.interactions
    return replace(
        found,
        shape=shape_of(history, n_rows, n_doubles),
        histories=spread_of(watches_of_users(history)),
        popularity=spread_of(history.item_counts[1:]),
        popular=popular(data),
        ratings=ratings_of(history),
        years=years_of(checked.items, history),
        values=(*top_values(checked.items, "items", history), *top_values(checked.users, "users", history)),
        times=times_of(history),
        cold=cold_of(history),
        drift=drift_of(history),
    )
