"""docs/results/features.md from what was measured."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from belfry.evaluation.intervals import bca
from benchmarks.everywhere.systems import CASES
from benchmarks.features.measure import AGAIN, ALL, MAX_LISTS, N_FOLDS, N_REPEATS, WHOLE, Result
from benchmarks.features.sets import SETS, columns_of, first_alike

ABOUT = f"""**Worth**: the default deep ranker is fitted with all columns, and without some of them and their standard
scores, and NDCG@10 is compared list by list: below 0, they are missed. {N_FOLDS}-fold cross-validation over users: a
list is judged by a ranker that learned from other users. All lists are of the train part, of a sample of users where
there are more than {MAX_LISTS:,}; the test part is not looked at. Retrieval's score is not blended in. Each seed has
folds of its own, and on these two random starts of rankers with all columns, of which the mean counts. Intervals are of
95% and draw users, each with all lists. They do not hold all of the chance of training: one row shows it, where nothing
is left out and the second start is compared with the first.
`retrieval_scores` is not left out: the final order and the gate read it.

**Cost**: CPU time, medians of {N_REPEATS} repeats. What groups share counts to the first that asks for it. The whole
matrix holds the histories and the standard scores too. KiB are of the arrays that a run stores.

About one interval in twenty leaves out 0 by chance, so columns count as missed where several data sets say so. What is
not missed alone may be missed together with what says much the same: sets of groups follow the groups. A first stage
knows less in a fold than at last, on everything: what makes no difference here may make one there.
"""
BY_HAND = """## With the whole history

Measured by hand, once, and not by this command: the train part is split once more as the data set was, a ranker of all
lists of the folds of the inner train part orders the lists of a first stage on all of it, and is judged by the inner
test part. NDCG@10 minus that of all columns in thousandths, mean of two starts, with its standard error over users.

| left out | 100k-random, 942 users | 100k-last, 805 users |
|---|---|---|
| `ease` | -2.5, 1.3 | +2.0, 2.4 |
| `cosine` | -1.5, 1.1 | +2.5, 2.1 |
| `ease + cosine` | -2.6, 1.3 | +2.1, 2.3 |
| `cooccurrence` | -3.5, 1.5 | |

On 100k-random, two further starts: -2.4, 1.4 without `ease`, and -1.7, 1.4 without `ease + cosine`.

## Removed on the way here

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

    @property
    def is_off_zero(self) -> bool:
        return self.low > 0 or self.high < 0


def difference(result: Result, name: str) -> Difference:
    """NDCG@10 of `name` minus that of all columns, of `AGAIN` minus `ALL`; paired by list and seed, mean of seeds.

    A user's lists are not independent: users are what is drawn, each with all lists.
    """
    n_seeds = len(result.ndcg[name])
    runs = [run for base in ((ALL,) if name == AGAIN else (ALL, AGAIN)) for run in result.ndcg[base][:n_seeds]]
    of_list = np.array(result.ndcg[name]).mean(axis=0) - np.array(runs).mean(axis=0)
    _, user = np.unique(result.users, return_inverse=True)
    sums, counts = (np.bincount(user, weights).astype(np.float64) for weights in (of_list, None))
    mean = float(of_list.mean())
    low, high = bca(sums[:, np.newaxis], counts[:, np.newaxis], np.random.default_rng(0))
    error = float(np.sqrt(((sums - mean * counts) ** 2).sum()) / len(of_list))
    return Difference(mean, error, float(low[0]), float(high[0]))


def differences(result: Result) -> dict[str, Difference]:
    """Of all that was left out, and of `AGAIN`; what stands for the same columns has the same difference."""
    measured = {name: difference(result, name) for name in result.ndcg if name != ALL}
    alike = {name: first_alike(name, result.columns) for name in SETS}
    return {name: measured[other] for name, other in alike.items() if other in measured} | {AGAIN: measured[AGAIN]}


def page(results: Mapping[str, Result]) -> str:
    """The whole page; `results` by the name of the case."""
    days = sorted({result.measured_on for result in results.values()})
    versions = next(iter(results.values())).versions
    shown = ", ".join(f"{name} {versions[name]}" for name in ("python", "tensorflow", "numpy") if name in versions)
    found = {name: differences(result) for name, result in results.items()}
    titles = {case.name: case.title for case in CASES}
    sections = [_section(titles.get(name, name), result, found[name]) for name, result in results.items()]
    return "\n".join(
        [
            "# What pair features are worth and cost",
            "",
            f"Written by `python -m benchmarks.features --cases {','.join(results)}`,",
            f"measured in parts on {', '.join(days)}; {shown}.",
            "",
            ABOUT,
            *_summary(found),
            *(line for section in sections for line in section),
            BY_HAND,
        ]
    )


def _summary(found: Mapping[str, Mapping[str, Difference]]) -> list[str]:
    """One table of all differences."""
    lines = [
        "## All data sets",
        "",
        "NDCG@10 minus with all columns, in thousandths, and half the interval; **bold** where the interval leaves out "
        "0. No figure: there is no such column, or it was not measured. The mean is that of the figures shown.",
        "",
        f"| left out | {' | '.join(found)} | mean |",
        f"|---{'|---' * len(found)}|---|",
    ]
    for name in (AGAIN, *SETS):
        shown = [of_case.get(name) for of_case in found.values()]
        if there := [one.mean for one in shown if one]:
            lines.append(
                f"| {_label(name)} | {' | '.join(map(_in_thousandths, shown))} | {1e3 * np.mean(there):+.1f} |"
            )
    return [*lines, ""]


def _in_thousandths(found: Difference | None) -> str:
    if found is None:
        return ""
    text = f"{1e3 * found.mean:+.1f} ± {1e3 * (found.high - found.low) / 2:.1f}"
    return f"**{text}**" if found.is_off_zero else text


def _section(title: str, result: Result, found: Mapping[str, Difference]) -> list[str]:
    runs = [*result.ndcg[ALL], *result.ndcg[AGAIN]]
    means = " / ".join(f"{np.mean(run):.4f}" for run in runs)
    lines = [
        f"## {title}",
        "",
        f"{len(result.users):,} lists of {len(set(result.users)):,} users. NDCG@10 with all columns "
        f"**{np.mean(runs):.4f}** ({means}).",
        f"Costs: {result.n_cost_users} users with {result.n_candidates:.0f} candidates each, OMP_NUM_THREADS="
        f"{result.threads}.",
        "",
        "| left out | columns | minus with all | standard error | 95% interval | seeds | us per user | fit, s | KiB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    groups = [name for name in result.columns if name not in SETS]  # never left out
    for name in (*groups, *SETS, AGAIN, WHOLE):
        if name not in result.costs and name not in found:
            continue
        worth, cost = "| - | | | ", "| | | |"
        if name in found:
            one = found[name]
            seeds = len(result.ndcg[name if name == AGAIN else first_alike(name, result.columns) or name])
            worth = f"| {one.mean:+.4f} | {one.error:.4f} | [{one.low:+.4f}, {one.high:+.4f}] | {seeds} "
        if name in result.costs:
            of_group = result.costs[name]
            cost = f"| {of_group.compute_us:,.1f} | {of_group.fit_s:.3f} | {of_group.n_bytes / 1024:,.0f} |"
        lines.append(f"| {_label(name)} | {_n_columns(name, result)} {worth}{cost}")
    return [*lines, ""]


def _n_columns(name: str, result: Result) -> int:
    if name == WHOLE:
        return sum(map(len, result.columns.values()))
    return len(columns_of(SETS.get(name, (name,)), result.columns)) if name != AGAIN else 0


def _label(name: str) -> str:
    return {AGAIN: "nothing, other random starts", WHOLE: "(the whole matrix)"}.get(name, f"`{name}`")
