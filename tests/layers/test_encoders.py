from dataclasses import replace

import numpy as np
import pytest

from belfry.dataset.features import FeatureColumns
from belfry.layers.backend import tf
from belfry.layers.encoders import ColumnShapes, FeatureEncoder
from belfry.layers.towers.item_encoder import ItemEncoder, item_inputs

N_ROWS, SIZE = 4, 3  # rows: the unknown, then numbers 1 to 3
COLUMNS = FeatureColumns(
    categorical={"studio": np.array([0, 1, 2, 0], np.int32)},
    numeric={"year": np.array([0, -1, 0.5, 0], np.float32), "length": np.array([0, 2, 0, 0], np.float32)},
    multi_valued={"genres": np.array([[0, 0, 0], [1, 4, 0], [2, 0, 0], [0, 0, 0]], np.int32)},
    sizes={"studio": 3, "genres": 5},
    vectors={"look": np.array([[0, 0], [3, -1], [0.5, 0], [0, 0]], np.float32)},
)
NUMBERS = np.arange(N_ROWS, dtype=np.int32)


class Dense:
    """The encoder of users, which an ONNX graph can hold."""

    def make(self) -> FeatureEncoder:
        return FeatureEncoder(ColumnShapes.of(COLUMNS), embedding_size=SIZE, name="user")

    def encode(self, encoder: FeatureEncoder, columns: FeatureColumns, numbers: np.ndarray) -> np.ndarray:
        return encoder(columns.inputs(numbers)).numpy()

    def expected_row_1(self, encoder: FeatureEncoder) -> np.ndarray:
        tables, slopes = {name: table.numpy() for name, table in encoder.tables.items()}, encoder.slopes.numpy()
        studio, genre = (tables[COLUMNS.input_names[name]] for name in ("studio", "genres"))
        look = encoder.projections[COLUMNS.input_names["look"]].numpy()
        genres = (genre[1] + genre[4]) / 2
        return studio[1] + genres - 1 * slopes[0] + 2 * slopes[1] + 3 * look[0] - 1 * look[1]


class Sparse:
    """The encoder of items."""

    def make(self) -> ItemEncoder:
        return ItemEncoder(n_ids=N_ROWS, n_features=10, embedding_size=SIZE, name="item")

    def encode(self, encoder: ItemEncoder, columns: FeatureColumns, numbers: np.ndarray) -> np.ndarray:
        return encoder(item_inputs(numbers, columns)).numpy()

    def expected_row_1(self, encoder: ItemEncoder) -> np.ndarray:
        slopes = encoder.slopes.numpy()  # two studios, four genres, year, length, two of a look
        genres = (slopes[2 + 0] + slopes[2 + 3]) / 2
        return (
            encoder.ids.numpy()[1] + slopes[0] + genres - 1 * slopes[6] + 2 * slopes[7] + 3 * slopes[8] - 1 * slopes[9]
        )


@pytest.mark.parametrize("kind", [Dense(), Sparse()])
class TestBothEncoders:
    def test_a_row_is_the_sum_of_its_features(self, kind: Dense | Sparse) -> None:
        encoder = kind.make()
        found = kind.encode(encoder, COLUMNS, NUMBERS)
        assert found.shape == (N_ROWS, SIZE)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found[1], kind.expected_row_1(encoder), rtol=1e-5, atol=1e-7)

    def test_the_unknown_adds_nothing(self, kind: Dense | Sparse) -> None:
        assert (kind.encode(kind.make(), COLUMNS, NUMBERS)[0] == 0).all()

    def test_padding_of_a_multi_valued_column_changes_nothing(self, kind: Dense | Sparse) -> None:
        genres = np.pad(COLUMNS.multi_valued["genres"], ((0, 0), (0, 5)))
        wider = replace(COLUMNS, multi_valued={"genres": genres})
        encoder = kind.make()
        np.testing.assert_allclose(
            kind.encode(encoder, wider, NUMBERS), kind.encode(encoder, COLUMNS, NUMBERS), rtol=1e-5, atol=1e-7
        )

    def test_a_row_alone_equals_its_row_in_a_batch(self, kind: Dense | Sparse) -> None:
        encoder = kind.make()
        batch = kind.encode(encoder, COLUMNS, NUMBERS[::-1])[::-1]
        for number in NUMBERS:
            alone = kind.encode(encoder, COLUMNS, NUMBERS[number : number + 1])
            np.testing.assert_allclose(alone[0], batch[number], rtol=1e-5, atol=1e-7)

    def test_every_weight_has_a_name_of_its_own(self, kind: Dense | Sparse) -> None:
        names = [weight.name for weight in kind.make().trainable_variables]
        assert len(set(names)) == len(names) > 1


def test_no_gradient_reaches_row_0_of_a_category() -> None:
    encoder = Dense().make()
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(encoder(COLUMNS.inputs(NUMBERS)))
    names = list(encoder.tables)
    for name, gradient in zip(names, tape.gradient(total, [encoder.tables[name] for name in names]), strict=True):
        dense = tf.convert_to_tensor(gradient).numpy()
        assert (dense[0] == 0).all(), name
        assert (dense[1] != 0).all(), name


def test_the_gradient_of_a_feature_is_the_sum_over_its_items() -> None:
    encoder = Sparse().make()
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(encoder(item_inputs(NUMBERS, COLUMNS)))
    ids, slopes = (tf.convert_to_tensor(found).numpy() for found in tape.gradient(total, [encoder.ids, encoder.slopes]))
    assert ids[:, 0].tolist() == [0, 1, 1, 1]
    np.testing.assert_allclose(slopes[:, 0], COLUMNS.matrix.toarray().sum(axis=0), rtol=1e-6)


def test_an_item_without_an_id_is_known_by_its_features() -> None:
    encoder = Sparse().make()
    inputs = item_inputs(NUMBERS, COLUMNS)
    unknown = encoder(inputs._replace(ids=tf.zeros_like(inputs.ids))).numpy()
    np.testing.assert_allclose(
        unknown, encoder(inputs).numpy() - encoder.ids.numpy() * (NUMBERS > 0)[:, None], atol=1e-6
    )


def test_ids_alone_suffice() -> None:
    encoder = ItemEncoder(n_ids=N_ROWS, n_features=0, embedding_size=SIZE, name="id_only")
    assert [weight.shape.as_list() for weight in encoder.trainable_variables] == [[N_ROWS, SIZE]]
    assert encoder(item_inputs(NUMBERS, FeatureColumns())).shape == (N_ROWS, SIZE)
