"""One server for all tests of the page, in a process of its own that tells every machine it connects to; a Chromium."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import CACHE

ROOT = Path(__file__).parents[2]
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-sync", "--disable-component-update",
]  # fmt: skip
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PATIENCE = 30_000  # milliseconds: of a machine that does other things, too
# Before anything is imported: whoever is connected to is written down.
WATCHED = """
import sys
told = open(sys.argv[1], "a", buffering=1)
def watch(event, given):
    if event == "socket.connect" and isinstance(given[1], tuple):
        print(given[1][0], file=told)
    elif event == "socket.getaddrinfo":
        print(given[0], file=told)
sys.addaudithook(watch)
from convzoo.cli import main
sys.exit(main(sys.argv[2:]))
"""


class Server(NamedTuple):
    """The page's address, its process, the folder that its temporary files go to, and its report's."""

    address: str
    process: subprocess.Popen
    folder: Path
    report: Path


@pytest.fixture(scope="session")
def server(tmp_path_factory) -> Iterator[Server]:
    pytest.importorskip("gradio", reason="gradio is not installed (the extra `demo`)")
    folder, report = tmp_path_factory.mktemp("temporary"), tmp_path_factory.mktemp("report")
    told, log = report / "connections", report / "log"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = {"PYTHONPATH": str(ROOT), "TMPDIR": str(folder), "JAX_COMPILATION_CACHE_DIR": str(CACHE)}
    command = [sys.executable, "-c", WATCHED, str(told), "demo", "--port", port, "--json", "--report", str(report)]
    options: dict[str, Any] = {"cwd": report, "env": environment | os.environ, "text": True}
    with (
        log.open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, **options) as process,
    ):
        assert process.stdout
        line = process.stdout.readline()
        try:
            assert line, f"the server did not start: {log.read_text()}"
            yield Server(json.loads(line)["address"], process, folder, report)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
    assert process.returncode == 0, log.read_text()
    assert not list(folder.iterdir()), "what visitors sent outlived the server"
    assert set(told.read_text().split()) <= {"127.0.0.1", "localhost"}, "the server asked another machine"


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (the extra `dev`)")
    if not CHROMIUM:
        pytest.skip("there is no Chromium on this machine: apt install chromium")
    with api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()


def is_fault(message: Any) -> bool:
    """An error, but not that a report's frame was kept from something or that a broken sound cannot be played."""
    return message.type == "error" and not re.search(
        "Content Security Policy|sandboxed|Waveform load error", message.text
    )


@pytest.fixture
def visitor(browser, server) -> Iterator[Callable[..., Any]]:
    """Opens the page for one more person; at the end nothing may have left this machine, and nothing have failed."""
    contexts, asked, failed = [], set(), []

    def opened(tab: str = "Kernel", **options: Any) -> Any:
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: asked.add(request.url.split("/")[2] if "://" in request.url else ""))
        page.on("console", lambda message: failed.append(message.text) if is_fault(message) else None)
        page.on("pageerror", lambda error: failed.append(str(error)))
        page.goto(server.address, wait_until="commit")
        page.get_by_role("tab", name=tab, exact=True).click()
        return page

    yield opened
    for context in contexts:
        context.close()
    assert {host.split(":")[0] for host in asked} <= {"127.0.0.1", ""}, f"the page asked {asked}"
    assert not failed
