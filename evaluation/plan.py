"""Plan: which metrics of the registry are measured, and at which lengths, for which report."""

from collections.abc import Sequence
from dataclasses import dataclass

from belfry.dataset.errors import InputError
from belfry.evaluation.context import EvaluationContext
from belfry.evaluation.registry import METRICS, METRICS_OF_ALL, Metric, MetricOfAll


@dataclass(frozen=True)
class Plan:
    """What is measured of every list, at which lengths.

    Lengths are taken as they were asked for, also beyond the catalogue.
    """

    n: int  # of the lists that are given out, for all but accuracy
    metrics: tuple[tuple[Metric, int], ...]  # with their lengths
    of_all: tuple[MetricOfAll, ...] = METRICS_OF_ALL  # at `n`

    @classmethod
    def of_comparison(cls, n: int, cutoffs: Sequence[int]) -> "Plan":
        """Accuracy at every one of `cutoffs`, all else at `n`."""
        wanted = [metric for metric in METRICS if "comparison" in metric.reports]
        accuracy = [(metric, cutoff) for cutoff in cutoffs for metric in wanted if metric.is_accuracy]
        return cls(n, (*accuracy, *((metric, n) for metric in wanted if not metric.is_accuracy)))

    @classmethod
    def of_evaluation(cls, name: str, n: int, *, depth: int, cutoffs: Sequence[int]) -> "Plan":
        """Everything at `n`, and recall at those `cutoffs` that lists of `depth` can answer.

        Raises:
            InputError: the lists of the system `name` are shorter than `n`.
        """
        if depth < n:
            raise InputError(f"{name}: lists of {depth} cannot be judged at {n}; ask for at least {n} items per user")
        depths = sorted({n, *(cutoff for cutoff in cutoffs if cutoff <= depth)})
        wanted = [metric for metric in METRICS if "evaluation" in metric.reports]
        lengths = [(metric, length) for metric in wanted for length in (depths if metric.name == "recall" else [n])]
        return cls(n, tuple(lengths))

    @property
    def cutoffs(self) -> tuple[int, ...]:
        """Lengths that accuracy is measured at, rising."""
        return tuple(sorted({length for metric, length in self.metrics if metric.is_accuracy}))

    @property
    def depth(self) -> int:
        """Length of the lists that the plan needs."""
        return max(self.n, *(length for _, length in self.metrics))

    def possible(self, context: EvaluationContext) -> list[tuple[str, Metric, int]]:
        """("ndcg@10", metric, 10), ...: those whose needs the context meets."""
        return [
            (f"{metric.name}@{length}", metric, length)
            for metric, length in self.metrics
            if metric.needs <= context.known
        ]
