"""The exploration as one HTML file."""

from typing import Any

from belfry.evaluation.reports.exploration.charts import of_exploration
from belfry.evaluation.reports.exploration.result import Exploration, ItemMap
from belfry.evaluation.reports.pages.rendering import render

_MAX_TITLE = 80  # signs of a title, or an id, on the map


def page(found: Exploration) -> str:
    """For people."""
    data = {"item-map": _for_script(found.item_map)}
    return render("exploration.html.j2", of_exploration(found), data=data, scripts=["item_map.js"], found=found)


def _for_script(item_map: ItemMap) -> dict[str, Any]:
    """What item_map.js reads; cosines in hundredths, a None as null."""
    return {
        "ids": [str(one)[:_MAX_TITLE] for one in item_map.ids],
        "titles": [None if title is None else title[:_MAX_TITLE] for title in item_map.titles],
        "users": item_map.n_users,
        "maps": [{"name": one.name, "how": one.how, "x": one.x, "y": one.y} for one in item_map.projections],
        "colours": [
            {"name": one.name, "kind": one.kind, "values": one.values, "labels": one.labels}
            for one in item_map.colourings
        ],
        "near": item_map.neighbours,
        "cosines": [[round(100 * cosine) for cosine in row] for row in item_map.cosines],
    }
