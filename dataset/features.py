"""FeatureTables: what models may know of users and items at one time: one history and nothing later."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import scipy  # its parts load when they are used

from belfry.dataset.arrays import Mask
from belfry.dataset.concurrency.cached import cached_property
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import Numbers

FloatColumn: TypeAlias = npt.NDArray[np.float32]
ColumnType = TypeVar("ColumnType", np.int32, np.float32)
Value = TypeVar("Value")
Column: TypeAlias = npt.NDArray[np.int32] | npt.NDArray[np.float32]


@dataclass(frozen=True)
class FeatureColumns:
    """Features of users (or items), row i belonging to number i; row 0 is the unknown's.

    Category 0 means unknown or missing. Numeric columns are standardised; a missing value is 0, the mean. A column
    holds content, which is known before a user (or item) has any event, or usage, which events make: a count of
    visits, the last login.
    """

    categorical: dict[str, Numbers] = field(default_factory=dict)  # name -> [n + 1] category numbers
    numeric: dict[str, FloatColumn] = field(default_factory=dict)  # name -> [n + 1]
    multi_valued: dict[str, Numbers] = field(default_factory=dict)  # name -> [n + 1, n_values], padded with 0
    sizes: dict[str, int] = field(default_factory=dict)  # rows that an embedding of a column's categories needs
    usage: frozenset[str] = frozenset()  # names of the usage columns
    tenths: dict[str, str] = field(default_factory=dict)  # categorical column -> the numeric one that it is cut from
    vectors: dict[str, FloatColumn] = field(default_factory=dict)  # name -> [n + 1, dim], zeros where there is none

    @property
    def names(self) -> tuple[str, ...]:
        """Of all columns, each once: the categorical, the numeric, the multi-valued ones, then the vectors."""
        return (*self.categorical, *self.numeric, *self.multi_valued, *self.vectors)

    def label(self, name: str) -> str:
        """What people call a column: tenths go by the name of the number that they are cut from."""
        return self.tenths.get(name, name)

    @cached_property
    def content(self) -> "FeatureColumns":
        """The content columns alone: all that is known of a user, or an item, without events."""
        if not self.usage:
            return self

        def keep(columns: dict[str, Value]) -> dict[str, Value]:
            return {name: value for name, value in columns.items() if name not in self.usage}

        kept = keep(self.categorical), keep(self.numeric), keep(self.multi_valued), keep(self.sizes)
        return FeatureColumns(*kept, tenths=keep(self.tenths), vectors=keep(self.vectors))

    def hide_usage(self, has_events: Mask) -> "FeatureColumns":
        """The same, with usage columns missing for numbers without events; `has_events` [n + 1]."""
        if not self.usage:
            return self

        def hide(columns: dict[str, npt.NDArray[ColumnType]]) -> dict[str, npt.NDArray[ColumnType]]:
            columns = dict(columns)
            for name in self.usage & columns.keys():
                columns[name] = columns[name].copy()
                columns[name][~has_events] = 0
            return columns

        hidden = hide(self.categorical), hide(self.numeric), hide(self.multi_valued)
        return FeatureColumns(*hidden, self.sizes, self.usage, self.tenths, hide(self.vectors))

    def replaced(self, others: "FeatureColumns", names: Iterable[str]) -> "FeatureColumns":
        """The same, with the columns of `others` in the place of those that go by one of `names`."""
        wanted = set(names)

        def mixed(own: dict[str, Value], new: dict[str, Value]) -> dict[str, Value]:
            return {name: new[name] if self.label(name) in wanted else value for name, value in own.items()}

        return replace(
            self,
            categorical=mixed(self.categorical, others.categorical),
            numeric=mixed(self.numeric, others.numeric),
            multi_valued=mixed(self.multi_valued, others.multi_valued),
            vectors=mixed(self.vectors, others.vectors),
        )

    @cached_property
    def input_names(self) -> dict[str, str]:
        """What a graph calls each column: its place, for what a column is called may be no name inside a graph."""
        return {name: f"column_{place}" for place, name in enumerate(self.names)}

    def inputs(self, numbers: Numbers) -> dict[str, Column]:
        """By `input_names`, the rows of `numbers` in every column: [n], [n, n_values] of lists, [n, dim] of vectors."""
        everything: dict[str, Column] = {**self.categorical, **self.numeric, **self.multi_valued, **self.vectors}
        return {called: everything[name][numbers] for name, called in self.input_names.items()}

    @cached_property
    def matrix(self) -> "scipy.sparse.csr_matrix[np.float32]":
        """[n + 1, n_features] `categories`, each numeric column, each vector; without any column, no rows either."""
        blocks = [self.categories] if self.category_sizes else []
        blocks += [scipy.sparse.csr_matrix(values[:, np.newaxis]) for values in self.numeric.values()]
        blocks += [scipy.sparse.csr_matrix(values) for values in self.vectors.values()]
        return scipy.sparse.csr_matrix(scipy.sparse.hstack(blocks) if blocks else np.zeros((0, 0), np.float32))

    @property
    def category_sizes(self) -> list[int]:
        """How many categories, without 0, each categorical or multi-valued column has, in the order of `categories`."""
        return [self.sizes[name] - 1 for name in (*self.categorical, *self.multi_valued)]

    @cached_property
    def categories(self) -> "scipy.sparse.csr_matrix[np.float32]":
        """[n + 1, n_categories] one column for each category but 0; without any column, no rows either.

        A row holds 1 at its categories, and 1 / n at each of its n values of a multi-valued column.
        """
        blocks = []
        for name, values in (*self.categorical.items(), *self.multi_valued.items()):
            numbers = values.reshape(len(values), -1)
            row, column = np.nonzero(numbers)
            share = (1 / np.maximum((numbers > 0).sum(axis=1), 1)).astype(np.float32)
            cells = (share[row], (row, numbers[row, column] - 1))
            blocks.append(scipy.sparse.csr_matrix(cells, shape=(len(numbers), self.sizes[name] - 1)))
        return scipy.sparse.csr_matrix(scipy.sparse.hstack(blocks) if blocks else np.zeros((0, 0), np.float32))

    def to_arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """As named arrays, for `save_arrays`; `from_arrays` is the way back."""
        arrays: dict[str, npt.NDArray[np.generic]] = {}
        for kind in ("categorical", "numeric", "multi_valued", "vectors"):
            arrays |= {f"{kind}/{name}": values for name, values in getattr(self, kind).items()}
        arrays |= {f"size/{name}": np.array(size) for name, size in self.sizes.items()}
        place = {name: number for number, name in enumerate(self.numeric)}
        arrays |= {f"tenths/{name}": np.array(place[number]) for name, number in self.tenths.items()}
        return arrays | {f"usage/{name}": np.array(True) for name in sorted(self.usage)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[np.generic]]) -> "FeatureColumns":
        def of_kind(kind: str) -> dict[str, npt.NDArray[np.generic]]:
            return {key.partition("/")[2]: value for key, value in arrays.items() if key.startswith(f"{kind}/")}

        numeric = of_kind("numeric")
        return cls(
            categorical=of_kind("categorical"),  # type: ignore[arg-type]
            numeric=numeric,  # type: ignore[arg-type]
            multi_valued=of_kind("multi_valued"),  # type: ignore[arg-type]
            sizes={name: int(size) for name, size in of_kind("size").items()},
            usage=frozenset(of_kind("usage")),
            tenths={name: list(numeric)[int(place)] for name, place in of_kind("tenths").items()},
            vectors=of_kind("vectors"),  # type: ignore[arg-type]
        )


@dataclass(frozen=True)
class FeatureTables:
    """One history and the features beside it: all that a model may know at one time."""

    history: Interactions
    users: FeatureColumns
    items: FeatureColumns
    titles: Numbers | None = None  # [n_items + 1] number of each item's title, for models that know items by title
    asked_s: int | None = None  # UTC seconds, where these tables speak of another time than that of the newest event

    @cached_property
    def now_s(self) -> int:
        """UTC seconds of the newest event, which is the time these tables speak of; 0 without times."""
        if self.asked_s is not None:
            return self.asked_s
        times = self.history.timestamp_s
        return 0 if times is None or not len(times) else int(times.max())
