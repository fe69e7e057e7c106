"""Items and users that are alike."""

from pathlib import Path

import numpy as np
import pytest

from belfry import Recommender
from belfry.dataset.errors import InputError, UnknownUserError
from belfry.pipeline.serving.neighbours import Neighbourhood


@pytest.fixture(scope="module")
def recommender(tiny_run: Path) -> Recommender:
    return Recommender.load(tiny_run)


def test_cosines_of_centred_and_scaled_vectors() -> None:
    vectors = np.array([[9, 9, 9], [1, 0, 5], [-1, 0, 5], [3, 10, 5], [-3, -10, 5]], np.float32)
    members = np.arange(1, 5, dtype=np.int32)
    scaled = vectors[1:, :2] / vectors[1:, :2].std(axis=0)  # centred already; the third dimension tells nobody apart
    unit = scaled / np.linalg.norm(scaled, axis=1, keepdims=True)
    found, cosines = Neighbourhood(vectors, members).nearest(1, 10)
    assert found.tolist() == [3, 4, 2]
    np.testing.assert_allclose(cosines, [unit[0] @ unit[2], unit[0] @ unit[3], -1], rtol=1e-5)


def test_similar_items(recommender: Recommender) -> None:
    item = recommender.items.ids[3].as_py()
    found = recommender.similar_items(item, 7)
    assert [result.rank for result in found] == list(range(1, 8))
    assert item not in [result.item_id for result in found]
    similarities = [result.similarity for result in found]
    assert similarities == sorted(similarities, reverse=True)
    assert -1 <= similarities[-1] <= similarities[0] <= 1.0001
    assert found[0].title is not None
    assert len(recommender.similar_items(item, 10_000)) == len(recommender.items) - 1


def test_similar_users_have_a_history(recommender: Recommender) -> None:
    counts = recommender.features.history.seen_items.count(np.arange(len(recommender.users) + 1))
    user = recommender.users.ids[int(np.argmax(counts)) - 1].as_py()
    found = recommender.similar_users(user, 10_000)
    assert len(found) == (counts > 0).sum() - 1
    assert all(counts[recommender.users.number(result.user_id)] > 0 for result in found)


def test_refusals(recommender: Recommender) -> None:
    with pytest.raises(InputError, match="item -1 is not in the catalogue"):
        recommender.similar_items(-1)
    with pytest.raises(UnknownUserError, match="user -1 has no history"):
        recommender.similar_users(-1)
    with pytest.raises(InputError, match="n=0"):
        recommender.similar_items(recommender.items.ids[0].as_py(), 0)
