"""Who is judged."""

import pyarrow as pa

from belfry.dataset.interactions import Interactions
from belfry.dataset.split import split_time
from benchmarks.judging import judged_users


def test_those_judged_have_test_rows_and_enough_history() -> None:
    events = {"user_id": [1, 1, 2, 2, 1, 3], "item_id": [*range(6)], "timestamp_s": [0, 1, 2, 9, 9, 9]}
    split = split_time(Interactions.from_table(pa.table(events)), share=0.5)

    assert judged_users(split).tolist() == [1, 2]
    assert judged_users(split, min_history=2).tolist() == [1]
    assert judged_users(split, min_history=0).tolist() == [1, 2, 3]
