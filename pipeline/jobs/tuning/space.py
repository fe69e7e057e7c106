"""Which settings a search tries, and between which values."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from belfry.pipeline.config import PipelineConfig

if TYPE_CHECKING:
    from optuna.trial import BaseTrial


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`; those that count by factors are drawn by their logarithm."""

    low: float
    high: float
    by_factors: bool = True

    def suggest(self, trial: "BaseTrial", key: str) -> str:
        return f"{trial.suggest_float(key, self.low, self.high, log=self.by_factors):.4g}"


@dataclass(frozen=True)
class Choice:
    """One of a few values, as `--set` writes them."""

    values: tuple[str, ...]

    def suggest(self, trial: "BaseTrial", key: str) -> str:
        return str(trial.suggest_categorical(key, self.values))


def _always(config: PipelineConfig) -> bool:
    return True


def _has_two_towers(config: PipelineConfig) -> bool:
    return config.retrieval.kind == "two_tower"


def _has_deep_ranker(config: PipelineConfig) -> bool:
    return config.ranker is not None and config.ranker.kind == "deep"


def _has_ranker(config: PipelineConfig) -> bool:
    return config.ranker is not None


# Around each default, wide enough to matter and narrow enough to train.
_SPACE: tuple[tuple[Callable[[PipelineConfig], bool], dict[str, Range | Choice]], ...] = (
    (_always, {"n_candidates": Choice(("100", "200", "400"))}),
    (
        _has_two_towers,
        {
            "retrieval.embedding_size": Choice(("32", "64", "128")),
            "retrieval.learning_rate": Range(0.002, 0.03),
            "retrieval.epochs": Choice(("12", "24", "48")),
            "retrieval.l2": Range(0.001, 0.06),
            "retrieval.half_life": Range(1, 50),
            "retrieval.history_dropout": Range(0, 0.4, by_factors=False),
        },
    ),
    (
        _has_ranker,
        {
            "pair_features.half_life": Range(1, 50),
            "pair_features.n_neighbours": Choice(("40", "80", "160")),
            "pair_features.shrink": Range(3, 100),
        },
    ),
    (
        _has_deep_ranker,
        {
            "ranker.widths": Choice(("[32]", "[64, 32]", "[128, 64]")),
            "ranker.learning_rate": Range(0.001, 0.012),
            "ranker.dropout": Range(0, 0.4, by_factors=False),
            "ranker.min_steps": Choice(("100", "150", "300")),
        },
    ),
)


def settings_of(trial: "BaseTrial", config: PipelineConfig, fixed: frozenset[str]) -> list[str]:
    """What this trial sets, as `key=value`; keys in `fixed` were set by the user and stay."""
    return [
        f"{key}={values.suggest(trial, key)}"
        for applies, part in _SPACE
        if applies(config)
        for key, values in part.items()
        if key not in fixed
    ]
