"""A job in steps: how far the whole is, and where its time went."""

import pytest

from belfry.pipeline.progress import PARTS, Work


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def spend(work: Work, clock: Clock, kind: str, seconds: float, *, reports: bool = False) -> None:
    """A step of so many seconds, a look at it each second."""
    with work.step(kind):
        for done in range(round(seconds)):
            clock.now_s += 1
            if reports:
                work.report("inner", done + 1, round(seconds))
            work.position()


def test_the_first_part_tells_how_long_the_others_take(clock):
    work = Work(clock=clock)
    work.expect("fit", 4)
    assert work.position().left_s is None
    spend(work, clock, "fit", 10)
    assert work.position().left_s == pytest.approx(30)
    spend(work, clock, "fit", 10)
    spend(work, clock, "fit", 10)
    assert work.position().left_s == pytest.approx(10)
    with work.step("fit"):
        clock.now_s += 4
        assert work.position().left_s == pytest.approx(6)
        clock.now_s += 100
        assert work.position().left_s == pytest.approx(1)
    assert work.position().share == 1
    assert work.position().left_s == 0


def test_what_a_step_tells_counts(clock):
    work = Work(clock=clock)
    work.expect("fit", 2, weight=2)
    work.expect("rank", weight=4)
    with work.step("fit"):
        clock.now_s += 5
        work.report("epochs", 1, 10)
        assert work.position().left_s == pytest.approx(45 + 50 + 100)


@pytest.mark.parametrize("rank_s", [5, 40, 400])
def test_it_never_goes_back_and_arrives(clock, rank_s):
    told: list[tuple[str, int, int]] = []
    work = Work(lambda *news: told.append(news), clock=clock)
    work.expect("fit", 3, weight=4)
    work.expect("rank", weight=1)
    spend(work, clock, "read", 3)
    for seconds in (20, 12, 30):
        spend(work, clock, "fit", seconds, reports=True)
    spend(work, clock, "weigh", 2)
    spend(work, clock, "rank", rank_s)
    shares = [done for _, done, _ in told]
    assert shares == sorted(shares)
    assert told[0] == ("read", 0, PARTS)
    assert told[-1] == ("rank", PARTS, PARTS)


def test_it_moves_evenly_where_steps_take_what_was_expected(clock):
    work = Work(clock=clock)
    work.expect("fit", 10)
    for step in range(10):
        spend(work, clock, "fit", 10, reports=True)
        assert work.position().share == pytest.approx((step + 1) / 10, abs=0.02)


def test_a_step_that_fails_is_counted_and_the_failure_passes():
    work = Work()
    with pytest.raises(ValueError, match="no"), work.step("fit"):
        raise ValueError("no")
    assert list(work.stopwatch.by_stage()) == ["fit", "the rest"]
