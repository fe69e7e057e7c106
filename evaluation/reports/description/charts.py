"""The charts of a description."""

from belfry.evaluation.reports.description.result import Description, Spread, TopValues, Years
from belfry.evaluation.reports.pages.vega import Spec, bars, lines, paired_bars

_SHARE = {"format": "%", "tickCount": 5}


def of_description(found: Description) -> dict[str, Spec]:
    """Every chart by the id of its element."""
    figures: dict[str, Spec] = {}
    if found.histories and found.popularity:
        figures |= _of_spread(found.histories, "users", "items watched")
        figures |= _of_spread(found.popularity, "items", "users who watched it")
    if found.ratings:
        figures["chart-ratings"] = bars(found.ratings.histogram, "rating", "watches", "Watches by their rating")
    if found.years:
        figures["chart-years"] = _of_years(found.years)
    for place, one in enumerate(found.values):
        figures[f"chart-values-{place}"] = _of_values(one)
    if times := found.times:
        x = {"title": None, "type": "temporal", "axis": {"format": "%b %Y", "tickCount": 6}}
        y = {"title": f"watches in a {times.unit}", "scale": {"zero": True}, "axis": {"tickCount": 5}}
        described = f"Watches in each {times.unit}"
        figures["chart-times"] = lines({"watches": times.counts}, {**x, "title": times.unit}, y, described)
        figures["chart-hours"] = bars(times.hours, "hour of the day, UTC", "watches", "Watches by the hour of the day")
    return figures


def _of_spread(spread: Spread, what: str, count: str) -> dict[str, Spec]:
    x = {"title": f"share of the {what}, those with most first", "axis": _SHARE}
    y = {"title": "share of all watches", "axis": _SHARE}
    curves = {what: spread.curve, "if all had as many": ((0.0, 0.0), (1.0, 1.0))}
    return {
        f"chart-{what}-histogram": bars(spread.histogram, count, what, f"How many {what} have how many {count}"),
        f"chart-{what}-curve": lines(curves, x, y, f"Share of all watches that the first {what} have"),
    }


def _of_years(years: Years) -> Spec:
    x = {"title": "year", "axis": {"format": "d", "tickCount": 8}, "scale": {"zero": False}}
    y = {"title": "share", "axis": {"format": ".1%", "tickCount": 5}}
    curves = {"of the items": years.items, "of the watches": years.watches}
    return lines(curves, x, y, "Items, and watches, by the year in which the item came out")


def _of_values(values: TopValues) -> Spec:
    names = f"of the {values.table}", "of the watches"
    return paired_bars(values.shares, names, f"Commonest values of {values.column}, by {values.table} and by watches")
