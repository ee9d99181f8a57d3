"""Pictures of the page, light, dark and on a phone, and how long a visitor waits.

    python -m experiments.demo_shots --out docs [--report DIR]

Starts the page on a free port, opens it in the system's Chromium, uses every tab, writes demo_TAB.png (and _dark,
_phone) and prints the times: to the first picture, of a kernel's change in the browser and on the server.
"""

import argparse
import contextlib
import json
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image
from playwright import sync_api

from convzoo.web import tab_kernel

LOOKS: dict[str, dict[str, Any]] = {
    "": {"viewport": {"width": 1120, "height": 800}},
    "_dark": {"viewport": {"width": 1120, "height": 800}, "color_scheme": "dark"},
    "_phone": {"viewport": {"width": 390, "height": 844}},
}
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
WAIT = 180_000  # milliseconds
COLOURS = 256  # of a picture in docs/
# Presses a kernel's button; resolves once that kernel's map is drawn, with the milliseconds.
CHANGE = """name => new Promise(done => {
  const stage = [...document.querySelectorAll("[data-kernel]")].find(each => each.dataset.kernel);
  const start = performance.now();
  new MutationObserver((_, watching) => {
    if (!stage.dataset.kernel.startsWith(name)) return;
    watching.disconnect();
    requestAnimationFrame(() => done(performance.now() - start));
  }).observe(stage, { attributes: true });
  [...document.querySelectorAll("#kernel-name label")].find(each => each.textContent.trim() === name).click();
})"""


@contextlib.contextmanager
def served(report: Path | None) -> Iterator[str]:
    """The address of the page, in a process of its own."""
    command = [sys.executable, "-m", "convzoo", "demo", "--json", *(["--report", str(report)] if report else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield json.loads(process.stdout.readline())["address"]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def kernel(page: sync_api.Page) -> None:
    page.locator("#kernel-stage [data-step]").fill("1000")


def hierarchy(page: sync_api.Page) -> None:
    page.locator("#photo-name input").click()
    page.get_by_role("option", name="cat", exact=True).click()
    page.wait_for_selector("#photo-classes")
    page.locator("#photo-waypoint").get_by_label("stage4", exact=True).click()
    page.wait_for_function("document.querySelector('#photo-tiles').innerText.includes('stage4')")
    page.locator("#photo-tiles button").first.click()
    page.locator("#wish-start:enabled").click()
    page.wait_for_selector(".cz-wish img")


def listen(page: sync_api.Page) -> None:
    page.get_by_role("button", name="An example").click()
    page.wait_for_selector("#heard-words")


def graph(page: sync_api.Page) -> None:
    page.locator("#graph-stage [data-step]").fill("12")


def compare(page: sync_api.Page) -> None:
    page.wait_for_selector("#compare iframe, #compare table")


TABS = {each.__name__: each for each in (kernel, hierarchy, listen, graph, compare)}


def shoot(page: sync_api.Page, path: Path) -> None:
    """A picture of the whole page with few colours, so that it is small."""
    page.wait_for_timeout(800)
    page.screenshot(path=path, full_page=True)
    with Image.open(path) as taken:
        taken.convert("RGB").quantize(COLOURS).save(path, optimize=True)


def times(browser: sync_api.Browser, address: str) -> None:
    """Prints what a visitor waits for."""
    first, changes = [], []
    for _ in range(5):
        page = browser.new_page()
        start = time.perf_counter()
        page.goto(address, wait_until="commit")
        page.wait_for_selector("#kernel-stage canvas")
        first.append(time.perf_counter() - start)
        page.wait_for_timeout(1000)
        changes += [page.evaluate(CHANGE, name) for name in ("blur", "emboss", "gaussian", "gabor", "laplacian")]
        page.close()
    told = statistics.median
    print(f"first picture: {told(first):.2f} s (at most {max(first):.2f})")
    print(f"a kernel's change in the browser: {told(changes):.0f} ms (at most {max(changes):.0f})")
    x = tab_kernel.picture("face", 48, None)
    for name in ("vertical edges", "gaussian"):
        tab_kernel.view("face", x, tab_kernel.Choice(name))
        start = time.perf_counter()
        tab_kernel.view("face", x, tab_kernel.Choice(name))
        print(f"of which the server computes, {name}: {1000 * (time.perf_counter() - start):.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--report", type=Path, metavar="DIR", help="a comparison's folder")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with served(options.report) as address, sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for name, look in LOOKS.items():
            page = browser.new_page(**look)
            page.set_default_timeout(WAIT)
            page.goto(address)
            for tab, use in TABS.items():
                page.get_by_role("tab", name=tab.capitalize(), exact=True).click()
                use(page)
                shoot(page, options.out / f"demo_{tab}{name}.png")
            page.close()
        times(browser, address)
        browser.close()


if __name__ == "__main__":
    main()
