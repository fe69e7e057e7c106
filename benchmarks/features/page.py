"""docs/results/features.md from what was measured."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from belfry.evaluation.intervals import bca
from belfry.ranking.features.pair_features import GROUPS
from benchmarks.features.measure import AGAIN, ALL, N_FOLDS, N_REPEATS, WHOLE, Result
from benchmarks.leaderboard.splits import CASES

ABOUT = f"""**Worth**: the default deep ranker is fitted with all columns, and without those of one group and their
standard scores, and NDCG@10 is compared list by list: below 0, the group is missed. {N_FOLDS}-fold cross-validation
over users: a list is judged by a ranker that learned from other users. All lists are of the train part; the test part
is not looked at. Retrieval's score is not blended in. Standard errors and intervals draw users, each with all lists.
They do not hold the chance of training: one row shows it, where nothing is left out and the rankers have another seed.
`retrieval_scores` is not left out: the final order and the gate read it.

**Cost**: CPU time, medians of {N_REPEATS} repeats. What groups share counts to the first that asks for it. The whole
matrix holds the histories and the standard scores too. KiB are of the arrays that a run stores.

A group whose interval holds 0 on all data sets is not missed here by itself, for others say much the same: it stays
where it costs little, or for data that are not measured here (shops, ids alone). About one interval in twenty leaves
out 0 by chance, so a group counts as missed where several data sets say so.
"""
BY_HAND = """## Removed on the way here

Measured by hand, once, with a prototype of the ranker, and not by this command: on the columns of that time, without
`log_rank_*`, MovieLens 100K, random split, 4,710 lists of the train part, by 3-fold cross-validation over users.
NDCG@10 minus that of these 62 columns; standard errors take lists for independent, which those of one user are not,
so they are a little too small.

| columns | NDCG@10 | standard error |
|---|---|---|
| without `cosine_uniform`, `cosine_recency`, `cosine_rated`, `cosine_nearest` | +0.0007 | 0.0009 |
| without these, and bins of equally many events in place of windows of days | -0.0011 | 0.0010 |
| besides without `ease_rated`, `svd_*`, `cooccurrence_rated`, `cooccurrence_nearest` | -0.0013 | 0.0011 |

The places `log_rank_*` were compared on one validation part alone (703 lists, mean of three seeds): 0.2831 with them,
0.2845 without; no standard error was taken. Columns were not removed one by one. Gradient-boosted trees may miss the
places: their lists are worse than before ([ranking.md](ranking.md)).
"""


class Difference(NamedTuple):
    """A mean over lists, and how far chance in who the users are may move it."""

    mean: float
    error: float  # standard error
    low: float  # of the 95% interval
    high: float


def difference(result: Result, name: str) -> Difference:
    """NDCG@10 of `name` minus that of all columns, paired by list and seed, mean of seeds.

    A user's lists are not independent: users are what is drawn, each with all lists.
    """
    of_list = (np.array(result.ndcg[name]) - np.array(result.ndcg[ALL])).mean(axis=0)
    _, user = np.unique(result.users, return_inverse=True)
    sums, counts = np.bincount(user, of_list), np.bincount(user).astype(np.float64)
    mean = float(of_list.mean())
    low, high = bca(sums[:, np.newaxis], counts[:, np.newaxis], np.random.default_rng(0))
    error = float(np.sqrt(((sums - mean * counts) ** 2).sum()) / len(of_list))
    return Difference(mean, error, float(low[0]), float(high[0]))


def page(results: Mapping[str, Result], *, command: str) -> str:
    """The whole page; `results` by the name of the case."""
    days = sorted({result.measured_on for result in results.values()})
    versions = next(iter(results.values())).versions
    shown = ", ".join(f"{name} {versions[name]}" for name in ("python", "tensorflow", "numpy") if name in versions)
    titles = {case.name: case.title for case in CASES}
    sections = [line for name, result in results.items() for line in _section(titles.get(name, name), result)]
    return "\n".join(
        [
            "# What groups of pair features are worth and cost",
            "",
            f"Written by `{command}` from measurements of {', '.join(days)}; {shown}.",
            "",
            ABOUT,
            *sections,
            BY_HAND,
        ]
    )


def _section(title: str, result: Result) -> list[str]:
    everything = np.array(result.ndcg[ALL])
    seeds = " / ".join(f"{of_seed:.4f}" for of_seed in everything.mean(axis=1))
    lines = [
        f"## {title}",
        "",
        f"{len(result.users):,} lists of {len(set(result.users)):,} users; {len(everything)} seed(s). NDCG@10 with all "
        f"columns **{everything.mean():.4f}** ({seeds}).",
        f"Costs: {result.n_cost_users} users with {result.n_candidates:.0f} candidates each, OMP_NUM_THREADS="
        f"{result.threads}.",
        "",
        "| left out | columns | NDCG@10 minus with all | standard error | 95% interval | us per user | fit, s | KiB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in (*(group.name for group in GROUPS), AGAIN, WHOLE):
        if name not in result.costs and name not in result.ndcg:
            continue
        worth, cost = "| - | | ", "| | | |"
        if name in result.ndcg:
            found = difference(result, name)
            worth = f"| {found.mean:+.4f} | {found.error:.4f} | [{found.low:+.4f}, {found.high:+.4f}] "
        if name in result.costs:
            of_group = result.costs[name]
            cost = f"| {of_group.compute_us:,.1f} | {of_group.fit_s:.3f} | {of_group.n_bytes / 1024:,.0f} |"
        n_columns = sum(result.n_columns.values()) if name == WHOLE else result.n_columns.get(name, 0)
        lines.append(f"| {_label(name)} | {n_columns} {worth}{cost}")
    return [*lines, ""]


def _label(name: str) -> str:
    return {AGAIN: "nothing, other random starts", WHOLE: "(the whole matrix)"}.get(name, f"`{name}`")
