"""Ratings: which of them mean that nothing was rated, and which cannot be."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset import columns
from belfry.dataset.validation import coercion
from belfry.dataset.validation.cleaning import Cleaning, where
from belfry.dataset.validation.policy import Policy

_MANY = 0.3  # of the ratings: more than this of the lowest mark look like no marks


def read_ratings(cleaning: Cleaning, policy: Policy) -> None:
    """Take `rating` over, where it is there, as float32, null where nothing was rated."""
    name = columns.RATING
    if not cleaning.read_optional(name, coercion.as_numbers, null_words=policy.null_words):
        if policy.liked_from is not None and name not in cleaning.table.column_names:
            found = "is missing, and data.liked_from reads it: add it, or leave data.liked_from out"
            cleaning.note("missing_column", found, name, action="error")
        return
    _leave_out_missing(cleaning, policy.rating_missing)
    rating = cleaning.columns[name]
    if cleaning.can_set and len(rating) and rating.null_count == len(rating):
        cleaning.note("no_rating", f"has no rating in {len(rating)} rows; each is read as watched and not rated", name)
    infinite = where(pc.is_inf(rating))
    found = "has {count} ratings that are infinite or beyond 3.4e38"
    cleaning.report("infinite_rating", name, infinite, found, policy.infinite_rating, "mend them")
    if policy.rating_range is None:
        return
    low, high = policy.rating_range
    outside = where(pc.or_(pc.less(rating, low), pc.greater(rating, high))) & ~infinite
    found = f"has {{count}} ratings outside of {low:g} to {high:g}"
    cleaning.report("rating_out_of_range", name, outside, found, policy.rating_out_of_range, "mend them")
    if policy.rating_out_of_range == "clip":
        clipped = pc.min_element_wise(pc.max_element_wise(rating, low, skip_nulls=False), high, skip_nulls=False)
        cleaning.columns[name] = clipped.cast(pa.float32())
    if policy.rating_out_of_range == "null":
        cleaning.columns[name] = pc.if_else(pa.array(outside), pa.scalar(None, pa.float32()), rating)


def _leave_out_missing(cleaning: Cleaning, marks: tuple[float, ...]) -> None:
    """The ratings that are said to mean none become null; where nothing is said, a note on what looks like one."""
    rating = cleaning.columns[columns.RATING]
    if marks:
        is_missing = pc.is_in(rating, value_set=pa.array(marks, pa.float32()))
        named = ", ".join(f"{mark:g}" for mark in marks)
        found = f"has {{count}} ratings of {named}, which data.rating_missing takes for not rated"
        cleaning.report("rating_missing", columns.RATING, where(is_missing), found, "null", "")
        cleaning.columns[columns.RATING] = pc.if_else(is_missing, pa.scalar(None, pa.float32()), rating)
        return
    if not cleaning.can_set:
        return
    counts = pc.value_counts(rating.drop_null())
    values, n_ratings = (np.asarray(counts.field(name)) for name in ("values", "counts"))
    order = np.argsort(values)
    values, n_ratings = values[order], n_ratings[order]
    # More often than the next mark: of a scale that begins there, the lowest mark is a rare one.
    if len(values) >= 3 and values[0] in (0, -1) and n_ratings[0] > max(_MANY * n_ratings.sum(), n_ratings[1]):
        text = (
            f"is {values[0]:g} in {n_ratings[0]} of {n_ratings.sum()} rows, and the others go from {values[1]:g} to "
            f"{values[-1]:g}: if it means not rated, --set 'data.rating_missing=[{values[0]:g}]'"
        )
        cleaning.note("rating_missing", text, columns.RATING)
