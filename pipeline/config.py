"""PipelineConfig: the settings of all components put together, read from a preset and from `key=value` texts."""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dataset.errors import InputError
from dataset.validation import DEFAULT_POLICY, Policy
from ranking.config import DeepRankerConfig, PairFeaturesConfig
from retrieval.config import ReportConfig, TwoTowerConfig
from retrieval.index.config import IndexConfig
from retrieval.popularity import PopularityConfig

Holdout: TypeAlias = Literal["time", "last", "random"]

_PRESETS = Path(__file__).parent / "presets"

# What a holdout means for the components; a preset says nothing of it, `--set` may overrule it.
_HOLDOUT_SETTINGS: dict[str, dict[str, Any]] = {
    "random": {"retrieval.targets": "any", "pair_features.moment": "user_last"},
    "last": {"retrieval.targets": "next", "pair_features.moment": "user_last"},
    "time": {"retrieval.targets": "next", "pair_features.moment": "history_end"},
}


class PipelineConfig(BaseModel):
    """Both stages and what lies between them."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    data: Policy = Field(DEFAULT_POLICY, description="what to do with each kind of problem in the tables")
    text_columns: tuple[str, ...] = Field((), description="item columns whose words are features, e.g. title")
    retrieval: TwoTowerConfig | ReportConfig = Field(TwoTowerConfig(), discriminator="kind")
    index: IndexConfig = IndexConfig()
    popularity: PopularityConfig = Field(
        PopularityConfig(half_life_days=14, segment_smoothing=20),
        description="the answer for cold users, and the second source",
    )
    n_candidates: int = Field(200, ge=1, description="candidates that the towers bring for a user")
    n_popular: int = Field(50, ge=0, description="recently popular candidates added to them; none without times")
    folds: int = Field(5, ge=2, le=50, description="cross-fitted parts of a random holdout, windows of a time holdout")
    pair_features: PairFeaturesConfig = PairFeaturesConfig()
    ranker: DeepRankerConfig | None = DeepRankerConfig()


def preset_names() -> list[str]:
    """Names that `load_config` knows."""
    return sorted(path.name.removesuffix(".toml") for path in _PRESETS.iterdir())


def load_config(preset: str, *, holdout: Holdout, settings: Iterable[str] = ()) -> PipelineConfig:
    """The config of a preset (a name, or the path of a TOML file) under a holdout, changed by `key=value` texts.

    Raises:
        InputError: an unknown preset or key, or a value out of range; the message names the key.
    """
    tree = _read_preset(preset)
    # The report's towers have no such setting: a holdout means nothing to them.
    retrieval = tree.setdefault("retrieval", {})
    if not isinstance(retrieval, dict):
        raise InputError(f"{preset}: retrieval is {retrieval!r}; wanted a table [retrieval]")
    if retrieval.setdefault("kind", "two_tower") == "two_tower":
        for key, value in _HOLDOUT_SETTINGS[holdout].items():
            _set(tree, key, value)
    for text in settings:
        key, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--set {text!r}: wanted key=value, e.g. retrieval.embedding_size=64")
        _set(tree, key.strip(), _parse(value.strip()))
    try:
        return PipelineConfig(**_with_nothing(tree))
    except ValidationError as error:
        kind = tree["retrieval"]["kind"] if isinstance(tree["retrieval"], dict) else None
        problems = "; ".join(
            # pydantic puts the kind of retrieval between its name and the setting's
            f"{'.'.join(str(part) for part in problem['loc'] if part != kind)}: {problem['msg']}"
            for problem in error.errors()
        )
        raise InputError(f"config: {problems}; `docs/config.md` lists every key") from error


def _read_preset(preset: str) -> dict[str, Any]:
    if preset in preset_names():
        return tomllib.loads((_PRESETS / f"{preset}.toml").read_text())
    path = Path(preset)
    if path.suffix != ".toml" or not path.is_file():
        raise InputError(f"preset {preset!r}: known are {', '.join(preset_names())}, or the path of a .toml file")
    try:
        return tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{preset}: not readable as TOML ({error})") from error


def _set(tree: dict[str, Any], key: str, value: object) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        child = tree.setdefault(parent, {})
        if not isinstance(child, Mapping):
            raise InputError(f"--set {key}: {parent!r} is a value and has no keys below it")
        tree[parent] = dict(child)
        tree = tree[parent]
    tree[last] = value


def _with_nothing(tree: dict[str, Any]) -> dict[str, Any]:
    """The tree with None for every "none": TOML has no word for no value."""
    return {
        key: _with_nothing(value) if isinstance(value, dict) else None if value == "none" else value
        for key, value in tree.items()
    }


def _parse(text: str) -> object:
    """A TOML value; text that is none is taken as a string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def describe() -> str:
    """Every setting as Markdown: docs/config.md, written by `python -m pipeline.config`."""
    lines = [
        "# Settings",
        "",
        "Every key that a preset's TOML file may hold, or `--set key=value`. Written by `python -m pipeline.config`.",
        "",
        "`--holdout` sets `retrieval.targets` and `pair_features.moment`; `none` means no value.",
        "",
    ]
    for title, component in _components():
        lines += [f"## {title}", "", "| key | default | meaning |", "|---|---|---|"]
        prefix = "" if isinstance(component, PipelineConfig) else f"{title.split()[0]}."
        for name, field in type(component).model_fields.items():
            if not isinstance(value := getattr(component, name), BaseModel):
                default = "none" if value is None else value
                lines.append(f"| `{prefix}{name}` | `{default}` | {field.description or ''} |")
        lines.append("")
    return "\n".join(lines)


def _components() -> list[tuple[str, BaseModel]]:
    config = PipelineConfig()
    return [
        ("pipeline", config),
        ("data", config.data),
        ('retrieval (kind = "two_tower")', config.retrieval),
        ('retrieval (kind = "report")', ReportConfig()),
        ("index", config.index),
        ("popularity", config.popularity),
        ("pair_features", config.pair_features),
        ("ranker (or none: retrieval alone)", DeepRankerConfig()),
    ]


if __name__ == "__main__":
    Path(__file__).parent.parent.joinpath("docs", "config.md").write_text(describe())
