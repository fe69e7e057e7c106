"""Libraries that come with extras of Belfry: imported where they are used, and missed in words."""

from importlib import import_module
from typing import Any

from belfry.dataset.errors import InputError


def needed(module: str, extra: str, place: str) -> Any:
    """A library that comes with one of Belfry's extras.

    Raises:
        InputError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        library = module.partition(".")[0]
        raise InputError(
            f'{place}: needs {library}, which is not installed; run: pip install "belfry-recommender[{extra}]"'
        ) from error
