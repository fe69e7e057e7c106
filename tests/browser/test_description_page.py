"""The description of hostile tables in a real browser."""

import pyarrow as pa
import pytest

from belfry.pipeline.jobs.look.describe import describe_tables, write_description
from tests.ab_tables import make_ab_tables
from tests.browser.hostile import HOSTILE, HOSTILE_GENRE


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """The page of tables whose titles, genres, groups, columns and name are hostile."""
    tables = make_ab_tables(title="{}")
    titles = [HOSTILE[item % len(HOSTILE)].format(item) for item in range(len(tables.items))]
    items = tables.items.set_column(1, "title", [titles])
    genres = [[HOSTILE_GENRE.format(genre) for genre in row] for row in items["genres"].to_pylist()]
    items = items.set_column(2, HOSTILE[0], [genres]).append_column("year", pa.array(range(1930, 2010)))
    groups = [HOSTILE[place % 2] for place in range(len(tables.users))]
    found = describe_tables(tables.train, items=items, users=tables.users.set_column(1, HOSTILE[1], [groups]))
    assert not found.errors
    path = tmp_path_factory.mktemp("description") / "page.html"
    write_description(found, path)
    return path


def test_it_draws_without_a_word_on_the_console_or_the_network(open_file, path):
    page, said, asked = open_file(path)
    assert said == []
    assert asked == [path.as_uri()]
    charts = page.locator(".chart")
    assert charts.count() >= 8
    assert page.locator(".chart svg").count() == charts.count()


def test_hostile_text_runs_nothing_and_is_shown_as_it_is(open_file, path):
    page, said, _ = open_file(path)
    page.locator("#chart-values-0 .mark-rect path").first.hover()
    page.wait_for_timeout(300)
    assert page.evaluate("() => window.hacked") is None
    assert said == []
    assert page.locator("main img, main script, main figure b").count() == 0
    shown = page.locator("main").inner_text()
    assert "<script>window.hacked = 1</script>" in shown
    assert "{{ 7 * 7 }}" in shown


@pytest.mark.parametrize(("width", "theme"), [(1200, "light"), (1200, "dark"), (360, "light")])
def test_axe_finds_nothing_at_any_width_and_in_any_theme(open_file, path, check_access, width, theme):
    page, _, _ = open_file(path, width=width, theme=theme)
    check_access(page, width)


def test_the_first_screen_says_how_much_there_is_and_what_fits(open_file, path):
    page, _, _ = open_file(path)
    for selector in (".tiles", "#verdict .badge", ".verdict .facts > div"):
        box = page.locator(selector).first.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < 900, selector


def test_it_prints(open_file, path, tmp_path):
    page, _, _ = open_file(path)
    page.pdf(path=tmp_path / "page.pdf", format="A4")
    assert (tmp_path / "page.pdf").stat().st_size > 50_000
