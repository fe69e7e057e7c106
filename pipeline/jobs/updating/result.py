"""Update: what an update did, for people and for programs."""

from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import JsonValue

from belfry.dataset.sources.web.objects import place_of
from belfry.pipeline.jobs.updating.drift import Drift
from belfry.pipeline.jobs.updating.fold import Folded


@dataclass(frozen=True)
class Update:
    """What an update did."""

    parent: str  # name of the run that was updated
    run: str  # name of the new one; that of the parent where nothing was new
    folder: Path  # of the new one, on this machine
    place: Path  # where that lies: the folder, or its address
    folded: Folded
    n_new_users: int
    n_new_items: int
    n_placed: int  # of the new items, by their features
    drift: Drift
    seconds: float = 0.0

    @property
    def is_published(self) -> bool:
        """Whether there was anything new."""
        return self.run != self.parent

    @property
    def noted(self) -> dict[str, JsonValue]:
        """What the manifest of the new run says of it."""
        events = self.folded
        return {
            "events": {
                "given": events.n_given,
                "in_the_run_already": events.n_known,
                "left_out_for_their_times": events.n_far,
                "added": events.n_added,
                "older_than_the_newest": events.n_older,
                "only_shown": events.n_impressions,
            },
            "new_users": self.n_new_users,
            "new_items": self.n_new_items,
            "new_items_placed_by_features": self.n_placed,
            "drift": asdict(self.drift),
        }

    def lines(self) -> list[str]:
        """For a terminal."""
        events = self.folded
        parts = [f"{events.n_added:,} new events of {events.n_given:,} given"]
        parts += [f"{events.n_known:,} are in the run already and not counted again"] * bool(events.n_known)
        parts += [f"{events.n_far:,} left out for their times"] * bool(events.n_far)
        parts += [f"{events.n_older:,} older than the newest in the run"] * bool(events.n_older)
        unkept = ", which a run that was trained without such rows does not keep"
        shown = f"{events.n_impressions:,} rows that were only shown{unkept * (events.history.impressions is None)}"
        parts += [shown] * bool(events.n_impressions)
        parts += [f"without {', '.join(events.unread)}, which the run's events lack"] * bool(events.unread)
        lines = ["; ".join(parts)]
        if self.n_new_users or self.n_new_items:
            by_features = f", {self.n_placed:,} of them placed by features" if self.n_new_items else ""
            lines.append(f"{self.n_new_users:,} new users, {self.n_new_items:,} new items{by_features}")
        lines.append(f"not moved: {self.drift.line}")
        if not self.is_published:
            return [*lines, f"nothing is new, so nothing is published: {place_of(self.place)}"]
        return [*lines, f"published {place_of(self.place)} in {self.seconds:.1f} s, from {self.parent}"]

    def to_json(self) -> dict[str, JsonValue]:
        """For programs."""
        place: dict[str, JsonValue] = {"run": self.run, "folder": place_of(self.place), "parent": self.parent}
        return {**place, "is_published": self.is_published, **self.noted, "seconds": round(self.seconds, 3)}
