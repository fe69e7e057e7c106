"""The report in a real browser: draws, sorts, hovers, prints, is accessible, and runs nothing of anybody's titles."""

import re
from pathlib import Path

import pytest

from belfry import compare
from tests.ab_tables import make_ab_tables
from tests.browser.hostile import HOSTILE, HOSTILE_GENRE


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Folder of a report of three systems whose titles, names, genres and groups are hostile."""
    tables = make_ab_tables(title="{}")
    titles = [HOSTILE[item % len(HOSTILE)].format(item) for item in range(len(tables.items))]
    items = tables.items.set_column(1, "title", [titles])
    genres = [[HOSTILE_GENRE.format(genre) for genre in row] for row in items["genres"].to_pylist()]
    items = items.set_column(2, "genres", [genres])
    groups = [HOSTILE[place % 2] for place in range(len(tables.users))]
    folder = tmp_path_factory.mktemp("report")
    compare(
        tables.a,
        tables.b,
        tables.a,
        train=tables.train,
        test=tables.test,
        items=items,
        users=tables.users.set_column(1, "side", [groups]),
        names=("old", HOSTILE[0], HOSTILE[1]),
        out=folder,
    )
    return folder


@pytest.fixture
def opened(open_file, pages):
    """`opened(file, width=, theme=)`: the page, drawn, and what its console said and what it asked the network for."""
    return lambda name="comparison.html", **looks: open_file(pages / name, **looks)


@pytest.mark.parametrize("name", ["comparison.html", "leaderboard.html"])
def test_it_draws_without_a_word_on_the_console_or_the_network(opened, pages, name):
    page, said, asked = opened(name)
    assert said == []
    assert asked == [(pages / name).as_uri()]
    charts = page.locator(".chart")
    assert charts.count() >= 2
    assert page.locator(".chart svg").count() == charts.count()


def test_hostile_titles_run_nothing_and_are_shown_as_they_are(opened, pages):
    page, said, _ = opened()
    page.evaluate("() => document.querySelectorAll('details').forEach((one) => (one.open = true))")
    page.wait_for_timeout(300)
    assert page.evaluate("() => window.hacked") is None
    assert said == []
    assert page.locator("main img, main script, main b").count() == 0
    shown = page.locator("main").inner_text()
    for title in HOSTILE[:3]:
        assert title.partition("{}")[0] in shown
    assert "49" not in re.findall(r"7 \* 7[^\n]*", shown)
    # Where Markdown is rendered, no tag of a title opens.
    assert "<script" not in (pages / "comparison.md").read_text(encoding="utf-8")


def test_the_policy_stops_a_script_that_the_page_does_not_know(opened):
    """The second wall: markup that got in all the same would not run."""
    page, said, _ = opened()
    page.evaluate("() => document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.hacked = 1\">')")
    page.wait_for_timeout(300)
    assert page.evaluate("() => window.hacked") is None
    assert any("Content Security Policy" in text for text in said)


def test_tables_sort_by_number_both_ways_by_click_and_by_key(opened):
    page, _, _ = opened()
    table = page.get_by_role("region", name="Metrics of").first.locator("table")
    head = table.get_by_role("columnheader", name="effect")

    def effects() -> list[float]:
        column = table.locator("tbody tr td:nth-child(10)")
        return [float(text) for text in column.evaluate_all("cells => cells.map(cell => cell.dataset.value)") if text]

    unsorted = effects()
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert effects() == sorted(unsorted)
    head.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert effects() == sorted(unsorted, reverse=True)


def test_hovering_tells_the_figure(opened):
    page, _, _ = opened()
    bar = page.locator("#chart-0-histogram .mark-rect path").last
    bar.hover()
    tooltip = page.locator("#vg-tooltip-element.visible")
    tooltip.wait_for(timeout=5_000)
    assert "users" in tooltip.inner_text()


@pytest.mark.parametrize(("width", "theme"), [(1200, "light"), (1200, "dark"), (360, "light")])
@pytest.mark.parametrize("name", ["comparison.html", "leaderboard.html"])
def test_axe_finds_nothing_at_any_width_and_in_any_theme(opened, check_access, name, width, theme):
    page, _, _ = opened(name, width=width, theme=theme)
    check_access(page, width)


def test_dark_is_dark_charts_too(opened):
    page, _, _ = opened(theme="dark")
    back = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    label = page.evaluate(
        "() => getComputedStyle(document.querySelector('#chart-tradeoff .role-axis-label text')).fill"
    )
    dark, light = (sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (back, label))
    assert dark < 100 < 600 < light


def test_it_prints_whole(opened, tmp_path):
    page, _, _ = opened()
    path = tmp_path / "report.pdf"
    page.pdf(path=path, format="A4")
    assert path.stat().st_size > 50_000
    page.emulate_media(media="print")
    page.evaluate("() => window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0


def test_the_first_screen_has_verdict_interval_and_guardrails(opened):
    page, _, _ = opened()
    for selector in ("#verdict-0 .badge", "#chart-0-interval svg", ".headline"):
        box = page.locator(selector).first.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < 900, selector
    rails = page.get_by_role("region", name="Guardrails of").first.bounding_box()
    assert rails is not None
    assert rails["y"] < 900


def test_the_report_is_one_file_that_names_no_server(pages: Path):
    text = (pages / "comparison.html").read_text(encoding="utf-8")
    assert not re.findall(
        r"<(?:script|link|img|iframe)[^>]*(?:src|href)=", re.sub(r"<script>.*?</script>", "", text, flags=re.S)
    )
    assert len(text) < 3_000_000
