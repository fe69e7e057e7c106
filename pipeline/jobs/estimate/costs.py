"""Costs: CPU, memory and disk of training and of tables, between and beyond the sizes that were measured."""

from collections.abc import Sequence
from dataclasses import dataclass

MEBIBYTE = 1 << 20

# docs/results/scale.md, default preset. Users and items grow with the watches there, in these proportions.
WATCHES = (100_000, 1_000_000, 10_000_000)
WATCHES_PER_USER, WATCHES_PER_ITEM = 50, 100
TRAINING_CPU_S = (21, 39, 243)
TRAINING_MIB = (1_441, 2_001, 4_131)
RUN_MIB = (12, 84, 807)
TABLE_USERS_PER_S = (1_169, 1_853, 897)  # lists of 100
TABLE_MIB = (323, 526, 1_573)
# Of one row of a table on disk: its parts lie beside the table until that is whole.
_ROW_BYTES = 2 * 30


@dataclass(frozen=True)
class Shape:
    """How large tables are."""

    n_watches: int
    n_users: int
    n_items: int

    @property
    def as_watches(self) -> int:
        """How many watches tables in the proportions that were measured have, which are no smaller in anything."""
        return max(self.n_watches, self.n_users * WATCHES_PER_USER, self.n_items * WATCHES_PER_ITEM)

    def line(self) -> str:
        return f"{self.n_watches:,} watches, {self.n_users:,} users, {self.n_items:,} items"


@dataclass(frozen=True)
class Cost:
    """Low and high differ where the tables have other proportions than those that were measured."""

    cpu_s: tuple[float, float]
    memory_bytes: tuple[float, float]
    disk_bytes: tuple[float, float]


def training_cost(shape: Shape, *, slowness: float = 1.0, workers: int = 1) -> Cost:
    """Of `belfry train` by the default preset.

    Args:
        slowness: as `Rates.slowness`.
        workers: processes; each holds the data and the libraries.
    """
    low, high = shape.n_watches, shape.as_watches
    return Cost(
        _range(TRAINING_CPU_S, low, high, slowness),
        _range(TRAINING_MIB, low, high, MEBIBYTE * workers),
        _range(RUN_MIB, low, high, MEBIBYTE),
    )


def table_cost(shape: Shape, run_bytes: int, n_users: int, n: int, *, slowness: float = 1.0) -> Cost:
    """Of `belfry batch` on one core: `n` items for each of `n_users`, by a run whose files take `run_bytes`."""
    rates = [1 / one for one in TABLE_USERS_PER_S]
    sizes = shape.n_items * WATCHES_PER_ITEM, shape.as_watches
    cpu_s = _range(rates, min(sizes), max(sizes), slowness * n_users)
    memory = _between(RUN_MIB, TABLE_MIB, run_bytes / MEBIBYTE) * MEBIBYTE
    disk = float(_ROW_BYTES * n_users * n)
    return Cost(cpu_s, (memory, memory), (disk, disk))


def _range(measured: Sequence[float], low: float, high: float, factor: float) -> tuple[float, float]:
    return factor * _between(WATCHES, measured, low), factor * _between(WATCHES, measured, high)


def _between(sizes: Sequence[float], measured: Sequence[float], size: float) -> float:
    """On the straight lines between what was measured; beyond the largest on the last of them, never falling."""
    if size <= sizes[0]:
        return measured[0]
    last = next((place for place in range(1, len(sizes)) if size <= sizes[place]), len(sizes) - 1)
    slope = (measured[last] - measured[last - 1]) / (sizes[last] - sizes[last - 1])
    return max(measured[last - 1] + slope * (size - sizes[last - 1]), 0 if size <= sizes[last] else measured[last])
