"""Categories: how much more of a candidate's categories the history holds than all do."""

import numpy as np
import pytest

from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureTables


@pytest.mark.parametrize("name", ["genres", "country"])
def test_category_lift(world: FeatureTables, asked: Candidates, columns: dict[str, np.ndarray], name: str) -> None:
    """Mean over a candidate's categories of their share in the history less that in the catalogue's watches."""
    values = {**world.items.multi_valued, "country": world.items.categorical["country"][:, None]}[name]
    n = world.items.sizes[name]

    def shares(items: np.ndarray) -> np.ndarray:
        counts = np.bincount(values[items].ravel(), minlength=n)[1:]
        return np.append(0, counts / counts.sum())

    background = shares(world.history.item_num)
    for row, (user, item) in enumerate(zip(asked.user_num, asked.item_num, strict=True)):
        lift = shares(world.history.item_num[world.history.user_num == user]) - background
        mine = values[item][values[item] > 0]
        expected = lift[mine].mean() if len(mine) else 0
        assert columns[f"category.{name}.uniform"][row] == pytest.approx(expected, rel=1e-4, abs=1e-6)
