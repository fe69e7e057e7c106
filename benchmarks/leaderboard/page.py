"""A page of docs/results from stored results."""

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.leaderboard.results import Result, code_state
from benchmarks.leaderboard.splits import Case

VERSIONS = ("python", "tensorflow", "numpy", "scipy", "implicit")
COLUMNS = (
    "system",
    "settings off default, learned weights",
    "NDCG@10 (each seed)",
    "95% of seed 0",
    "recall@10",
    "recall@100",
    "recall@200",
    "coverage@10",
    "epochs",
    "fit s",
    "users/s",
    "measured by others",
)
OLDER = "†"


def page(found: Mapping[Case, Mapping[str, Sequence[Result]]], n_seeds: int) -> str:
    """The whole page.

    Args:
        found: split -> system -> results of its seeds, rising; empty where nothing is stored yet.
        n_seeds: of a complete row.
    """
    everything = [result for systems in found.values() for results in systems.values() for result in results]
    sections = [_section(case, systems, n_seeds) for case, systems in found.items()]
    return "\n".join([_head(everything, n_seeds), *sections])


def _head(results: Sequence[Result], n_seeds: int) -> str:
    days = sorted({result.measured_on for result in results})
    when = "never" if not days else days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    versions = [
        f"{name} {' and '.join(sorted({result.versions[name] for result in results if name in result.versions}))}"
        for name in VERSIONS
        if any(name in result.versions for result in results)
    ]
    lines = [
        "# Retrieval systems",
        "",
        f"Written by `make benchmark-retrieval`; measured {when}, up to {n_seeds} seeds, {', '.join(versions)}.",
        "",
        "Full ranking over the whole catalogue, seen items removed, exact search, means over users; rows fall by",
        "recall@100. The seed changes the random splits, the initial weights and the batches; on a fixed split a",
        "system without chance has one figure for every seed. Intervals are bootstraps over the users of seed 0.",
        "",
        "No test part is seen in training. Neural systems choose their epochs once, by recall@100 on a validation part",
        "of seed 0's train part, cut in the same way; then they train on the whole train part for as many, under every",
        "seed. `fit s` is the CPU time of that training and of the filling of the index; `users/s` counts lists of",
        "200, and other work on the machine slows it. A combination puts lists of 200 of other rows together, with",
        "weights learned on that same validation part; its seconds are theirs, one after the other, and those of",
        "combining.",
        "",
        "What others measured was on such a split, not on this very one; on those of shops it was on this very one.",
        "",
    ]
    if any(result.code != code_state() for result in results):
        lines += [f"{OLDER} measured with an earlier state of the code; delete its results to measure it again.", ""]
    return "\n".join(lines)


def _section(case: Case, systems: Mapping[str, Sequence[Result]], n_seeds: int) -> str:
    measured = {name: results for name, results in systems.items() if results}
    lines = [f"## {case.title}", ""]
    if measured:
        n_users = sorted({result.n_users for results in measured.values() for result in results})
        earlier = f", each with at least {case.min_history} earlier events" if case.min_history > 1 else ""
        lines += [
            f"{' to '.join(f'{n:,}' for n in {n_users[0], n_users[-1]})} users judged{earlier}.",
            "",
            f"| {' | '.join(COLUMNS)} |",
            f"|{'---|' * len(COLUMNS)}",
        ]
        best_first = sorted(measured, key=lambda name: -_mean(measured[name], "recall@100"))
        lines += [_row(name, measured[name], case.known.get(name, "")) for name in best_first]
        lines.append("")
    if case.known_beside:
        lines += [f"Measured by others on such a split, of systems that have no row here: {case.known_beside}.", ""]
    if missing := [
        f"{name} ({len(found)} of {n_seeds} seeds)" for name, found in systems.items() if len(found) < n_seeds
    ]:
        lines += [f"Not measured yet, or not in full: {', '.join(missing)}.", ""]
    return "\n".join(lines)


def _row(name: str, results: Sequence[Result], known: str) -> str:
    settings = ", ".join(f"`{setting}={value}`" for setting, value in results[0].settings.items())
    ndcg = results[0].metrics["ndcg@10"]
    each = " / ".join(f"{result.metrics['ndcg@10'].mean:.4f}" for result in results)
    cells = [
        name + (f" {OLDER}" if any(result.code != code_state() for result in results) else ""),
        settings,
        f"**{_mean(results, 'ndcg@10'):.4f}** ({each})",
        f"{ndcg.low:.4f} to {ndcg.high:.4f}" if results[0].seed == 0 else "",
        *(f"{_mean(results, metric):.4f}" for metric in ("recall@10", "recall@100", "recall@200", "coverage@10")),
        str(results[0].epochs or ""),
        f"{np.mean([result.fit_s for result in results]):.1f}",
        f"{np.median([result.users_per_s for result in results]):,.0f}",
        known,
    ]
    return f"| {' | '.join(cells)} |"


def _mean(results: Sequence[Result], metric: str) -> float:
    return float(np.mean([result.metrics[metric].mean for result in results]))
