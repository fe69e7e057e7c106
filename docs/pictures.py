"""Pictures of the README, out of the embedded data: python docs/pictures.py. Needs Debian's chromium and Playwright."""

import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

import belfry
from belfry.dataset.prepare import prepare
from belfry.dataset.sources.demo import generate
from belfry.dataset.split import split_time

HERE = Path(__file__).parent / "images"
PORT = 8099


def main() -> None:
    tables = generate()
    parts = split_time(prepare(tables).interactions)
    known, later = parts.train.to_table(), parts.test.to_table()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        lists = {}
        for name, settings in {"one-stage": ["ranker=none"], "two-stages": []}.items():
            recommender = belfry.train(
                known, items=tables.items, users=tables.users, settings=settings, artifacts=work / name
            )
            lists[name] = recommender.recommend_many(recommender.users.ids, 10)
        belfry.compare(
            *lists.values(),
            train=known,
            test=later,
            items=tables.items,
            users=tables.users,
            names=list(lists),
            out=work / "report",
        )
        verb = [sys.executable, "-m", "belfry"]
        subprocess.run([*verb, "explore", str(work / "two-stages"), "--out", str(work / "explore.html")], check=True)
        serving = subprocess.Popen([*verb, "serve", "--artifacts", str(work / "two-stages"), "--port", str(PORT)])
        try:
            with sync_playwright() as started:
                browser = started.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
                page = browser.new_page(viewport={"width": 1000, "height": 700})
                page.goto((work / "report" / "comparison.html").as_uri())
                _picture(page, "compare")
                page.goto((work / "explore.html").as_uri())
                _picture(page, "explore")
                page.goto(f"http://127.0.0.1:{PORT}/")
                page.get_by_label("User").fill(str(recommender.users.ids[0].as_py()))
                page.keyboard.press("Enter")
                page.wait_for_selector("ol li")
                _picture(page, "list")
        finally:
            serving.terminate()
            serving.wait()


def _picture(page: Page, name: str) -> None:
    page.wait_for_timeout(1_000)
    page.screenshot(path=HERE / f"{name}.png")


if __name__ == "__main__":
    main()
