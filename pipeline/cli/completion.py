"""What a shell offers for a word that is being typed. Imports nothing heavy before it is asked; never fails."""

from contextlib import suppress
from typing import Literal, get_args, get_origin

import typer


def presets() -> list[str]:
    from belfry.pipeline.config_text import preset_names

    return preset_names()


def data_sets() -> list[str]:
    from belfry.dataset.sources.open import DEMO
    from belfry.dataset.sources.web.download import MD5_BY_NAME

    return [DEMO, *MD5_BY_NAME]


def settings(incomplete: str) -> list[str]:
    """Keys that `--set` takes; behind a whole key its values, where they are names."""
    from belfry.pipeline.config import components

    values: dict[str, dict[str, None]] = {}  # of each key, in order
    for _, prefix, component in components():
        for name, field in type(component).model_fields.items():
            if not (prefix == "model." or hasattr(getattr(component, name), "model_fields")):
                named = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
                values.setdefault(f"{prefix}{name}", {}).update(dict.fromkeys(map(str, named)))
    key = incomplete.partition("=")[0]
    return [f"{key}={value}" for value in values.get(key, ())] or [f"{key}=" for key in values]


def names_of_runs(ctx: typer.Context) -> list[str]:
    """Of the artifacts folder that the line names so far; no manifest is read."""
    from belfry.pipeline.runs.manifest import MANIFEST
    from belfry.pipeline.runs.reader import default_artifacts

    folder = ctx.params.get("artifacts") or default_artifacts()
    with suppress(OSError):
        return sorted(path.parent.name for path in folder.glob(f"[!.]*/{MANIFEST}"))
    return []
