"""The page of a server in a real browser: a list with titles and reasons, keys, widths, hostile titles.

Needs Debian's chromium, or one that `BELFRY_CHROMIUM` names; skipped with a reason where there is none.
"""

import hashlib
from pathlib import Path

import pyarrow as pa
import pytest

from belfry import Recommender, train
from belfry.pipeline.serving.explain import N_NAMED
from benchmarks.serving.server import served
from tests.browser.conftest import CHROMIUM
from tests.browser.hostile import HOSTILE
from tests.pipeline.server.conftest import SETTINGS, free_port

KEY = "0123456789abcdef0123456789"

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no chromium here: apt-get install chromium, or BELFRY_CHROMIUM")


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose titles are hostile."""
    folder = tmp_path_factory.mktemp("page") / "artifacts"
    pairs = [(user, item) for user in range(1, 31) for item in range(40) if (user + 7 * item) % 5 < 2]
    events = pa.table({"user_id": [user for user, _ in pairs], "item_id": [item for _, item in pairs]})
    titles = [HOSTILE[item % len(HOSTILE)].format(item) for item in range(40)]
    train(events, items=pa.table({"item_id": range(40), "title": titles}), settings=SETTINGS, artifacts=folder, seed=0)
    return folder


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "keys"
    path.write_text(f"page sha256:{hashlib.sha256(KEY.encode()).hexdigest()}\n")
    return path


@pytest.fixture(scope="module", params=["open", "with keys"])
def address(request, artifacts: Path, keys: Path, tmp_path_factory: pytest.TempPathFactory):
    options = ("--api-key-file", str(keys)) if request.param == "with keys" else ()
    port = free_port()
    with served(artifacts, tmp_path_factory.mktemp("server"), *options, port=port) as server:
        yield f"http://127.0.0.1:{port}/", bool(options)
        assert server.stop() == 0


@pytest.fixture
def opened(new_page, address):
    """`opened(width=, theme=)`: the page, what its console said, what it asked for, whether a key is wanted."""

    def call(**looks):
        page, said, asked = new_page(**looks)
        page.set_default_timeout(15_000)
        page.goto(address[0])
        return page, said, asked, address[1]

    return call


def ask(page, user: object, *, key: bool = False) -> str:
    """By keyboard alone; what the page says then."""
    page.get_by_label("User").fill(str(user))
    if key and page.get_by_label("API key").is_visible():
        page.get_by_label("API key").fill(KEY)
    page.keyboard.press("Enter")
    page.wait_for_function("() => !['', 'Asking…'].includes(document.getElementById('status').textContent)")
    return page.get_by_role("status").inner_text()


def ask_with_key(page, user: object, has_keys: bool) -> str:
    if has_keys and not page.get_by_label("API key").is_visible():
        assert "an API key is wanted" in ask(page, user)
        assert page.evaluate("() => document.activeElement.id") == "key"
        page.evaluate("() => { document.getElementById('status').textContent = ''; }")
    return ask(page, user, key=has_keys)


def test_a_user_gets_a_list_with_titles_and_reasons(opened, address, artifacts):
    page, said, asked, has_keys = opened()
    assert ask_with_key(page, 3, has_keys) == "For user 3"
    wanted = Recommender.load(artifacts).recommend(3, explain=True)
    rows = page.get_by_role("listitem")
    assert rows.locator(".title").all_inner_texts() == [one.title for one in wanted]
    first = rows.first.inner_text()
    assert f"item {wanted[0].item_id}, score" in first
    assert "Speaking for it: " in first
    assert first.count("%)") == min(N_NAMED, len(wanted[0].because.watched))
    assert all(url.startswith(address[0]) for url in asked)
    # Chromium itself notes that the first answer was 401.
    assert [text for text in said if "401" not in text] == []
    assert not page.evaluate("() => document.cookie + localStorage.length + sessionStorage.length").strip("0")
    assert KEY not in page.url + "".join(asked)


def test_hostile_titles_and_users_run_nothing(opened):
    page, said, _, has_keys = opened()
    ask_with_key(page, 5, has_keys)
    assert page.locator("#list img, #list script, #list b").count() == 0
    page.evaluate("() => { document.getElementById('status').textContent = ''; }")
    words = ask(page, "<img src=x onerror='window.hacked=1'>", key=has_keys)
    assert "whole numbers" in words
    page.wait_for_timeout(200)
    assert page.evaluate("() => window.hacked") is None
    assert not [text for text in said if "40" not in text and "422" not in text]


def test_the_policy_stops_markup_and_scripts_that_came_in_all_the_same(opened):
    page, said, _, _ = opened()
    page.evaluate("""() => {
        const script = document.createElement('script');
        try { script.textContent = 'window.hacked = 1'; document.body.append(script); } catch (error) {}
        try { document.body.insertAdjacentHTML('beforeend', '<img src=x onerror="window.hacked = 1">'); } catch (e) {}
    }""")
    page.wait_for_timeout(200)
    assert page.evaluate("() => window.hacked") is None
    assert said


def test_an_unknown_user_and_a_wrong_one_are_told_in_words(opened):
    page, _, _, has_keys = opened()
    assert ask_with_key(page, 999, has_keys) == "Popular now, as there is no history of user 999"
    page.evaluate("() => { document.getElementById('status').textContent = ''; }")
    assert "whole numbers" in ask(page, "anna", key=has_keys)
    assert page.get_by_role("listitem").count() == 0


@pytest.mark.parametrize(("width", "theme"), [(1200, "light"), (1200, "dark"), (360, "light")])
def test_axe_finds_nothing_at_any_width_and_in_any_theme(opened, width, theme):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe is not installed: pip install .[test]"
    )
    page, _, _, has_keys = opened(width=width, theme=theme)
    ask_with_key(page, 3, has_keys)
    # Axe puts its own script into the page by the protocol of the browser, which asks no policy.
    found = axe.Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
