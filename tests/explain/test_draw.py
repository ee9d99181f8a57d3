"""Drawings are well-formed, say in words what they show, and show the numbers they were given."""

import base64
import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from convzoo.explain import draw

RNG = np.random.default_rng(0)
STEPS = list(range(10))
RUNS = [(STEPS, RNG.uniform(0.1, 1, 10).tolist()) for _ in range(3)]
SVGS = {
    "waveform": lambda: draw.waveform(RNG.normal(size=4000), 8000, label="<a>"),
    "a silent waveform": lambda: draw.waveform([0.0], 8000, label="<a>"),
    "graph": lambda: draw.graph([[0, 0, 1], [1, 1, 0.5]], [[0, 1], [1, 0], [0, 0]], label="<a>"),
    "a graph of one node": lambda: draw.graph([[3, 3, 1]], [], label="<a>"),
    "lines": lambda: draw.lines([draw.Line(RUNS), draw.Line(RUNS[:1])], label="<a>", dots=True),
    "lines of accuracy": lambda: draw.lines([draw.Line(RUNS)], label="<a>", x_scale="log", y_scale="accuracy"),
    "lines at one point": lambda: draw.lines([draw.Line([([1], [1.0])])], label="<a>", y_scale="accuracy"),
    "lines of nothing": lambda: draw.lines([draw.Line([([], [])])], label="<a>"),
    "bars": lambda: draw.bars([draw.Bar("<a>", [0.5, 0.6], "<b>"), draw.Bar("c", [1.0])], label="<a>"),
    "confusion": lambda: draw.confusion([[99, 1], [0, 12345]], ["<a>", "b"], label="<a>"),
    "a perfect confusion": lambda: draw.confusion([[1]], ["a"], label="<a>"),
    "compass": lambda: draw.compass(range(9), label="<a>", limit=8),
    "curve": lambda: draw.curve([1, -1, 0], label="<a>", limit=1),
    **{f"idea {name}": lambda name=name: draw.idea(name) for name in ("seen", "heard", "drawn", "spelled")},
}


def pixels(uri: str) -> np.ndarray:
    image = pytest.importorskip("PIL.Image")
    data = base64.b64decode(re.findall(r"base64,([^\"]+)", uri)[0])
    return np.asarray(image.open(io.BytesIO(data)))


@pytest.mark.parametrize("name", SVGS)
def test_svgs_are_well_formed_and_labelled(name):
    root = ElementTree.fromstring(SVGS[name]())
    assert root.get("role") == "img"
    assert root.get("aria-label")
    assert "nan" not in " ".join(value for node in root.iter() for value in node.attrib.values())


def test_drawing_twice_gives_the_same():
    assert all(draw_it() == draw_it() for name, draw_it in SVGS.items() if name.startswith(("idea", "lines")))


def test_png_holds_its_pixels():
    rgba = RNG.integers(0, 256, (5, 3, 4), np.uint8)
    np.testing.assert_array_equal(pixels(draw.png(rgba)), rgba)


def test_heat_shows_sign_by_colour_and_size_by_opacity():
    rgba = pixels(draw.heat([[1, -0.5], [0, 2]], label="a", limit=1))
    assert tuple(rgba[0, 0]) == (*draw.POSITIVE, 255)
    assert tuple(rgba[0, 1]) == (*draw.NEGATIVE, 128)
    assert rgba[1, 0, 3] == 0
    assert rgba[1, 1, 3] == 255


def test_picture_is_as_dark_as_its_ink_and_says_what_it_is():
    image = draw.picture([[0, 0.5, 1]], label='"three"')
    assert pixels(image)[0, :, 3].tolist() == [0, 128, 255]
    assert 'alt="&quot;three&quot;"' in image


def test_waveform_tells_its_duration():
    assert "0.50 s" in draw.waveform(np.zeros(4000), 8000, label="a")


def test_graph_draws_a_line_once_for_both_directions_and_none_to_itself():
    assert "2 nodes, 1 edges" in SVGS["graph"]()


@pytest.mark.parametrize(("language", "lang"), [("de", ' lang="de"'), ("pt_BR", ' lang="pt-BR"'), ("old <b>", "")])
def test_word_is_escaped_and_knows_its_language(language, lang):
    assert draw.word("<b>&", language) == f'<p class="word" dir="auto"{lang}>&lt;b&gt;&amp;</p>'


def test_lines_draw_a_line_for_each_run_a_band_and_a_mean():
    svg = draw.lines([draw.Line(RUNS)], label="a")
    assert (svg.count('"line run"'), svg.count('"line mean"'), svg.count('"band"')) == (3, 1, 1)


def test_accuracy_spaces_the_nines_evenly():
    values = [0.9, 0.99, 0.999]
    svg = draw.lines([draw.Line([([0, 1, 2], values)])], label="a", y_scale="accuracy")
    ys = [float(y) for _, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", re.findall(r'"line mean" d="([^"]+)"', svg)[0])]
    assert ys[0] - ys[1] == pytest.approx(ys[1] - ys[2], abs=0.11)


def test_confusion_counts_and_names_the_errors():
    svg = SVGS["confusion"]()
    assert "&lt;a&gt; taken for b: 1" in svg
    assert ">99<" in svg
    assert "taken for" in svg
    assert svg.count('class="fill"') == 1


@pytest.mark.parametrize(
    ("shape", "listed", "tag", "tiles"),
    [
        ((3, 3, 1, 40), False, "<img", 32),
        ((3, 3, 3, 4), False, "<img", 4),
        ((5, 40, 8), False, "<img", 8),
        ((9, 1, 8), False, "<svg", 8),
        ((9, 3, 8), True, "<svg", 8),
        ((2, 3, 8), True, "<img", 8),
        ((1, 3, 8), True, "<img", 8),
    ],
)
def test_filters_of_every_kind(shape, listed, tag, tiles):
    drawn = draw.filters(RNG.normal(size=shape), listed=listed)
    assert len(drawn) == tiles
    assert all(tile.startswith(tag) for tile in drawn)


def test_sequence_filters_show_time_to_the_right_and_inputs_upwards():
    kernel = np.zeros((3, 5, 1))
    kernel[2, 0, 0] = 1  # the last moment, the lowest band
    rgba = pixels(draw.filters(kernel)[0])
    assert rgba.shape == (5, 3, 4)
    assert rgba[4, 2, 3] == 255
    assert rgba[..., 3].sum() == 255


def test_compass_places_taps_by_the_names_of_their_directions():
    order = ["self", "N", "NE", "E", "SE", "S", "SW", "W", "NW"]
    kernel = np.zeros((9, 1, 1))
    kernel[3] = 1  # east
    root = ElementTree.fromstring(draw.filters(kernel, listed=True, labels=order)[0])
    full = [(node.get("x"), node.get("y")) for node in root.iter("rect") if node.get("fill-opacity") == "1"]
    assert full == [("36", "18")]


@pytest.mark.parametrize(
    ("number", "text"),
    [(7, "7"), (0.5, "0.50"), (1437, "1.44 K"), (103456, "103 K"), (999_950, "1.00 M"), (4.09e9, "4.09 G")],
)
def test_short(number, text):
    assert draw.short(number) == text


def test_percent_never_rounds_up_to_a_hundred():
    texts = [draw.percent(share) for share in (0.984, 0.99999, 1.0, float("nan"))]
    assert texts == ["98.4 %", ">99.9 %", "100.0 %", "–"]


def test_score_tells_the_spread_between_seeds():
    scores = [draw.score(values) for values in ([0.98, 0.99], [0.98], [1.0, 1.0])]
    assert scores == ["98.5 ± 0.7 %", "98.0 %", "100.00 ± 0.00 %"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: draw.png(np.zeros((2, 2, 3), np.uint8)), r"uint8 \[height, width, 4\].*\[2, 2, 3\]"),
        (lambda: draw.heat([1, 2], label=""), r"\[height, width\].*\[2\]"),
        (lambda: draw.waveform([], 8000, label=""), r"\[samples\]"),
        (lambda: draw.graph([], [], label=""), "at least one node"),
        (lambda: draw.graph([[0, 0, 1]], [[0, 5]], label=""), "1 nodes, but an edge names node 5"),
        (lambda: draw.lines([draw.Line(RUNS)], label="", y_scale="cubic"), "'cubic' is not one of linear, log"),
        (lambda: draw.lines([draw.Line([([1], [1, 2])])], label=""), r"as many xs as ys.*\[1\] and \[2\]"),
        (lambda: draw.confusion([[1]], ["a", "b"], label=""), r"for 2 classes, was given \[1, 1\]"),
        (lambda: draw.compass([1, 2], label="", limit=1), r"9 weights.*\[2\]"),
        (lambda: draw.filters(np.zeros((3, 3))), r"\[3, 3\]"),
        (lambda: draw.idea("smelt"), "'smelt' is not one of seen, heard, drawn, spelled"),
    ],
)
def test_errors_say_what_was_given_and_what_fits(call, message):
    with pytest.raises(ValueError, match=message):
        call()
