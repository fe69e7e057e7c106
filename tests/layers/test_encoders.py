import numpy as np
import pytest

from dataset.features import FeatureColumns
from layers.backend import tf
from layers.encoders import FeatureEncoder

N_ROWS, SIZE = 4, 3  # rows: the unknown, then items 1 to 3
COLUMNS = FeatureColumns(
    categorical={"studio": np.array([0, 1, 2, 0], np.int32)},
    numeric={"year": np.array([0, -1, 0.5, 0], np.float32), "length": np.array([0, 2, 0, 0], np.float32)},
    multi_valued={"genres": np.array([[0, 0, 0], [1, 4, 0], [2, 0, 0], [0, 0, 0]], np.int32)},
    sizes={"studio": 3, "genres": 5},
)
NUMBERS = np.arange(N_ROWS, dtype=np.int32)


def encoded(encoder: FeatureEncoder, columns: FeatureColumns, numbers: np.ndarray) -> np.ndarray:
    return encoder({"id": numbers, **columns.take(numbers)}).numpy()


@pytest.fixture
def encoder() -> FeatureEncoder:
    tf.random.set_seed(0)
    return FeatureEncoder(COLUMNS, n_ids=N_ROWS, embedding_size=SIZE, name="item")


def test_a_row_is_the_sum_of_its_features(encoder: FeatureEncoder) -> None:
    tables = {name: table.numpy() for name, table in encoder.tables.items()}
    slopes = encoder.slopes.numpy()
    genres = (tables["genres"][1] + tables["genres"][4]) / 2
    expected = tables["id"][1] + tables["studio"][1] + genres - 1 * slopes[0] + 2 * slopes[1]
    found = encoded(encoder, COLUMNS, NUMBERS)
    assert found.shape == (N_ROWS, SIZE)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[1], expected, rtol=1e-5, atol=1e-7)


def test_the_unknown_and_everything_missing_add_nothing(encoder: FeatureEncoder) -> None:
    found = encoded(encoder, COLUMNS, NUMBERS)
    assert (found[0] == 0).all()
    np.testing.assert_allclose(found[3], encoder.tables["id"][3].numpy(), rtol=1e-6)


def test_padding_of_a_multi_valued_column_changes_nothing(encoder: FeatureEncoder) -> None:
    wider = FeatureColumns(
        COLUMNS.categorical, COLUMNS.numeric, {"genres": np.pad(COLUMNS.multi_valued["genres"], ((0, 0), (0, 5)))}
    )
    np.testing.assert_allclose(
        encoded(encoder, wider, NUMBERS), encoded(encoder, COLUMNS, NUMBERS), rtol=1e-5, atol=1e-7
    )


def test_a_row_alone_equals_its_row_in_a_batch(encoder: FeatureEncoder) -> None:
    batch = encoded(encoder, COLUMNS, NUMBERS[::-1])[::-1]
    for number in NUMBERS:
        alone = encoded(encoder, COLUMNS, NUMBERS[number : number + 1])
        np.testing.assert_allclose(alone[0], batch[number], rtol=1e-5, atol=1e-7)


def test_no_gradient_reaches_row_0(encoder: FeatureEncoder) -> None:
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(encoder({"id": NUMBERS, **COLUMNS.take(NUMBERS)}))
    names = list(encoder.tables)
    for name, gradient in zip(names, tape.gradient(total, [encoder.tables[name] for name in names]), strict=True):
        dense = tf.convert_to_tensor(gradient).numpy()
        assert (dense[0] == 0).all(), name
        assert (dense[1] != 0).all(), name


def test_without_ids_only_features_speak() -> None:
    encoder = FeatureEncoder(COLUMNS, n_ids=0, embedding_size=SIZE, name="user")
    assert set(encoder.tables) == {"studio", "genres"}
    found = encoder(COLUMNS.take(NUMBERS)).numpy()
    assert (found[[0, 3]] == 0).all()


def test_ids_alone_suffice() -> None:
    encoder = FeatureEncoder(FeatureColumns(), n_ids=N_ROWS, embedding_size=SIZE, name="id_only")
    assert [weight.shape.as_list() for weight in encoder.trainable_variables] == [[N_ROWS, SIZE]]
    assert encoded(encoder, FeatureColumns(), NUMBERS).shape == (N_ROWS, SIZE)


def test_every_weight_has_a_name_of_its_own(encoder: FeatureEncoder) -> None:
    names = [weight.name for weight in encoder.trainable_variables]
    assert len(set(names)) == len(names) == 4
