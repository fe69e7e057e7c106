"""A real browser that opens pages from disk.

Needs Debian's chromium, or one that `BELFRY_CHROMIUM` names; skipped with a reason where there is none.
"""

import os
import shutil

import pytest

CHROMIUM = os.environ.get("BELFRY_CHROMIUM") or shutil.which("chromium")
SWITCHES = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def browser():
    """Starts a Chromium with an empty profile for each page, of a given width and theme.

    Until it ends, a loop of asyncio runs in this thread: for the tests of a file, since others bring their own.
    """
    if not CHROMIUM:
        pytest.skip("no chromium here: apt-get install chromium, or BELFRY_CHROMIUM")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install .[test]")
    with playwright.sync_playwright() as started:
        yield started.chromium


@pytest.fixture
def new_page(browser, tmp_path):
    """`new_page(width=, theme=)`: an empty page, what its console and dialogs said, what it asked the network for."""
    contexts = []

    def call(*, width: int = 1200, theme: str = "light"):
        context = browser.launch_persistent_context(
            tmp_path / f"profile-{len(contexts)}",
            executable_path=CHROMIUM,
            headless=True,
            args=list(SWITCHES),
            viewport={"width": width, "height": 900},
            color_scheme=theme,
        )
        contexts.append(context)
        page, said, asked = context.new_page(), [], []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.on("request", lambda request: asked.append(request.url))
        return page, said, asked

    yield call
    for context in contexts:
        context.close()


@pytest.fixture
def open_file(new_page):
    """`open_file(path, width=, theme=)`: the page, drawn, and what `new_page` gives beside it."""

    def call(path, **looks):
        page, said, asked = new_page(**looks)
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-charts=drawn]", state="attached", timeout=20_000)
        return page, said, asked

    return call


@pytest.fixture
def check_access():
    """`check_access(page, width)`: axe finds nothing, with all of it open, and nothing is wider than the window."""
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe is not installed: pip install .[test]"
    )

    def call(page, width: int) -> None:
        page.evaluate("() => document.querySelectorAll('details').forEach((one) => (one.open = true))")
        found = axe.Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width

    return call
