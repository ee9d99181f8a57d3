"""The tab in which the four modalities stand beside each other: the comparison's report, or the packaged table."""

import csv
from html import escape
from pathlib import Path
from typing import Any

from convzoo.web import uploads

TABLE = Path(__file__).with_name("comparison.csv")
FOUND = Path("runs/quickstart")
LARGEST = 2**25  # bytes of a report
SHOWN = {  # column of comparison.csv: its heading and how it is told
    "modality": ("modality", str),
    "dataset": ("data", str),
    "model": ("network", str),
    "params": ("parameters", lambda v: f"{int(v):,}"),
    "macs": ("multiply-adds", lambda v: f"{int(v):,}"),
    "receptive_field": ("sees", str),
    "test_examples": ("tested on", lambda v: f"{int(v):,}"),
    "accuracy_mean": ("accuracy", lambda v: f"{100 * float(v):.2f} %"),
    "accuracy_std": ("± over seeds", lambda v: f"{100 * float(v):.2f} %"),
}
HOW = """<p class="cz-note">Here the report of the comparison is shown once there is one: <code>make quickstart</code>
trains the four networks in about four minutes and writes <code>runs/quickstart/report.html</code>. Start the page in
the same folder, or with <code>convzoo demo --report FOLDER</code>. Until then, these are the results that came with
the package.</p>"""
# The frame may load nothing, not even where a report asks for it.
POLICY = (
    "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none';style-src 'unsafe-inline';img-src data:\">"
)


def build(gradio: Any, report: Path | None) -> None:
    gradio.HTML(
        "<p class='cz-lead'>The same convolution, four kinds of neighbours: pictures, sounds, graphs, bytes.</p>"
    )
    shown = gradio.HTML(lambda: view(report), elem_id="compare", apply_default_css=False)
    again = gradio.Button("Look again", size="sm", min_width=140, scale=0)
    again.click(lambda: view(report), None, shown, show_progress="hidden", api_visibility="private", queue=False)


def view(folder: Path | None) -> str:
    """The report of a folder in a frame that may run nothing, or the packaged table and how to make a report."""
    page = (folder or FOUND) / "report.html"
    if not page.is_file():
        missing = uploads.message(f"There is no report.html in {folder}.") if folder else ""
        return missing + HOW + table(TABLE)
    if page.stat().st_size > LARGEST:
        return uploads.message(f"{page} is too large to be a report.") + table(TABLE)
    inside, title = escape(POLICY + page.read_text(encoding="utf-8", errors="replace")), escape(str(page.parent))
    return f'<iframe class="cz-report" sandbox="" title="The report in {title}" srcdoc="{inside}"></iframe>'


def table(path: Path) -> str:
    """A ``comparison.csv`` as an HTML table."""
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    head = "".join(f"<th scope='col'>{title}</th>" for title, _ in SHOWN.values())
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(told(row[name]))}</td>" for name, (_, told) in SHOWN.items()) + "</tr>"
        for row in lines
    )
    rows = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f"<div class='cz-wide' tabindex='0'><table class='cz-table'>{rows}</table></div>"
