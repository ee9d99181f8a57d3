"""convzoo see: a page on a photograph, what is on it, and what cannot be seen."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from convzoo import cli, zoo
from convzoo.apps import classify, see
from convzoo.explain import seen
from convzoo.weights import Label, Recipe
from tests.models.test_models import CASES, fill, filled

image = pytest.importorskip("PIL.Image", reason="Pillow is not installed (the extra `data`)")


@pytest.fixture(scope="module")
def found() -> classify.Classifier:
    """A shrunk network on small pictures, its classes named as no page may take at their word."""
    model = CASES["cifar"].model.clone(num_classes=5)
    labels = tuple(Label("", name) for name in ("<script>", "tea & cake", "c", "d", "e"))
    recipe = Recipe((32, 32), 1.0, "bilinear", (0.5,) * 3, (0.25,) * 3, labels, source="a <file>")
    return classify.Classifier(model, fill(model, np.zeros((1, 32, 32, 3), np.float32)), recipe)


@pytest.fixture(scope="module")
def photograph(tmp_path_factory):
    path = tmp_path_factory.mktemp("see") / "a&b.png"
    pixels = np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)
    image.fromarray(pixels).save(path)
    return path


class Page(HTMLParser):
    """Which elements there are, where they point, and whether each is closed."""

    EMPTY = ("meta", "img", "br", "path", "rect", "circle")

    def __init__(self, text: str):
        super().__init__()
        self.open, self.tags, self.sources = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for key, value in attrs if key in ("src", "href")]
        self.open += [tag] if tag not in self.EMPTY else []

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert tag in self.EMPTY or self.open.pop() == tag


def test_a_page_that_needs_nothing_else(found, photograph):
    """Everything is inside, escaped and closed; progress moves to its end and the figures are on the page."""
    moves = []
    told = see.see(found, photograph, "tiny", fast=True, told=lambda now, of: moves.append((now, of)))
    assert moves == sorted(moves)
    assert moves[-1][0] == moves[-1][1]
    text = seen.page(told)
    page = Page(text)
    assert page.open == []
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert not re.search(r"https?://", text)
    assert "tiny (a &lt;file&gt;)" in text
    assert "a&amp;b.png" in text
    for method, each in told.attributed.items():
        assert method in text
        assert f"{each.deletion:.3f}" in text
        assert 0 <= each.deletion <= 1
    assert [name for name in told.features if f"<b>{name}</b><br>" in text] == ["stem", "stage0", "stage1", "stage2"]
    assert sum(each.probability for each in told.predictions) == pytest.approx(1, abs=1e-5)
    largest = max(told.features["stage2"].mean(axis=(0, 1)))
    last = [each for each in told.excited if each.waypoint == "stage2"]
    assert last[0].map.mean() == pytest.approx(largest)
    assert last[0].peak == pytest.approx(last[0].map.max())
    assert told.photograph.shape == (32, 32, 3)


@pytest.mark.slow
def test_what_channels_look_for(found, photograph):
    """Beside each channel that a picture woke up, and progress within the work."""
    moves = []
    told = see.see(found, photograph, "tiny", told=lambda now, of: moves.append((now, of)))
    assert moves == sorted(moves)
    assert len(moves) > see.STEPS // 8
    woken = sum(each.visualised is not None for each in told.excited)
    assert woken
    assert seen.page(told).count(" looks for") == woken


def test_the_command(found, photograph, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(classify, "classifier", lambda name, source: found)
    out = tmp_path / "page.html"
    assert cli.main(["see", str(photograph), "--fast", "--top", "3", "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["page"] == str(out)
    assert len(told["predictions"]) == 3
    assert set(told["attribution"]["Grad-CAM"]) == {"deletion", "insertion", "seconds"}
    assert "looks for" not in out.read_text()
    assert cli.main(["see", str(photograph), "--fast", "--out", str(out)]) == 0
    assert str(out) in capsys.readouterr().out
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no image")
    assert cli.main(["see", str(bad), "--out", str(tmp_path / "none.html")]) == 1
    assert f"convzoo: {bad}: no image that is known here" in capsys.readouterr().err
    assert not (tmp_path / "none.html").exists()


def test_a_folder_that_is_not_there_is_told_before_the_work(tmp_path, photograph, capsys):
    assert cli.main(["see", str(photograph), "--out", str(tmp_path / "nowhere" / "a.html")]) == 1
    assert "there is no folder" in capsys.readouterr().err


def test_networks_that_cannot_see_are_told(tmp_path, photograph, capsys):
    pytest.importorskip("safetensors", reason="safetensors is not installed (the extra `weights`)")
    weights = tmp_path / "sounds.safetensors"
    zoo.save(weights, CASES["wavecnn"].model, filled("wavecnn"))
    assert cli.main(["see", str(photograph), "--model", "m5", "--weights", str(weights)]) == 1
    assert "m5 does not tell classes of images" in capsys.readouterr().err
    assert cli.main(["see", str(photograph), "--model", "gcn"]) == 1
    assert "no package ships weights of gcn" in capsys.readouterr().err
