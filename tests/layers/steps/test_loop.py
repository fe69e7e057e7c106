"""Steps inside a graph against the same steps taken one by one."""

import numpy as np
import pytest

from belfry.layers.backend import Tensor, keras, tf
from belfry.layers.steps.adam import Adam
from belfry.layers.steps.loop import Batch, Nest, StepLoop, Trainer, stacked
from belfry.layers.steps.noise import Dropout, normal, seeded, uniform

RATE, N_STEPS = np.float32(0.1), np.float32(20)


class Line(keras.Model):  # type: ignore[misc]
    """y = a[row] x."""

    def __init__(self, n_rows: int) -> None:
        super().__init__()
        self.slopes = self.add_weight(name="slopes", shape=(n_rows,), initializer="ones")
        self.built = True

    def loss(self, batch: Batch) -> Tensor:
        rows, x, y = batch["points"]
        return tf.reduce_mean((tf.gather(self.slopes, rows) * x - y) ** 2)


def points(n_rows: int, *, n_steps: int = 5, seed: int = 0) -> list[tuple[np.ndarray, ...]]:
    """Steps of unequal length."""
    generator = np.random.default_rng(seed)
    sizes = [int(generator.integers(1, 9)) for _ in range(n_steps)]
    return [
        (generator.integers(0, n_rows, n).astype(np.int32), *generator.random((2, n)).astype(np.float32)) for n in sizes
    ]


def line_trainer(n_rows: int) -> Trainer:
    def losses(network: Line, batch: Batch, shared: Nest) -> tuple[Tensor, Tensor]:
        loss = network.loss(batch)
        return loss, loss * shared

    return Trainer(Line(n_rows), losses)


def train(trainer: Trainer, n_rows: int, steps: list[tuple[np.ndarray, ...]]) -> tuple[np.ndarray, np.ndarray]:
    network = Line(n_rows)
    trainer.start(network, rate=RATE, n_steps=N_STEPS, shared=np.float32(1))
    found = trainer.run({"points": stacked(steps)}, seed=0)
    trainer.copy_to(network)
    return found, network.slopes.numpy()


def test_steps_are_those_of_keras_one_by_one() -> None:
    steps = points(7)
    losses, slopes = train(line_trainer(7), 7, steps)
    network = Line(7)
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(float(RATE), int(N_STEPS)))
    for step, loss in zip(steps, losses, strict=True):
        with tf.GradientTape() as tape:
            expected = network.loss({"points": step})
        optimizer.apply_gradients([(tf.convert_to_tensor(tape.gradient(expected, network.slopes)), network.slopes)])
        assert loss == pytest.approx(float(expected), rel=1e-5)
    np.testing.assert_allclose(slopes, network.slopes.numpy(), rtol=1e-5)


def test_one_graph_serves_one_training_after_another() -> None:
    trainer = line_trainer(7)
    first = train(trainer, 7, points(7))
    train(trainer, 7, points(7, n_steps=3, seed=1))
    again = train(trainer, 7, points(7))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert trainer._loop._run.experimental_get_tracing_count() == 1


def test_moments_that_were_let_go_of_are_there_again() -> None:
    trainer = line_trainer(7)
    first = train(trainer, 7, points(7))
    moments = [moment for both in trainer._optimizer._moments.values() for moment in both]
    assert [moment.numpy().size for moment in moments] == [7, 7]
    trainer.release()
    assert [moment.numpy().size for moment in moments] == [0, 0]
    for one, other in zip(train(trainer, 7, points(7)), first, strict=True):
        np.testing.assert_array_equal(one, other)


def test_of_a_long_weight_only_rows_with_a_gradient_move(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the first step each of them as under the dense rule, however often it comes; the others stay in all steps."""
    steps = points(50, n_steps=4)
    dense = train(line_trainer(50), 50, steps[:1])[1]
    monkeypatch.setattr("belfry.layers.steps.adam._DENSE_ROWS", 10)
    np.testing.assert_allclose(train(line_trainer(50), 50, steps[:1])[1], dense, rtol=1e-5)
    slopes = train(line_trainer(50), 50, steps)[1]
    touched = np.unique(np.concatenate([rows for rows, _, _ in steps]))
    assert (np.delete(slopes, touched) == 1).all()
    assert (slopes[touched] != 1).all()


def test_a_weight_without_a_gradient_stays() -> None:
    weight = tf.Variable([1.0, 2.0])
    Adam([weight]).apply([None], [weight], RATE, N_STEPS)
    assert weight.numpy().tolist() == [1, 2]


def test_noise_follows_from_the_seed_and_the_step() -> None:
    def draw(batch: Batch, shared: Nest) -> Tensor:
        ones = tf.ones([100])
        return tf.stack([uniform([100]), normal([100]), Dropout(0.5)(ones, training=True)])

    steps = StepLoop(draw)
    block = {"points": stacked([(np.zeros(1, np.int32),)] * 3)}
    one, same, other = (steps(block, (), seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).mean() > 0.5
    assert (one[0] != one[1]).mean() > 0.5
    shares, normals, dropped = one.reshape(3, 3, 100).transpose(1, 0, 2).reshape(3, -1)
    assert abs(shares.mean() - 0.5) < 0.1
    assert abs(normals.std() - 1) < 0.2
    assert set(dropped.tolist()) == {0, 2}


def test_draws_of_one_step_differ() -> None:
    with seeded(tf.constant([0, 0])):
        assert (uniform([20]).numpy() != uniform([20]).numpy()).all()
    assert (uniform([20]).numpy() != uniform([20]).numpy()).any()  # outside of a step: TensorFlow's own
