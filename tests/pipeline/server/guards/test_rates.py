"""Rates: a burst, then as fast as agreed, each client for itself."""

from belfry.pipeline.server.guards import rates
from belfry.pipeline.server.guards.rates import Rates


def test_a_burst_and_then_the_rate():
    now = [0.0]
    limits = Rates(10, lambda: now[0])
    assert [limits.take("a") for _ in range(20)] == [0.0] * 20
    assert limits.take("a") == 0.1
    assert limits.take("b") == 0
    now[0] = 1.0
    assert [limits.take("a") for _ in range(10)] == [0.0] * 10
    assert limits.take("a") > 0
    now[0] = 1_000.0
    assert [limits.take("a") > 0 for _ in range(21)] == [False] * 20 + [True]


def test_slow_rates_let_one_through():
    now = [0.0]
    limits = Rates(0.1, lambda: now[0])
    assert limits.take("a") == 0
    assert limits.take("a") == 10
    now[0] = 10.0
    assert limits.take("a") == 0


def test_clients_that_are_remembered_are_bounded(monkeypatch):
    monkeypatch.setattr(rates, "MAX_CLIENTS", 3)
    limits = Rates(1, lambda: 0.0)
    for number in range(1_000):
        limits.take(str(number))
    assert list(limits._buckets) == ["997", "998", "999"]
