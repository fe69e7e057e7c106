"""Which published layout a folder, a zip or a file is in."""

from pathlib import Path

from belfry.dataset.sources.layouts.instacart import is_instacart, read_instacart
from belfry.dataset.sources.layouts.netflix import blocks_at, read_netflix
from belfry.dataset.sources.layouts.places import Place
from belfry.dataset.sources.layouts.plain import PLAIN_LAYOUTS
from belfry.dataset.tables import Tables


def find_layout(path: Path) -> Tables | None:
    """The tables of a layout found by the names of its files and of their columns; None where it is in none.

    Raises:
        InputError, TableError: it is in one, and damaged.
    """
    is_alone = not path.is_dir() and path.suffix.lower() != ".zip"
    with Place.at(path) as place:
        if is_instacart(place):
            return read_instacart(place)
        if blocks := blocks_at(place, is_alone=is_alone):
            return read_netflix(place, blocks)
        for layout in PLAIN_LAYOUTS:
            if events := layout.find(place, is_alone=is_alone):
                return layout.read(place, events)
    return None
