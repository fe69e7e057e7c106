"""Past: where an updated run comes from, as the notes of its manifest say."""

from dataclasses import dataclass

from pydantic import ValidationError

from belfry.dataset.interactions import Interactions
from belfry.pipeline.runs.gate import ManifestPart
from belfry.pipeline.runs.manifest import MANIFEST, invalid_file
from belfry.pipeline.runs.reader import Run
from belfry.pipeline.runs.trained import TrainedOn

NOTE = "update"  # key of the notes


class Lineage(ManifestPart):
    """From the training of a run to its last update."""

    trained_run: str  # whose weights these are
    trained_at: str  # UTC, ISO 8601
    trained_newest_s: int | None  # UTC, the newest event at training; None without times
    n_updates: int = 0
    parent: str = ""  # the run that was updated last
    taken: tuple[str, ...] = ()  # `Arrived.digest` of all tables that were taken in


@dataclass(frozen=True)
class Past:
    """What an update goes on from."""

    lineage: Lineage
    trained: TrainedOn

    @classmethod
    def of(cls, run: Run, history: Interactions) -> "Past":
        """Of a run with this history.

        Raises:
            ArtifactError: the run says of itself what no run does.
        """
        manifest, times = run.manifest, history.timestamp_s
        newest_s = None if times is None or not len(times) else int(times.max())
        lineage = Lineage(trained_run=run.name, trained_at=manifest.created_at, trained_newest_s=newest_s)
        if isinstance(note := manifest.notes.get(NOTE), dict):
            try:
                lineage = Lineage.model_validate(note.get("lineage"))
            except ValidationError as error:
                raise invalid_file(run.folder / MANIFEST, error) from error
        return cls(lineage, TrainedOn.of(run, history))

    def after(self, parent: str, digest: str) -> Lineage:
        """That of the run which an update of `parent` makes."""
        lineage = self.lineage
        changed = {
            "n_updates": lineage.n_updates + 1,
            "parent": parent,
            "taken": (*lineage.taken, *([digest] * bool(digest))),
        }
        return lineage.model_copy(update=changed)
