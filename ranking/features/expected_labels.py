"""What a model that is a source of candidates expects of the labels of a candidate, such as its rating."""

from collections.abc import Sequence

from belfry.dataset.features import FeatureTables
from belfry.ranking.base import LabelRanker, Matrix
from belfry.ranking.features.base import Column, FeatureGroup, PairRequest


def name_of_expected(label: str) -> str:
    """The column that holds what is expected of a label."""
    return f"expected_{label}"


class ExpectedLabels(FeatureGroup):
    """`expected_<label>` of each task, on the scale of the label.

    It keeps nothing of the history: the model, which is trained and saved as a source, is handed over.
    """

    name = "expected_labels"

    def __init__(self, labels: LabelRanker) -> None:
        """`labels` were fitted on the history that the other groups are of."""
        super().__init__({})
        self._labels = labels

    def columns(self, features: FeatureTables, sources: tuple[str, ...]) -> Sequence[Column]:
        """One for each task."""
        return [
            Column(name_of_expected(label), f"expected {label}", has_place=True) for label in self._labels.label_names
        ]

    def compute(self, request: PairRequest) -> Matrix:
        """[n_tasks, n_rows]"""
        return self._labels.expected(request.candidates, request.features).T
