"""Encoders of windows: what a position may read, and what padding may change (nothing)."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from belfry.layers.backend import keras, tf
from belfry.layers.sequences import (
    AGE_EDGES_S,
    AttentionEncoder,
    Calendar,
    Normalization,
    RecurrentEncoder,
    ages,
    buckets,
)

SIZE, LENGTH, HOUR_S = 8, 6, 3600


def attention() -> AttentionEncoder:
    return AttentionEncoder(length=LENGTH, n_blocks=2, n_heads=2, dropout=0.5, reads_time=True)


ENCODERS = pytest.mark.parametrize(
    "make",
    [attention, lambda: RecurrentEncoder(SIZE, dropout=0.5, reads_time=True)],
    ids=["attention", "recurrent"],
)


def window(n_events: int, seed: int = 0) -> dict[str, np.ndarray]:
    """One window whose newest `n_events` positions hold events, ever closer, each asked when the next one comes."""
    generator = np.random.default_rng(seed)
    times = HOUR_S * np.array([[0, 2000, 3000, 3400, 3490, 3499, 3500]], np.int64)
    return {
        "steps": generator.normal(size=(1, LENGTH, SIZE)).astype(np.float32),
        "is_event": (np.arange(LENGTH) >= LENGTH - n_events)[None],
        "time_s": times[:, :-1],
        "request_s": times[:, 1:],
        "start": np.full((1, SIZE), 0.3, np.float32),
    }


def with_random_weights(encoder: Any) -> Any:
    """The biases on distance and age start at 0, where they would hide what they do."""
    keras.utils.set_random_seed(3)
    encoder(**window(LENGTH), training=False)
    for weight in encoder.trainable_variables:
        weight.assign(tf.random.normal(weight.shape, stddev=0.5))
    return encoder


def encoded(encoder: Any, inputs: dict[str, np.ndarray]) -> np.ndarray:
    return np.asarray(encoder(**inputs, training=False))[0]


@ENCODERS
def test_a_later_event_changes_nothing_before_it(make: Callable[[], Any]) -> None:
    encoder, inputs = with_random_weights(make()), window(4)
    before = encoded(encoder, inputs)
    for place in range(2, LENGTH):
        changed = {name: values.copy() for name, values in inputs.items()}
        changed["steps"][0, place] *= -1
        after = encoded(encoder, changed)
        np.testing.assert_array_equal(after[:place], before[:place])
        assert not np.allclose(after[place:], before[place:], atol=1e-3)


@ENCODERS
def test_more_padding_changes_nothing(make: Callable[[], Any]) -> None:
    encoder, inputs = with_random_weights(make()), window(4)
    shorter = {name: values if values.ndim < 2 or name == "start" else values[:, 1:] for name, values in inputs.items()}
    np.testing.assert_allclose(encoded(encoder, shorter), encoded(encoder, inputs)[1:], atol=1e-5)


@ENCODERS
def test_values_in_padding_are_not_read(make: Callable[[], Any]) -> None:
    encoder, inputs = with_random_weights(make()), window(3)
    before = encoded(encoder, inputs)
    inputs["steps"][0, :3] = 7
    inputs["time_s"] = np.where(inputs["is_event"], inputs["time_s"], 0)
    np.testing.assert_allclose(encoded(encoder, inputs)[3:], before[3:], atol=1e-6)


@ENCODERS
def test_an_empty_window_reads_its_start_alone(make: Callable[[], Any]) -> None:
    encoder, inputs = with_random_weights(make()), window(0)
    before = encoded(encoder, inputs)
    assert np.ptp(before, axis=0).max() < 1e-5
    inputs["start"] = inputs["start"] * np.linspace(-1, 1, SIZE, dtype=np.float32)
    assert not np.allclose(encoded(encoder, inputs), before, atol=1e-3)


@ENCODERS
def test_the_request_time_changes_its_position_alone(make: Callable[[], Any]) -> None:
    encoder, inputs = with_random_weights(make()), window(4)
    before = encoded(encoder, inputs)
    inputs["request_s"] = inputs["request_s"] + np.array([[0, 0, 0, 0, 0, 90 * 24 * HOUR_S]])
    after = encoded(encoder, inputs)
    np.testing.assert_array_equal(after[:-1], before[:-1])
    assert not np.allclose(after[-1], before[-1], atol=1e-5)


def test_untrained_attention_gives_the_event_itself() -> None:
    """Both branches of a block start at 0, so that towers start from the neighbours of the newest item."""
    inputs = window(4)
    outputs = encoded(attention(), inputs)
    np.testing.assert_allclose(outputs[-4:], Normalization()(inputs["steps"])[0, -4:], atol=1e-6)


def test_attention_reads_order_through_its_bias_on_distance() -> None:
    """Without the bias a position reads a set; with a large one it reads the event at that distance alone."""
    encoder = AttentionEncoder(length=LENGTH, n_blocks=1, n_heads=2, dropout=0.0, reads_time=False)
    inputs = window(LENGTH)
    reordered = inputs | {"steps": inputs["steps"][:, [4, 3, 1, 0, 2, 5]]}
    of_pair = inputs | {"is_event": np.arange(LENGTH)[None] >= LENGTH - 2}
    distance = with_random_weights(encoder).blocks[0].distance
    distance.assign(tf.zeros_like(distance))
    np.testing.assert_allclose(encoded(encoder, reordered)[-1], encoded(encoder, inputs)[-1], atol=1e-5)
    distance.assign(tf.constant([[0.0, 100.0, 0, 0, 0, 0]] * 2))
    np.testing.assert_allclose(encoded(encoder, of_pair)[-1], encoded(encoder, inputs)[-1], atol=1e-5)
    assert not np.allclose(encoded(encoder, reordered)[-1], encoded(encoder, inputs)[-1], atol=1e-3)


def test_one_recurrent_step_by_hand() -> None:
    """The equations of the unit in NumPy."""
    encoder, inputs = with_random_weights(RecurrentEncoder(SIZE, dropout=0.0, reads_time=False)), window(2)
    state = inputs["start"][0].astype(np.float64)

    def sigmoid(values: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-values))

    for step in inputs["steps"][0, -2:]:
        (new, new_bias), (old, old_bias) = (
            [weight.numpy() for weight in layer.weights] for layer in (encoder.inputs, encoder.recurrent)
        )
        update, reset, fresh = np.split(step @ new + new_bias, 3)
        kept_update, kept_reset, kept_fresh = np.split(state @ old + old_bias, 3)
        share = sigmoid(update + kept_update)
        state = share * state + (1 - share) * np.tanh(fresh + sigmoid(reset + kept_reset) * kept_fresh)
    kernel, bias = (weight.numpy() for weight in encoder.output_layer.weights)
    np.testing.assert_allclose(encoded(encoder, inputs)[-1], state @ kernel + bias, atol=1e-5)


def test_normalization_is_that_of_keras() -> None:
    values = np.random.default_rng(0).normal(3, 5, (4, 7, SIZE)).astype(np.float32)
    theirs = keras.layers.LayerNormalization(epsilon=1e-6)
    np.testing.assert_allclose(Normalization()(values), theirs(values), atol=1e-5)


def test_ages_rise_at_their_edges() -> None:
    now = np.int64(2_000_000_000)
    for bucket, edge in enumerate(AGE_EDGES_S):
        since = now - np.array([edge - 1, edge], np.int64)
        assert ages(since, now).numpy().tolist() == [bucket, bucket + 1]
    assert ages(now + 5, now).numpy() == 0  # an event after the request: as fresh as can be


def test_buckets_count_the_edges_reached() -> None:
    assert buckets(np.array([[1, 2], [3, 9]]), tf.constant([2, 3], tf.int64)).numpy().tolist() == [[0, 1], [2, 2]]


def test_the_calendar_knows_hour_and_weekday() -> None:
    calendar = Calendar(4, name="calendar")
    monday = 1_704_067_200  # 2024-01-01 00:00 UTC
    times_s = np.array([monday, monday + 7 * 24 * HOUR_S + 3599, monday + HOUR_S, monday + 24 * HOUR_S], np.int64)
    first, a_week_later, an_hour_later, a_day_later = calendar(times_s).numpy()
    np.testing.assert_array_equal(first, a_week_later)
    np.testing.assert_allclose(first, calendar.hours.embeddings[0] + calendar.weekdays.embeddings[0], atol=1e-7)
    np.testing.assert_allclose(
        an_hour_later - first, calendar.hours.embeddings[1] - calendar.hours.embeddings[0], atol=1e-6
    )
    np.testing.assert_allclose(
        a_day_later - first, calendar.weekdays.embeddings[1] - calendar.weekdays.embeddings[0], atol=1e-6
    )
