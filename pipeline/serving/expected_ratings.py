"""ExpectedRatings: how a user would rate the items of a list, where a run has a model that says so."""

from dataclasses import dataclass, replace
from typing import cast

from belfry.dataset import columns
from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureTables
from belfry.dataset.vocabulary import UserNums
from belfry.ranking.base import DeviatingLabels, LabelRanker, Scores
from belfry.ranking.error_variance import ErrorVariance


@dataclass(frozen=True)
class ExpectedRatings:
    """Expected ratings on the scale of the data, by the heads of the first source or by a ranker by rating."""

    labels: LabelRanker
    features: FeatureTables  # of the run
    knows_ids_alone: bool  # then users are asked for by their number in the run, and fresh watches change nothing
    error_variance: ErrorVariance | None = None  # as training measured it, where the model itself knows none

    def of(self, lists: Candidates, features: FeatureTables, in_run: UserNums) -> Scores:
        """[n_rows]

        Args:
            features: that the lists were made by; of a session, or of the run.
            in_run: [n_users] number of each user of the lists in the run, 0 where it has none.
        """
        return self.labels.expected(*self._asked(lists, features, in_run))[:, self._place]

    def deviations(self, lists: Candidates, features: FeatureTables, in_run: UserNums) -> Scores | None:
        """[n_rows] standard deviations of the ratings; None where they are not known. The arguments as in `of`."""
        if columns.RATING in getattr(self.labels, "deviating_labels", ()):
            labels = cast(DeviatingLabels, self.labels)
            return labels.deviations(*self._asked(lists, features, in_run))[:, self._place]
        if self.error_variance is None:
            return None
        return self.error_variance.deviations(in_run[lists.row_user], lists.item_num)

    @property
    def _place(self) -> int:
        return self.labels.label_names.index(columns.RATING)

    def _asked(self, lists: Candidates, features: FeatureTables, in_run: UserNums) -> tuple[Candidates, FeatureTables]:
        return (replace(lists, users=in_run), self.features) if self.knows_ids_alone else (lists, features)
