"""What is left out of the deep ranker's columns: each group, groups together, and columns of the dear ones."""

from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TypeAlias

from belfry.ranking.features.groups.retrieval_scores import RetrievalScores
from belfry.ranking.features.pair_features import GROUPS

LeftOut: TypeAlias = tuple[str, ...]  # groups, and patterns of names of columns

AND = " + "  # between the parts of a name
EASE = ("ease_uniform", "ease_recency")
TOGETHER: Sequence[LeftOut] = (
    EASE,
    ("svd_*",),
    ("cosine_*",),
    ("bm25_*",),
    ("rules_*",),
    ("next_*",),
    ("cooccurrence_*",),
    (*EASE, "cosine_*"),
    ("ease_by_rating", "cooccurrence_*"),
    (*EASE, "cosine_*", "cooccurrence_*", "ease_by_rating"),
)
COLUMNS: Sequence[LeftOut] = (
    ("ease_uniform",),
    ("ease_recency",),
    ("bm25_uniform",),
    ("bm25_recency",),
    ("rules_half_life_0.5",),
    ("rules_half_life_2",),
    ("rules_half_life_20",),
    ("rules_second_newest", "rules_third_newest"),
    ("cooccurrence_uniform",),
    ("cooccurrence_recency",),
    ("category.*.uniform",),
    ("category.*.recency",),
    ("near_1", "lift_1"),
    ("near_4", "lift_4"),
    ("near_16", "lift_16"),
)
ALONE: Sequence[LeftOut] = tuple((group.name,) for group in GROUPS if group is not RetrievalScores)
SETS: Mapping[str, LeftOut] = {AND.join(parts): parts for parts in (*ALONE, *TOGETHER, *COLUMNS)}


def columns_of(parts: LeftOut, groups: Mapping[str, Collection[str]]) -> frozenset[str]:
    """Names of the columns that are gone, their standard scores among them.

    Args:
        groups: columns of each group, standard scores among them.
    """
    names = {name for own in groups.values() for name in own}
    gone: set[str] = set()
    for part in parts:
        patterns = part, f"standard_{part}"
        gone |= set(groups.get(part, ())) or {n for n in names if any(fnmatchcase(n, pattern) for pattern in patterns)}
    return frozenset(gone)


def first_alike(name: str, groups: Mapping[str, Collection[str]]) -> str | None:
    """The first name in `SETS` that stands for the same columns of a case; None where it stands for none."""
    columns = columns_of(SETS[name], groups)
    return next(other for other, parts in SETS.items() if columns_of(parts, groups) == columns) if columns else None
