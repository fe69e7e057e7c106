"""The charts of an exploration."""

from belfry.evaluation.reports.exploration.result import Curve, ExpectedRatings, Exploration, Importances, Similarities
from belfry.evaluation.reports.pages.vega import MUTED, NEUTRAL, TEXT, Spec, chart, lines, numbers, ranked_bars


def of_exploration(found: Exploration) -> dict[str, Spec]:
    """Every chart by the id of its element."""
    figures = {"chart-similarities": _of_similarities(found.similarities)}
    for place, curve in enumerate(found.curves):
        figures |= _of_curve(place, curve)
    if found.importances:
        figures["chart-importance"] = _of_importances(found.importances)
    if found.ratings:
        figures["chart-ratings"] = _of_ratings(found.ratings)
    if worths := [(one.name, one.alone) for one in found.sources if one.alone is not None]:
        title = "mean of recall@100 and NDCG@10, alone"
        figures["chart-sources"] = ranked_bars(worths, title, "What each source of candidates is worth alone")
    if found.seconds:
        title = "CPU seconds"
        figures["chart-seconds"] = ranked_bars(found.seconds, title, "CPU seconds of each stage of the training")
    return figures


def _of_curve(place: int, curve: Curve) -> dict[str, Spec]:
    x = {"title": "epoch", "axis": {"format": "d", "tickMinStep": 1}}
    figures = {}
    for what, title, points in (("loss", "loss", curve.loss), ("validation", curve.metric, curve.validation)):
        if points:
            y = {"title": title, "scale": {"zero": False}}
            described = f"{title} of {curve.name} by epoch"
            figures[f"chart-curve-{place}-{what}"] = lines({title: points}, x, y, described, points=True, height=180)
    return figures


def _of_similarities(found: Similarities) -> Spec:
    x = {"title": "cosine", "scale": {"domain": [-1, 1]}}
    y = {"title": "share of the pairs", "axis": {"format": "%", "tickCount": 5}}
    curves = {
        "an item and the one most like it": found.nearest,
        "two items of one user": found.of_one_user,
        "two random items": found.random,
    }
    return lines(curves, x, y, "Cosines of pairs of items: most similar, of one user, random")


def _of_importances(found: Importances) -> Spec:
    effects = [(one.group, one.effect) for one in found.groups if one.effect > 0]
    return ranked_bars(effects, "mean change of the log-odds without it", "What each group of features does to scores")


def _of_ratings(found: ExpectedRatings) -> Spec:
    rows = [
        {
            "true": one.true,
            "low": one.tenth,
            "high": one.ninetieth,
            "mean": one.mean,
            "told": f"{one.mean:.2f} on average, eight tenths from {one.tenth:.2f} to {one.ninetieth:.2f}",
            "n": one.n,
        }
        for one in found.groups
    ]
    low, high = min(one.true for one in found.groups), max(one.true for one in found.groups)
    tooltip = [
        {"field": "true", "title": "true rating"},
        {"field": "told", "title": "expected"},
        {"field": "n", "title": "pairs", "format": ","},
    ]
    x = {**numbers("true", "true rating"), "scale": {"zero": False, "padding": 20}}
    y = {**numbers("low", "expected rating"), "scale": {"zero": False}}
    perfect = {"values": [{"a": low, "b": low}, {"a": high, "b": high}]}
    line = {"type": "line", "color": MUTED, "strokeDash": [4, 3], "tooltip": None, "aria": False}
    point = {"type": "point", "filled": True, "size": 80, "color": TEXT, "opacity": 1}
    layers = [
        {"data": perfect, "mark": line, "encoding": {"x": numbers("a"), "y": numbers("b")}},
        {
            "mark": {"type": "rule", "strokeWidth": 3, "color": NEUTRAL},
            "encoding": {"x": x, "y": y, "y2": {"field": "high"}, "tooltip": tooltip},
        },
        {"mark": point, "encoding": {"x": x, "y": numbers("mean"), "tooltip": tooltip}},
    ]
    return chart(
        "Expected ratings by the true ones; on the dashed line they would be right",
        {"data": {"values": rows}, "height": 260, "layer": layers},
    )
