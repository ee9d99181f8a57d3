"""``convzoo demo``: five tabs in a local web app, on 127.0.0.1 alone, that asks nothing of any other machine.

Gradio serves it. What Gradio would ask of others is off: its analytics and version check, fonts from elsewhere (the
theme names the system's), sharing. Everything a visitor sends is kept in a folder of the process's own, which goes with
it; everything a visitor made lives in the visitor's session.
"""

import os
import signal
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from convzoo.extras import need
from convzoo.web import look, tab_compare, tab_graph, tab_hierarchy, tab_kernel, tab_listen, uploads, work

HOST = "127.0.0.1"
KEPT = 3_600  # seconds that a file is kept
QUIET = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"}

Tab = Callable[[Any, Path | None], None]
TABS: dict[str, Tab] = {
    "Kernel": tab_kernel.build,
    "Hierarchy": tab_hierarchy.build,
    "Listen": tab_listen.build,
    "Graph": tab_graph.build,
    "Compare": tab_compare.build,
}


def build(gradio: Any, report: Path | None = None) -> Any:
    """The page as Gradio's blocks, not yet served."""
    with gradio.Blocks(title="convzoo", analytics_enabled=False, delete_cache=(KEPT // 6, KEPT)) as page:
        gradio.HTML(look.HEADING, elem_id="heading")
        with gradio.Tabs():
            for name, tab in TABS.items():
                with gradio.Tab(name, id=name.lower()):
                    tab(gradio, report)
    return page


def serve(port: int | None = None, report: Path | None = None, told: Callable[[str], None] = print) -> None:
    """Serves the page until the process is interrupted or asked to end.

    Args:
      port: None: 7860, or the next one that is free of a hundred.
      report: a folder with the ``report.html`` that the comparison wrote.
      told: is given the address once somebody may open it.

    Raises:
      OSError: the port is taken.
      ImportError: Gradio is not installed; it names the extra.
    """
    with tempfile.TemporaryDirectory(prefix="convzoo-demo-") as folder:
        os.environ |= QUIET | {"GRADIO_TEMP_DIR": folder, "TMPDIR": folder}
        os.environ["no_proxy"] = ",".join(filter(None, (os.environ.get("no_proxy"), HOST)))  # Gradio calls itself
        tempfile.tempdir = folder
        gradio: Any = need("gradio", extra="demo")
        page = build(gradio, report)
        page.queue(default_concurrency_limit=1, api_open=False)
        stopped = threading.Event()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, lambda *_: stopped.set())
        try:
            _, address, _ = page.launch(
                server_name=HOST,
                server_port=port,
                max_file_size=uploads.LARGEST_FILE,
                theme=look.theme(gradio),
                head=look.head(),
                footer_links=[],
                share=False,
                ssr_mode=False,
                mcp_server=False,
                inbrowser=False,
                quiet=True,
                prevent_thread_lock=True,
            )
            told(address)
            stopped.wait()
        finally:
            page.close(verbose=False)
            work.end()
            tempfile.tempdir = None
