"""Wall of pictures of `ui`, scrolled through in a real Chromium: the longest stall, and how much of it is in the page.

    python -m benchmarks.picture_wall RUNS EXPERIMENT/RUN_ID

RUNS and the images of the run are copied; the copy's evaluation is replaced by one of 10,000 pictures, and of 200 for
the ratio.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.browser.site_server import SiteServer, add_images

SIZES = (200, 10_000)
STEPS = 40  # of the scroll from the top to the bottom
WATCH = """() => {
  window.longest = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) window.longest = Math.max(window.longest, entry.duration);
  }).observe({ type: "longtask", buffered: true });
}"""


def measure(browser: Any, runs: Path, label: str, count: int) -> dict[str, float]:
    """Return the seconds until pictures are seen and of the scroll, the longest task in ms, the most tiles at once."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "runs", label)
        shutil.copytree(runs / label, copy)
        add_images(copy, Path(folder, "images"), count)
        config = (copy / "config.yaml").read_text(encoding="utf-8")
        changed = re.sub(r"(?m)^  train: .*$", f"  train: {Path(folder, 'images')}", config, count=1)
        (copy / "config.yaml").write_text(changed, encoding="utf-8")
        server = SiteServer(Path(folder, "runs"))
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        begun = time.perf_counter()
        page.goto(f"{server.address}/wall/{label}/test?show=all")
        page.evaluate(WATCH)
        page.wait_for_selector('.tile[tabindex="0"] img')
        page.evaluate("document.querySelector('.tile img').decode()")
        seen = time.perf_counter() - begun
        height, tiles = page.evaluate("document.documentElement.scrollHeight"), 0
        begun = time.perf_counter()
        for step in range(1, STEPS + 1):
            page.evaluate(f"scrollTo(0, {height * step / STEPS})")
            page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
            tiles = max(tiles, page.locator(".tile").count())
        page.wait_for_selector(f'.tile[data-index="{count - 1}"] img')
        page.evaluate(f"document.querySelector('.tile[data-index=\"{count - 1}\"] img').decode()")
        scrolled = time.perf_counter() - begun
        longest = page.evaluate("window.longest")
        page.close()
        server.stop()
        return {"seen_s": seen, "scroll_s": scrolled, "longest_task_ms": longest, "most_tiles": tiles}


def main() -> None:
    from playwright.sync_api import sync_playwright

    runs, label = Path(sys.argv[1]), sys.argv[2]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"), args=["--no-sandbox"]
        )
        for count in SIZES:
            found = measure(browser, runs, label, count)
            print(f"{count:>6} pictures: " + ", ".join(f"{name} {value:.2f}" for name, value in found.items()))
        browser.close()


if __name__ == "__main__":
    main()
