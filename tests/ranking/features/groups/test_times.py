"""Times: counts and lifts of watches in the bins around the request time, ages in days."""

from dataclasses import replace

import numpy as np
import pytest

from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureTables
from belfry.ranking.features.groups.times import DAY_S, WINDOWS, WatchTimes
from tests.ranking.features.world import CONFIG, matrix_of, naive_near


@pytest.mark.parametrize("request_time", ["user_last", "history_end"])
@pytest.mark.parametrize("time_bins", [1, 30, 256])
def test_windows_are_counts_of_events_in_bins_around_the_request(
    world: FeatureTables, asked: Candidates, request_time: str, time_bins: int
) -> None:
    """256 bins for 300 events: some bins are empty, as their neighbours begin at the same time."""
    columns = matrix_of(world, asked, CONFIG.model_copy(update={"request_time": request_time, "time_bins": time_bins}))
    history = world.history
    assert history.timestamp_s is not None
    for place, user in enumerate(asked.users):
        rows = slice(*asked.starts[place : place + 2])
        last_s = int(history.timestamp_s[history.user_num == user].max())
        request_s = last_s if request_time == "user_last" else world.now_s
        items = asked.item_num[rows]
        for bins in WINDOWS:
            near, n_all = naive_near(world, items, request_s, bins, time_bins)
            np.testing.assert_allclose(columns[f"near_{bins}"][rows], np.log1p(near), rtol=1e-6)
            share = (np.bincount(history.item_num)[items] + 1) / (len(history) + 21)
            expected = np.log((near + 1) / (n_all + 21) / share)
            np.testing.assert_allclose(columns[f"lift_{bins}"][rows], expected, rtol=1e-4, atol=1e-5)
        first_s = np.array([history.timestamp_s[history.item_num == item].min() for item in items])
        age = (request_s - first_s) / DAY_S
        np.testing.assert_allclose(columns["item_age"][rows], np.sign(age) * np.log1p(abs(age)), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(columns["idle_days"][rows], np.log1p((request_s - last_s) / DAY_S), rtol=1e-5)


def test_without_times_there_is_no_such_group(world: FeatureTables) -> None:
    assert not WatchTimes.can_fit(replace(world, history=replace(world.history, timestamp_s=None)), CONFIG)
