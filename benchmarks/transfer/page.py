"""docs/results/transfer.md and its figures, out of the finished parts."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.transfer.gains import (
    Errors,
    absolute_errors,
    difference,
    mean_and_interval,
    mean_of,
    pair_accuracy,
    rating_difference,
    relative_gain,
    rmse,
)
from benchmarks.transfer.parts import Arrays, Parts
from benchmarks.transfer.systems import JOINT, PEERS, RATING_ONLY, SYSTEMS
from benchmarks.transfer.utility import PRESET_SEEDS, PRESETS, UTILITIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RESULTS = Path(__file__).parent.parent.parent / "docs" / "results"
MEASURES = {"RMSE": rmse, "MAE": absolute_errors, "pairs in the right order": pair_accuracy}


def write_page(
    parts: Parts, *, shares: Sequence[float], n_seeds: int, worlds: Sequence[int], generated_share: float
) -> None:
    """The page and its three figures; the first seeds without a gap are what there is to tell of."""
    loaded = {share: [parts.load(f"{seed}-{share:g}") for seed in range(n_seeds)] for share in shares}
    generated = [parts.load(f"generated-{seed}") for seed in worlds]
    _draw_curves(loaded)
    _draw_trade_off(loaded[1.0])
    _draw_epochs(loaded[1.0][0]["joint/epochs"])
    lines = [
        "# Few ratings, many watches",
        "",
        f"Written by `make benchmark-transfer` on {datetime.now(UTC):%Y-%m-%d}. MovieLens 100K, random 80/20, seeds",
        f"0 to {n_seeds - 1}. All watches of the train part stay; of their ratings a share r stays. Judged on every",
        "rating of the test part. `rating only` is the multitask model without watches: it sees the rated rows alone,",
        "in the same architecture. The bias model and the SVD (scikit-surprise) are tuned for each seed and share on a",
        "fifth of their ratings. `sequential` learns watches, then ratings on encoders that are held; `joint` learns",
        "both at once. How far the settings of the multitask model are free of these tests, docs/multitask.md says.",
        "",
        "![RMSE, MAE and pairs by the share of ratings](transfer.svg)",
        "",
        *_error_table(loaded),
        "",
        "Means over seeds. The gain is of the joint RMSE over the best of the three systems that know no watches",
        "without a rating, in percent of the latter, with a 95% bootstrap interval over users, the same in every seed.",
        "",
        "## The other measures",
        "",
    ]
    for name in list(MEASURES)[1:]:
        lines += [f"### {name}", "", *_measure_table(loaded, name), ""]
    lines += ["## What the towers lose", "", *_list_table(loaded), ""]
    lines += ["## Against the truth", "", *_generated_lines(generated, generated_share), ""]
    lines += [
        "## Lists by utility",
        "",
        "The same 200 candidates of the joint towers (r = 100%) in another order: the weight of the expected rating",
        "against NDCG@10 and the mean true rating of test items that were recommended and watched.",
        "",
        "![NDCG@10 and mean rating by the weight of the expected rating](transfer-utility.svg)",
        "",
        *_utility_table(loaded[1.0]),
        "",
        f"The presets themselves, both stages and the gate, means over seeds {PRESET_SEEDS[0]} to {PRESET_SEEDS[-1]};",
        "the 95% interval is a bootstrap over users:",
        "",
        *_preset_table(parts),
        "",
        "## How the tasks train",
        "",
        "Mean loss of each task, and the length of its weighed gradient on the shared weights, by epoch (seed 0,",
        "r = 100%).",
        "",
        "![Losses and gradient norms by epoch](transfer-tasks.svg)",
        "",
    ]
    (RESULTS / "transfer.md").write_text("\n".join(lines))


def _errors(seeds: Sequence[dict[str, Arrays]], system: str) -> list[Errors]:
    return [Errors(**seed[system]) for seed in seeds]


def _best_peer(seeds: Sequence[dict[str, Arrays]]) -> str:
    """Of the systems without watches, the one of the lowest mean RMSE: chosen on the test part, which favours it."""
    return min(PEERS, key=lambda name: mean_of(rmse, _errors(seeds, name)))


def _error_table(loaded: dict[float, list[dict[str, Arrays]]]) -> list[str]:
    lines = [f"| r | {' | '.join(SYSTEMS)} | gain of joint | over |", f"|---|{'---|' * (len(SYSTEMS) + 2)}"]
    for share, seeds in loaded.items():
        best = _best_peer(seeds)
        gain = relative_gain(_errors(seeds, best), _errors(seeds, JOINT))
        cells = [f"{mean_of(rmse, _errors(seeds, name)):.4f}" for name in SYSTEMS]
        lines.append(f"| {share:.0%} | {' | '.join(cells)} | {gain} | {best} |")
    return lines


def _measure_table(loaded: dict[float, list[dict[str, Arrays]]], name: str) -> list[str]:
    measure = MEASURES[name]
    lines = [f"| r | {' | '.join(SYSTEMS)} | joint minus {RATING_ONLY} |", f"|---|{'---|' * (len(SYSTEMS) + 1)}"]
    for share, seeds in loaded.items():
        cells = [f"{mean_of(measure, _errors(seeds, system)):.4f}" for system in SYSTEMS]
        cells.append(difference(measure, _errors(seeds, RATING_ONLY), _errors(seeds, JOINT)))
        lines.append(f"| {share:.0%} | {' | '.join(cells)} |")
    return lines


def _list_table(loaded: dict[float, list[dict[str, Arrays]]]) -> list[str]:
    lines = ["| r | recall@100 watch only | joint | difference | NDCG@10 watch only | joint | difference |"]
    lines.append("|---|---|---|---|---|---|---|")
    for share, seeds in loaded.items():
        cells = []
        for field in ("recall_100", "ndcg_10"):
            before = np.concatenate([seed["watch only/lists"][field] for seed in seeds])
            after = np.concatenate([seed["joint/lists"][field] for seed in seeds])
            difference = mean_and_interval(
                [seed["joint/lists"][field] - seed["watch only/lists"][field] for seed in seeds]
            )
            cells += [f"{before.mean():.4f}", f"{after.mean():.4f}", difference]
        lines.append(f"| {share:.0%} | {' | '.join(cells)} |")
    return lines


def _generated_lines(seeds: Sequence[dict[str, Arrays]], share: float) -> list[str]:
    best = _best_peer(seeds)
    cells = [f"{mean_of(rmse, _errors(seeds, name)):.4f}" for name in SYSTEMS]
    return [
        f"Generated worlds of {len(seeds)} seeds that were not looked at before, {share:.0%} of their ratings: RMSE to",
        "the rating that the user would give on average, over all watches of the test part.",
        "",
        f"| {' | '.join(SYSTEMS)} | gain of joint | over |",
        f"|{'---|' * (len(SYSTEMS) + 2)}",
        f"| {' | '.join(cells)} | {relative_gain(_errors(seeds, best), _errors(seeds, JOINT))} | {best} |",
    ]


def _utility_rows(seeds: Sequence[dict[str, Arrays]]) -> tuple[np.ndarray, np.ndarray]:
    """NDCG@10 and mean true rating of hits, [n_utilities] each, over all seeds."""
    found = [seed["joint/utility"] for seed in seeds]
    ndcg = np.mean([entry["ndcg"].mean(axis=1) for entry in found], axis=0)
    sums, counts = (np.sum([entry[field].sum(axis=1) for entry in found], axis=0) for field in ("rating_sums", "rated"))
    return ndcg, sums / counts


def _utility_table(seeds: Sequence[dict[str, Arrays]]) -> list[str]:
    ndcg, rating = _utility_rows(seeds)
    rows = zip(UTILITIES, ndcg, rating, strict=True)
    return [
        "| utility | NDCG@10 | mean rating of hits |",
        "|---|---|---|",
        *(f"| {utility:g} | {one:.4f} | {other:.3f} |" for utility, one, other in rows),
    ]


def _preset_table(parts: Parts) -> list[str]:
    """Each preset's lists."""
    rows = {
        f"`{preset}`": [parts.load(f"preset-{preset}-{seed}")["lists"] for seed in PRESET_SEEDS] for preset in PRESETS
    }
    baseline = rows[f"`{PRESETS[0]}`"]
    lines = [f"| lists of | NDCG@10 | mean rating of hits | minus `{PRESETS[0]}` | hits |", "|---|---|---|---|---|"]
    for name, found in rows.items():
        ndcg = np.mean([seed["ndcg"].mean() for seed in found])
        rating = np.mean([seed["rating_sums"].sum() / seed["rated"].sum() for seed in found])
        minus = "" if found is baseline else rating_difference(baseline, found)
        hits = np.mean([seed["rated"].sum() for seed in found])
        lines.append(f"| {name} | {ndcg:.4f} | {rating:.3f} | {minus} | {hits:.0f} |")
    return lines


def _draw_curves(loaded: dict[float, list[dict[str, Arrays]]]) -> None:
    figure = _figure(12, 4)
    shares = np.array(list(loaded)) * 100
    for axes, (name, measure) in zip(figure.subplots(1, len(MEASURES)), MEASURES.items(), strict=True):
        for system in SYSTEMS:
            values = np.array(
                [[mean_of(measure, [errors]) for errors in _errors(seeds, system)] for seeds in loaded.values()]
            )
            axes.plot(shares, values.mean(axis=1), marker="o", markersize=3, label=system)
            axes.fill_between(shares, values.min(axis=1), values.max(axis=1), alpha=0.15)
        axes.set(xscale="log", xlabel="ratings kept, %", title=name)
        axes.set_xticks(shares, [f"{share:g}" for share in shares])
        axes.grid(alpha=0.3)
    axes.legend()
    _save(figure, "transfer.svg")


def _draw_trade_off(seeds: Sequence[dict[str, Arrays]]) -> None:
    figure = _figure(6, 4)
    axes: Axes = figure.subplots()
    ndcg, rating = _utility_rows(seeds)
    axes.plot(ndcg, rating, marker="o")
    for utility, x, y in zip(UTILITIES, ndcg, rating, strict=True):
        axes.annotate(f"{utility:g}", (x, y), textcoords="offset points", xytext=(5, 3), fontsize=8)
    axes.set(xlabel="NDCG@10", ylabel="mean rating of hits", title="Weight of the expected rating")
    axes.grid(alpha=0.3)
    _save(figure, "transfer-utility.svg")


def _draw_epochs(epochs: Arrays) -> None:
    figure = _figure(10, 4)
    for axes, (name, title) in zip(
        figure.subplots(1, 2), (("losses", "mean loss"), ("gradient_norms", "gradient norm")), strict=True
    ):
        for task, label in enumerate(("watch", "rating")):
            axes.plot(np.arange(1, len(epochs[name]) + 1), epochs[name][:, task], label=label)
        axes.set(xlabel="epoch", title=title, yscale="log")
        axes.legend()
        axes.grid(alpha=0.3)
    _save(figure, "transfer-tasks.svg")


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _save(figure: "Figure", name: str) -> None:
    from matplotlib import rc_context

    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "belfry"}):
        figure.savefig(RESULTS / name, metadata={"Date": None})
