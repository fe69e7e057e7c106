"""What a run notes of its training: sources, gate, curves, seconds."""

from pydantic import BaseModel, ConfigDict, ValidationError

from belfry.evaluation.reports.exploration.result import Curve, GateSeen, TriedSource
from belfry.pipeline.runs.gate import Gate
from belfry.pipeline.runs.manifest import MANIFEST, invalid_file
from belfry.pipeline.runs.reader import Run


class _Part(BaseModel):
    """A part of the notes; what is not read may be there too."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class _Source(_Part):
    weight: float
    epochs: int | None = None


class _Choice(_Part):
    alone: dict[str, float]
    added: dict[str, float]
    together: float


class _Seconds(_Part):
    cpu: float


class _Index(_Part):
    recall: float


class _Epoch(_Part):
    epoch: int
    loss: float | None
    validation: float | None = None


class _Curve(_Part):
    metric: str
    epochs: tuple[_Epoch, ...]


class TrainingNotes(_Part):
    """Those of a manifest that the page shows."""

    sources: dict[str, _Source] = {}
    source_choice: _Choice | None = None
    left_out: dict[str, str] = {}
    seconds: dict[str, _Seconds] = {}
    index: _Index | None = None
    curves: dict[str, _Curve] = {}

    @property
    def tried(self) -> tuple[TriedSource, ...]:
        """Those that stay first, then those that were tried, or could not be."""
        alone = self.source_choice.alone if self.source_choice else {}
        added = self.source_choice.added if self.source_choice else {}
        names = dict.fromkeys((*self.sources, *alone, *self.left_out))
        return tuple(
            TriedSource(
                name,
                alone.get(name),
                added.get(name),
                self.sources[name].weight if name in self.sources else None,
                (self.sources[name].epochs or None) if name in self.sources else None,
                self.left_out.get(name),
            )
            for name in names
        )

    @property
    def shown_curves(self) -> tuple[Curve, ...]:
        return tuple(
            Curve(
                name,
                curve.metric,
                tuple((one.epoch, one.loss) for one in curve.epochs if one.loss is not None),
                tuple((one.epoch, one.validation) for one in curve.epochs if one.validation is not None),
            )
            for name, curve in self.curves.items()
            if curve.epochs
        )

    @classmethod
    def of(cls, run: Run) -> "TrainingNotes":
        """Raises ArtifactError: one of them is of another form."""
        try:
            return cls.model_validate(run.manifest.notes)
        except ValidationError as error:
            raise invalid_file(run.folder / MANIFEST, error) from error


def gate_seen(gate: Gate) -> GateSeen:
    """The gate as the page shows it."""
    found = gate.difference
    difference = None if found is None else (found.mean, found.low, found.high)
    return GateSeen(gate.is_open, gate.reason, gate.n_lists, gate.retrieval_ndcg, gate.ranker_ndcg, difference)
