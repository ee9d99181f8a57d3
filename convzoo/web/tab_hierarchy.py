"""The tab that walks a photograph through a trained network: classes, Grad-CAM, maps by depth, what a channel wants."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from convzoo.apps import photographs
from convzoo.web import look, photo_view, uploads, walking, work
from convzoo.web.walking import Walked

KEPT = 3_600  # seconds that a visitor's photograph is kept
TOP = 5  # classes
ASK = "Choose a channel above"


def build(gradio: Any, report: Path | None) -> None:
    gradio.HTML(
        "<p class='cz-lead'>A trained network is many kernels, one layer over the other: the first see edges, the last "
        "see parts of things. The network is EfficientNet-Lite0, which knows 1,000 classes.</p>"
    )
    with gradio.Row(equal_height=True):
        names = list(photographs.NAMES)
        name = gradio.Dropdown(names, value=None, label="Photograph", elem_id="photo-name", min_width=150, scale=3)
        upload = gradio.UploadButton(
            "Your own …", file_types=["image"], type="filepath", size="md", min_width=130, elem_id="photo-upload"
        )
        stop = gradio.Button("Cancel", size="md", visible=False, min_width=100, elem_id="photo-cancel")
    said = gradio.HTML(elem_id="photo-said", apply_default_css=False)
    with gradio.Column(visible=False) as room:
        with gradio.Row():
            with gradio.Column(min_width=280):
                seen = gradio.HTML(elem_id="photo-seen", apply_default_css=False)
            with gradio.Column(min_width=280):
                likely = gradio.HTML(apply_default_css=False)
                wanted = gradio.Dropdown([], label="Where it looked for", elem_id="photo-class", filterable=True)
        waypoint = gradio.Radio([], label="How deep", elem_id="photo-waypoint")
        tiles = gradio.HTML(
            None,
            html_template=look.script("hierarchy.html"),
            js_on_load=look.script("hierarchy.js"),
            apply_default_css=False,
            elem_id="photo-tiles",
        )
        with gradio.Row():
            start = gradio.Button(ASK, size="md", interactive=False, elem_id="wish-start")
            halt = gradio.Button("Cancel", size="md", visible=False, scale=0, min_width=100, elem_id="wish-cancel")
        wish = gradio.HTML(elem_id="wish", apply_default_css=False)
    walked, channel, job, dreaming = (gradio.State(time_to_live=KEPT) for _ in range(4))

    def walk(pixels: Any) -> Iterator[tuple[Any, ...]]:
        """For job, stop, said, walked."""
        on, off = gradio.Button(visible=True), gradio.Button(visible=False)
        try:
            for running in work.Job(lambda told: walking.through(pixels(), told)).steps():
                yield running, on, work.progress("walking through the layers", running), None
            found = running.result
            yield None, off, "" if found else uploads.message("Cancelled."), found
        except Exception as error:
            yield None, off, uploads.spoken(error), None

    def carried(name: str) -> Iterator[tuple[Any, ...]]:
        yield from walk(lambda: photographs.photograph(name))

    def sent(path: str) -> Iterator[tuple[Any, ...]]:
        yield from walk(lambda: uploads.photograph(path))

    def present(found: Walked | None) -> tuple[Any, ...]:
        """For room, seen, likely, wanted, waypoint, tiles, start, wish."""
        if found is None:
            return tuple(gradio.skip() for _ in range(8))
        best = np.argsort(-found.chances, kind="stable")[:TOP].tolist()
        named, first = walking.labels(), next(iter(found.features))
        return (
            gradio.Column(visible=True),
            photo_view.looked(found.pixels, walking.looked(found.input, best[0]), named[best[0]][0]),
            photo_view.classes([named[i][0] for i in best], found.chances[best].tolist()),
            gradio.Dropdown(named, value=best[0]),
            gradio.Radio(list(found.features), value=first),
            photo_view.channels(found.features[first], first),
            gradio.Button(ASK, interactive=False),
            "",
        )

    @uploads.answered(2)
    def where(found: Walked, index: int) -> tuple[Any, str]:
        return photo_view.looked(found.pixels, walking.looked(found.input, index), walking.labels()[index][0]), ""

    def deeper(found: Walked, name: str) -> tuple[Any, ...]:
        return photo_view.channels(found.features[name], name), gradio.Button(ASK, interactive=False)

    def chosen(event: gradio.EventData) -> tuple[Any, ...]:  # type: ignore[name-defined]
        waypoint, index = str(event.waypoint), int(event.channel)
        return gradio.Button(f"What does channel {index} of {waypoint} look for?", interactive=True), (waypoint, index)

    def dream(channel: tuple[str, int]) -> Iterator[tuple[Any, ...]]:
        """For dreaming, start, halt and wish."""
        on, off = gradio.Button(visible=True), gradio.Button(visible=False)
        try:
            for running in work.Job(partial(walking.wished, *channel)).steps():
                yield running, gradio.Button(interactive=False), on, work.progress("looking for it", running)
            made = running.result
            shown = uploads.message("Cancelled.") if made is None else photo_view.wish(made, *channel)
            yield None, gradio.Button(interactive=True), off, shown
        except Exception as error:
            yield None, gradio.Button(interactive=True), off, uploads.spoken(error)

    quick = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    long = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": 2, "concurrency_id": "network"}
    walks = [job, stop, said, walked]
    for event, run, given in ((name.input, carried, name), (upload.upload, sent, upload)):
        event(run, given, walks, **long).then(
            present, walked, [room, seen, likely, wanted, waypoint, tiles, start, wish], **quick
        )
    stop.click(work.cancel, job, None, **quick)
    wanted.input(where, [walked, wanted], [seen, said], **quick)
    waypoint.input(deeper, [walked, waypoint], [tiles, start], **quick)
    tiles.chosen(chosen, None, [start, channel], **quick)
    start.click(dream, channel, [dreaming, start, halt, wish], **long)
    halt.click(work.cancel, dreaming, None, **quick)
