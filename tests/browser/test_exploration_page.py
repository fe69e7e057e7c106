"""The exploration of a run with hostile titles in a real browser: the map by mouse, by keys and by a screen reader."""

import re
from dataclasses import replace
from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.vocabulary import Vocabulary
from belfry.pipeline.jobs.look.explore import write_exploration
from belfry.pipeline.jobs.look.item_columns import colourings_of_table
from tests.browser.hostile import HOSTILE, HOSTILE_GENRE
from tests.explorations import N_ITEMS, make_exploration


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("exploration") / "page.html"
    write_exploration(make_exploration(), path)
    return path


@pytest.fixture(scope="module")
def hostile_paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    paths = []
    for place, title in enumerate(HOSTILE):
        paths.append(folder / f"{place}.html")
        write_exploration(make_exploration(title, HOSTILE_GENRE, name=title), paths[-1])
    return paths


def find(page, text: str) -> None:
    """Choose the first item that is found."""
    page.get_by_label("Find", exact=True).fill(text)
    page.locator("#map-found button").first.click()


def test_it_draws_without_a_word_on_the_console_or_the_network(open_file, path):
    page, said, asked = open_file(path)
    assert said == []
    assert asked == [path.as_uri()]
    charts = page.locator(".chart")
    assert charts.count() == 7
    assert page.locator(".chart svg").count() == charts.count()


def test_hostile_text_runs_nothing_and_is_shown_as_it_is(open_file, hostile_paths):
    for place, path in enumerate(hostile_paths):
        page, said, _ = open_file(path)
        find(page, HOSTILE[place].format(3)[:12])
        for colour in range(3):
            page.get_by_label("Colour").select_option(str(colour))
        page.locator("#map-canvas").hover()
        page.wait_for_timeout(100)
        assert page.evaluate("() => window.hacked") is None
        assert said == []
        assert page.locator("main img, main script, main b:not(dt b)").count() == 0
        shown = page.locator("#map-item").inner_text()
        assert HOSTILE[place].partition("{")[0][:20] in shown


def test_a_found_item_tells_what_it_is_and_which_are_most_similar(open_file, path):
    page, _, _ = open_file(path)
    find(page, "film 30")
    told = page.locator("#map-item")
    assert told.locator("h3").inner_text() == "Film 30"
    facts = dict(zip(told.locator("dt").all_inner_texts(), told.locator("dd").all_inner_texts(), strict=True))
    assert facts == {"id": "130", "users": "30", "genre name": "genre 0", "year": "1979"}
    similar = told.locator("li").all_inner_texts()
    assert [re.sub(r"\s+", " ", one) for one in similar][:2] == ["Film 31 0.95", "Film 29 0.90"]
    told.locator("li button").first.click()
    assert told.locator("h3").inner_text() == "Film 31"


def test_what_is_not_there_is_not_found(open_file, path):
    page, _, _ = open_file(path)
    page.get_by_label("Find", exact=True).fill("nothing of the kind")
    assert page.locator("#map-found").inner_text() == "Nothing is called so."
    find(page, "100")  # an id; the item has no title
    assert page.locator("#map-item h3").inner_text() == "100"


def test_hovering_names_the_item_and_a_click_chooses_it(open_file, path):
    page, _, _ = open_file(path)
    box = page.locator("#map-canvas").bounding_box()
    assert box is not None
    side = min(box["width"], box["height"]) - 48
    right = {"x": box["width"] / 2 + side / 2, "y": box["height"] / 2}  # item 0
    page.locator("#map-canvas").hover(position=right)
    assert page.locator("#map-tip").inner_text() == "100"
    page.locator("#map-canvas").click(position=right)
    assert page.locator("#map-item h3").inner_text() == "100"


def test_keys_move_and_zoom_the_map(open_file, path):
    page, _, _ = open_file(path)
    canvas = page.locator("#map-canvas")
    canvas.focus()

    def drawn() -> str:
        return page.evaluate("() => document.getElementById('map-canvas').toDataURL()")

    whole = drawn()
    page.keyboard.press("+")
    zoomed = drawn()
    page.keyboard.press("ArrowLeft")
    moved = drawn()
    assert len({whole, zoomed, moved}) == 3
    page.keyboard.press("0")
    assert drawn() == whole


def test_the_wheel_scrolls_the_page_until_the_map_is_chosen(open_file, path):
    page, _, _ = open_file(path)
    canvas = page.locator("#map-canvas")
    canvas.hover()
    page.mouse.wheel(0, 200)
    page.wait_for_function("() => window.scrollY > 0")
    canvas.click()
    before = page.evaluate("() => [window.scrollY, document.getElementById('map-canvas').toDataURL()]")
    page.mouse.wheel(0, -200)
    page.wait_for_timeout(200)
    after = page.evaluate("() => [window.scrollY, document.getElementById('map-canvas').toDataURL()]")
    assert (after[0], after[1] != before[1]) == (before[0], True)


def test_colours_and_maps_can_be_chosen_and_the_legend_tells_them(open_file, path):
    page, _, _ = open_file(path)
    legend = page.locator("#map-legend")
    assert legend.inner_text().split() == ["users:", "1", str(N_ITEMS)]
    page.get_by_label("Colour").select_option(label="genre name")
    assert legend.locator("span").all_inner_texts() == ["genre 0", "genre 1", "none, or another"]
    page.get_by_label("Colour").select_option(label="year")
    assert "missing" in legend.inner_text()
    page.get_by_label("Map", exact=True).select_option(label="UMAP")
    assert page.locator("#map-how").inner_text() == "So too."


def test_every_kind_of_column_colours_the_map_under_its_own_name(open_file, tmp_path):
    at = range(N_ITEMS)
    table = pa.table(
        {
            "item_id": list(range(100, 100 + N_ITEMS)),
            "genres": [["war", "noir"] if item % 3 else ["noir"] for item in at],
            "studio": [f"studio {item % 2}" for item in at],
            "in stock": [item % 4 == 0 for item in at],
            "price": [None if item == 7 else 1.5 * item for item in at],
            "opened": pa.array([date(1960 + item, 3, 1) for item in at]),
        }
    )
    ids = Vocabulary(table["item_id"].combine_chunks())
    found, without = colourings_of_table(table, ids, np.arange(1, N_ITEMS + 1, dtype=np.int32))
    assert without == []
    made = make_exploration()
    write_exploration(replace(made, item_map=replace(made.item_map, colourings=found)), tmp_path / "page.html")
    page, said, _ = open_file(tmp_path / "page.html")
    colour, legend, canvas = page.get_by_label("Colour"), page.locator("#map-legend"), page.locator("#map-canvas")
    assert colour.locator("option").all_inner_texts() == ["genres", "studio", "in stock", "price", "opened"]
    told, drawn = {}, set()
    for name in colour.locator("option").all_inner_texts():
        colour.select_option(label=name)
        told[name] = " ".join(legend.inner_text().split())
        drawn.add(canvas.evaluate("(one) => one.toDataURL()"))
    assert told == {
        "genres": "noir war",
        "studio": "studio 0 studio 1",
        "in stock": "false true",
        "price": "price: 0 88.5 missing",
        "opened": "opened: 1960 2019",
    }
    assert len(drawn) == 5
    assert said == []


@pytest.mark.parametrize(("width", "theme"), [(1200, "light"), (1200, "dark"), (360, "light")])
def test_axe_finds_nothing_at_any_width_and_in_any_theme(open_file, path, check_access, width, theme):
    page, _, _ = open_file(path, width=width, theme=theme)
    find(page, "film 30")
    page.get_by_label("Colour").select_option("1")
    check_access(page, width)


def test_the_map_is_on_the_first_screen(open_file, path):
    page, _, _ = open_file(path)
    box = page.locator("#map-canvas").bounding_box()
    assert box is not None
    assert box["y"] < 500


def test_it_prints_whole(open_file, path, tmp_path):
    page, _, _ = open_file(path)
    page.pdf(path=tmp_path / "page.pdf", format="A4")
    assert (tmp_path / "page.pdf").stat().st_size > 50_000
    page.emulate_media(media="print")
    page.evaluate("() => window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    assert not page.locator(".controls").is_visible()
