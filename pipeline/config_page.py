"""The page of settings, out of the configs: python -m belfry.pipeline.config_page writes docs/config.md."""

import json
from pathlib import Path

from pydantic import BaseModel

from belfry.pipeline.config import DEFAULT_SOURCES, SourceConfig, components


def describe() -> str:
    """Every setting as Markdown: docs/config.md, written by `python -m belfry.pipeline.config_page`."""
    lines = [
        "# Settings",
        "",
        "Every key that a preset's TOML file may hold, or `--set key=value`. Written by",
        "`python -m belfry.pipeline.config_page`.",
        "",
        "`--holdout` sets `retrieval.targets` and `pair_features.request_time`, `--repeats` sets `repeats` and",
        "`pair_features.repeats`; `none` means no value.",
        "",
        "Sources are named all at once. The default:",
        "",
        "```toml",
        *(line for source in DEFAULT_SOURCES for line in _in_toml(source)),
        "```",
        "",
        "On one line: `--set 'sources=[{model={kind=\"ease\"}, quota=200}]'`, or `--set sources=[]` for none. A",
        "`model` is of any kind below: with towers, which may stand under `retrieval` too, or without.",
        "",
    ]
    for title, prefix, component in components():
        lines += [f"## {title}", "", "| key | default | meaning |", "|---|---|---|"]
        for name, field in type(component).model_fields.items():
            if not isinstance(value := getattr(component, name), BaseModel):  # it has a section of its own
                default = "none" if value is None else "see below" if name == "sources" else value
                lines.append(f"| `{prefix}{name}` | `{default}` | {field.description or ''} |")
        lines.append("")
    return "\n".join(lines)


def _in_toml(source: SourceConfig) -> list[str]:
    """The source as a preset writes it, but for what is default anyway."""
    model = {"kind": source.model.kind} | source.model.model_dump(exclude_defaults=True)
    settings = source.model_dump(exclude_defaults=True, exclude={"model"})
    inline = ", ".join(f"{key} = {json.dumps(value)}" for key, value in model.items())
    return [
        "[[sources]]",
        f"model = {{ {inline} }}",
        *(f"{key} = {json.dumps(value)}" for key, value in settings.items()),
        "",
    ]


if __name__ == "__main__":
    Path(__file__).resolve().parent.parent.joinpath("docs", "config.md").write_text(describe())
