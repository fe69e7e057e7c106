"""Tables as training takes them: what it says of repeats, and settings that contradict."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from belfry.dataset.errors import InputError
from belfry.dataset.sources.tabular import read_tables
from belfry.pipeline.jobs.training_data import prepare_tables


def watches() -> pd.DataFrame:
    """Half of all pairs of 12 users and 15 items."""
    cells = np.random.default_rng(0).permutation(12 * 15)[:90]
    return pd.DataFrame({"user_id": cells // 15, "item_id": cells % 15})


def again_and_again(*, timed: bool) -> pa.Table:
    """Each event three times, a day apart."""
    frame = watches()
    table = {name: np.tile(frame[name], 3) for name in frame}
    if timed:
        table["timestamp_s"] = 1_600_000_000 + 86_400 * np.repeat(np.arange(3), len(frame))
    return pa.table(table)


@pytest.mark.parametrize("timed", [True, False])
def test_where_most_events_are_repeats_a_line_says_so(timed: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Without times they go, unless lists may hold them; the line counts them all the same."""
    tables = read_tables(again_and_again(timed=timed))
    data, _, _ = prepare_tables(tables, "default", None, ())
    assert len(data.interactions) == (270 if timed else 90)
    assert "67% of the events are of an item that their user had before" in caplog.text
    assert "--repeats allow" in caplog.text
    caplog.clear()
    for repeats in ("allow", "only"):
        data, config, _ = prepare_tables(tables, "default", None, (), repeats)
        assert (len(data.interactions), config.repeats, config.pair_features.repeats) == (270, repeats, True)
        assert list(config.named_sources)[-1] == "history"
    assert "had before" not in caplog.text
    prepare_tables(read_tables(watches()), "default", None, ())
    assert "had before" not in caplog.text


def test_repeats_and_settings_may_not_contradict() -> None:
    tables = read_tables(watches())
    with pytest.raises(InputError, match="repeats='allow' contradicts the setting 'repeats=only'"):
        prepare_tables(tables, "default", None, ["repeats=only"], "allow")
    with pytest.raises(InputError, match="repeats='some': wanted 'exclude', 'allow' or 'only'"):
        prepare_tables(tables, "default", None, [], "some")
    assert prepare_tables(tables, "default", None, ["repeats=only"], "only")[1].repeats == "only"
    assert prepare_tables(tables, "default", None, [])[1].repeats == "exclude"
    kept = prepare_tables(
        read_tables(again_and_again(timed=False)), "default", None, ["data.repeated_event=drop"], "only"
    )
    assert len(kept[0].interactions) == 90
