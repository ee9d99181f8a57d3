"""The tab in which a kernel slides: over a picture, along a sound, over a small graph; computed by ``core``."""

import base64
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from convzoo import core
from convzoo.apps import filtering, photographs
from convzoo.explain import drawn, filters
from convzoo.explain.filters import Kernel
from convzoo.web import look, uploads, work

SIZES = (16, 128, 16)  # of drawn pictures: least, most, step
FIRST = "face", 48, "vertical edges"
SIDE = 128  # pixels that are kept of a photograph's longer side
ACROSS = 8  # nodes of the small graph along each side of the picture
WINDOW = 2 * ACROSS - 1  # a wider one reaches no further over that graph
FAINT = 0.03  # of the largest weight; a message below it is not drawn
SAMPLES = 80
SIGMAS, WAVELENGTHS = (0.5, 4, 0.5), (2, 12, 0.5)
YOURS = "your photograph"
FORMULAS = ("gaussian", "gabor", "typed in")


class Choice(NamedTuple):
    """What the controls say: a kernel's name or formula, and the formulas' numbers."""

    name: str
    sigma: float = 1.5
    angle: float = 45
    wavelength: float = 4
    numbers: str = ""

    def kernel(self) -> Kernel:
        texts = {
            "gaussian": f"gaussian:{self.sigma}",
            "gabor": f"gabor:{self.angle},{self.wavelength}",
            "typed in": self.numbers,
        }
        return filters.kernel(texts.get(self.name, self.name))


def build(gradio: Any, report: Path | None) -> None:
    gradio.HTML(
        "<p class='cz-lead'>A small window slides over the input. At each place the nine pixels under it are "
        "multiplied by the kernel's nine numbers and added up; the sum is one pixel of the feature map.</p>"
    )
    inputs = [*drawn.PICTURES, *photographs.NAMES]
    with gradio.Row(equal_height=True):
        source = gradio.Dropdown(inputs, value=FIRST[0], label="Input", elem_id="kernel-input", min_width=150, scale=2)
        size = gradio.Slider(*SIZES[:2], FIRST[1], step=SIZES[2], label="Size it is drawn at", min_width=150, scale=2)
        upload = gradio.UploadButton(
            "Your own …",
            file_types=["image"],
            type="filepath",
            size="md",
            min_width=130,
            elem_id="kernel-upload",
        )
    names = [*filters.KERNELS, *FORMULAS]
    name = gradio.Radio(names, value=FIRST[2], label="Kernel", elem_id="kernel-name")
    with gradio.Row():
        sigma = gradio.Slider(*SIGMAS[:2], 1.5, step=SIGMAS[2], label="Width, pixels", visible=False)
        angle = gradio.Slider(0, 180, 45, step=5, label="Angle, degrees", visible=False)
        wavelength = gradio.Slider(*WAVELENGTHS[:2], 4, step=WAVELENGTHS[2], label="Wavelength, pixels", visible=False)
        numbers = gradio.Textbox(
            "-1 0 1 -2 0 2 -1 0 1", label="Nine numbers (or 25), row by row", visible=False, max_length=4000
        )
    said = gradio.HTML(elem_id="kernel-said", apply_default_css=False)
    stage = gradio.HTML(
        view(FIRST[0], picture(*FIRST[:2], None), Choice(FIRST[2])),
        html_template=look.script("kernel.html"),
        js_on_load=look.script("kernel.js"),
        apply_default_css=False,
        elem_id="kernel-stage",
    )
    yours = gradio.State()
    controls = [source, size, yours, name, sigma, angle, wavelength, numbers]
    options = {"queue": False, "show_progress": "hidden", "api_visibility": "private", "trigger_mode": "always_last"}

    switched = [sigma, angle, wavelength, numbers]
    asked = {"gaussian": (sigma,), "gabor": (angle, wavelength), "typed in": (numbers,)}

    @uploads.answered(2)
    def show(source: str, size: float, yours: Any, *choice: Any) -> tuple[Any, ...]:
        return view(source, picture(source, size, yours), Choice(*choice)), ""

    @uploads.answered(6)
    def named(*given: Any) -> tuple[Any, ...]:
        there = asked.get(given[3], ())
        return *(gradio.update(visible=control in there) for control in switched), *show(*given)

    @uploads.answered(4)
    def taken(path: str, size: float, *choice: Any) -> tuple[Any, ...]:
        found = photographs.brightness(uploads.photograph(path, longest=SIDE))
        listed = gradio.Dropdown([*inputs, YOURS], value=YOURS)
        return found, listed, view(YOURS, found, Choice(*choice)), ""

    for event in (*(control.input for control in (source, size, sigma, angle, wavelength)), numbers.change):
        event(show, controls, [stage, said], **options)
    name.input(named, controls, [*switched, stage, said], **options)
    upload.upload(taken, [upload, size, *controls[3:]], [yours, source, stage, said], **options)
    work.Job(warm).start()


def picture(source: str, size: float, yours: np.ndarray | None) -> Float[np.ndarray, "height width"]:
    """The input by its name: 0 is black, 1 is white.

    Raises:
      ValueError: there is none of that name.
    """
    if source in drawn.PICTURES:
        return drawn.PICTURES[source](int(size))
    if source == YOURS and yours is not None:
        return yours
    if source not in photographs.NAMES:
        raise uploads.Refused(f"There is no input called {source[:40]!r}.")
    return photographs.brightness(photographs.photograph(source, longest=SIDE))


def view(source: str, x: Float[np.ndarray, "height width"], choice: Choice) -> dict[str, Any]:
    """Everything that kernel.js draws.

    Raises:
      ValueError: the numbers are no kernel.
    """
    kernel = choice.kernel()
    if kernel.values.ndim == 1:
        kernel = kernel._replace(values=kernel.values[None])
    found = filters.feature_map(x, kernel)
    shown = filtering.Filtered(source, x, kernel, kernel, 1, found)
    string, taps = drawn.pluck(SAMPLES), filters.along(kernel)
    return {
        "shape": list(x.shape),
        "input": packed(x),
        "map": packed(found),
        "limit": float(np.abs(found).max()) or 1.0,
        "kernel": {
            "shape": list(kernel.values.shape),
            "values": kernel.values.ravel().tolist(),
            "name": kernel.name,
            "told": kernel.told,
        },
        "numbers": [line.strip() for line in filtering.lines(filtering.entry(shown))][1:],
        "sound": {
            "taps": taps.values.tolist(),
            "values": string.tolist(),
            "map": filters.feature_map(string, taps).tolist(),
        },
        "graph": over_graph(x, kernel),
    }


def packed(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode()


class Graph(NamedTuple):
    """A small irregular graph over a picture: places [nodes, 2], pairs of neighbours, who sends through which tap."""

    places: np.ndarray
    pairs: list[tuple[int, int]]
    seen: core.Edges


@lru_cache(maxsize=32)
def graph(window: tuple[int, int]) -> Graph:
    places = filters.scattered(ACROSS)
    near = filters.plane_edges(places, (3, 3))
    ends = zip(near.senders.tolist(), near.receivers.tolist(), strict=True)
    pairs = sorted({(min(a, b), max(a, b)) for a, b in ends if a != b})
    return Graph(places, pairs, filters.plane_edges(places, window))


def over_graph(x: Float[np.ndarray, "height width"], kernel: Kernel) -> dict[str, Any]:
    """The kernel over the nodes of a graph, each holding the pixel that it lies on."""
    middle = kernel._replace(values=centre(kernel.values))
    places, pairs, seen = graph(middle.values.shape)
    share = np.clip((places + 0.5) / ACROSS, 0, 0.999)
    values = x[tuple((share * x.shape).astype(int).T)]
    weights = middle.values.ravel()[np.asarray(seen.taps)]
    drawn = np.abs(weights) > FAINT * np.abs(weights).max(initial=0)
    messages = (np.asarray(each)[drawn] for each in (seen.senders, seen.receivers, weights))
    return {
        "places": places.astype(float).round(3).tolist(),
        "edges": pairs,
        "values": values.tolist(),
        "map": filters.graph_map(values, seen, middle).tolist(),
        **dict(zip(("senders", "receivers", "weights"), (each.tolist() for each in messages), strict=True)),
    }


def centre(values: np.ndarray) -> np.ndarray:
    """The middle of a kernel, no wider than the graph."""
    cut = [max((n - WINDOW) // 2, 0) for n in values.shape]
    return values[tuple(slice(c, n - c) for c, n in zip(cut, values.shape, strict=True))]


def warm(told: work.Told) -> None:
    """Compiles what the controls may ask for, so that nobody waits for it."""
    x, sigmas = drawn.face(FIRST[1]), np.arange(*SIGMAS) + SIGMAS[2]
    sizes = range(SIZES[0], SIZES[1] + 1, SIZES[2])
    for done, sigma in enumerate(sigmas):
        view(FIRST[0], x, Choice("gaussian", sigma=float(sigma)))
        told(done, len(sigmas) + len(sizes))
    for done, size in enumerate(sizes, len(sigmas)):
        drawn.face(size)
        told(done, len(sigmas) + len(sizes))
