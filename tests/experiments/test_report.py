"""The report: what is written can be read back, holds every row, stands alone, and trusts no text."""

import csv
import dataclasses
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from experiments import report

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
GLYPH = np.array(
    [
        [c == "#" for c in row]
        for row in ("........", "..####..", ".#....#.", "......#.", "....##..", "......#.", ".#....#.", "..####..")
    ]
)


SPELLED = [
    ("quatre mille neuf cent vingt et un", "fr"),
    ("neuntausendneunhundertneunundneunzig", "de"),
    ("nine hundred and six", "en"),
    ("siedemset dziewięć", "pl"),
]
KINDS = {  # modality: kind of mistake, model, receptive field
    "seen": ("picture", "resnet8", "all of 8×8"),
    "heard": ("waveform", "resnet8_1d", "31 frames"),
    "drawn": ("graph", "graph_resnet", "6 hops"),
    "spelled": ("word", "byte_conv", "27 bytes"),
}


def some_mistake(kind: str, rng: np.random.Generator) -> report.Mistake:
    """An invented mistake of one kind."""
    ink = np.clip(GLYPH * rng.uniform(0.5, 1, GLYPH.shape) + (rng.random(GLYPH.shape) < 0.06) * 0.4, 0, 1)
    places = np.argwhere(ink > 0)
    near = np.abs(places[:, None] - places[None]).max(-1) == 1
    time = np.arange(4000) / 8000
    sound = np.sin(2 * np.pi * 140 * time) * np.exp(-(((time - 0.2) / 0.09) ** 2)) * rng.normal(1, 0.3, 4000)
    text, language = SPELLED[rng.integers(4)]
    nodes = [[float(x), float(y), float(ink[y, x])] for y, x in places]
    data = {
        "picture": {"pixels": ink.tolist()},
        "graph": {"nodes": nodes, "edges": np.argwhere(near).tolist()},
        "waveform": {"samples": sound.tolist(), "rate": 8000},
        "word": {"text": text, "language": language},
    }[kind]
    true, predicted = rng.choice(WORDS, 2, replace=False)
    return report.Mistake(kind, data, str(true), str(predicted), float(rng.uniform(0.5, 0.999)))


def some_row(modality: str, level: float, window: tuple[int, ...], seed: int) -> report.Row:
    """An invented row, plausible enough to look at."""
    rng, (kind, model, reach) = np.random.default_rng(seed), KINDS[modality]
    accuracies = np.clip(level + rng.normal(0, 0.004, 3), 0, 0.9999).tolist()
    steps, tests = np.arange(0, 700, 5), np.arange(0, 701, 50)
    losses = [0.05 + 2.3 * np.exp(-steps / 90) * rng.lognormal(0, 0.15, 140) + 0.02 * rng.random(140) for _ in range(3)]
    scores = [final - (final - 0.1) * np.exp(-tests / 80) + rng.normal(0, 0.004, 15) for final in accuracies]
    curve = [
        {
            "step": steps.tolist(),
            "loss": l.tolist(),
            "test_step": tests.tolist(),
            "test_accuracy": a.clip(0, 1).tolist(),
        }
        for l, a in zip(losses, scores, strict=True)  # noqa: E741
    ]
    wrong = rng.poisson((1 - level) * 9, (10, 10)) * (1 - np.eye(10, dtype=int))
    kernel = rng.normal(0, 0.3, window)
    return report.Row(
        modality=modality,
        dataset=f"digits_{modality}",
        model=model,
        params=int(rng.integers(75_000, 130_000)),
        macs=int(rng.integers(10**6, 10**7)),
        receptive_field=reach,
        train_examples=1437,
        test_examples=360,
        accuracies=accuracies,
        examples_per_second=5431.2,
        compile_seconds=6.31,
        seconds=64.2,
        extra={"unseen accents": [0.951, 0.948, 0.955]} if modality == "heard" else {},
        curve=curve,
        confusion=(wrong + np.diag(rng.integers(95, 112, 10))).tolist(),
        classes=WORDS,
        mistakes=[some_mistake(kind, rng) for _ in range(12)],
        filters=(kernel + 0.7 * np.roll(kernel, 1, 0) + 0.7 * np.roll(kernel, 1, 1)).tolist(),
        filter_labels=["ink", "x", "y"] if modality == "drawn" else [],
    )


def some_rows() -> list[report.Row]:
    return [
        some_row("seen", 0.984, (3, 3, 1, 24), 1),
        some_row("heard", 0.965, (3, 40, 48), 2),
        some_row("drawn", 0.977, (9, 3, 48), 3),
        some_row("spelled", 0.995, (3, 32, 64), 4),
    ]


def some_contrast(modality: str, model: str, variant: str, fraction: float, level: float) -> report.Row:
    noise = np.random.default_rng(len(variant) + len(modality)).normal(0, 0.006, 3)
    accuracies = np.clip(level + noise, 0, 1).tolist()
    fields = {"fraction": fraction, "variant": variant}
    return report.Row(
        modality, f"digits_{modality}", model, 101_000, 10**6, "", 1437, 360, accuracies, 1, 1, 1, **fields
    )


def some_contrasts() -> list[report.Row]:
    found = [
        some_contrast("drawn", "graph_resnet", "one tap (GCN)", 1.0, 0.903),
        some_contrast("drawn", "graph_resnet", "two taps", 1.0, 0.949),
        some_contrast("drawn", "graph_resnet", "nine taps, no places", 1.0, 0.975),
        some_contrast("heard", "resnet8_1d", "raw waveform", 1.0, 0.938),
    ]
    for modality, (_, model, _) in KINDS.items():
        found.append(some_contrast(modality, "mlp", "no convolution", 1.0, 0.93))
        for share, level in ((0.01, 0.45), (0.05, 0.8), (0.2, 0.94)):
            found.append(some_contrast(modality, model, "", share, level))
            found.append(some_contrast(modality, "mlp", "no convolution", share, level - 0.15))
    return found


ABOUT = {
    "machine": "2 CPU cores",
    "versions": "jax 0.10.2, flax 0.12.8",
    "date": "2026-11-23",
    "command": "python -m experiments.compare --full",
}


class Reader(HTMLParser):
    """Checks that what is opened is closed, and collects the texts, the ids and the attributes that fetch something."""

    VOID = frozenset({"meta", "img", "br", "link", "input", "hr"})

    def __init__(self, page: str):
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open[-1:] == [tag], f"</{tag}> closes {self.open}"
        self.open.pop()

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.texts.append(data)


@pytest.fixture(scope="module")
def page() -> str:
    return report.page(some_rows(), some_contrasts(), ABOUT)


def test_csv_has_the_columns_and_the_values(tmp_path):
    rows = some_rows()
    report.write_csv(rows, tmp_path / "new" / "comparison.csv")
    header, *lines = csv.reader((tmp_path / "new" / "comparison.csv").read_text().splitlines())
    assert ",".join(header) == (
        "modality,dataset,model,params,macs,receptive_field,train_examples,test_examples,accuracy_mean,accuracy_std,"
        "examples_per_second,compile_seconds,seconds"
    )
    assert len(lines) == len(rows)
    for row, line in zip(rows, lines, strict=True):
        read = dict(zip(header, line, strict=True))
        assert (read["modality"], read["model"], int(read["params"])) == (row.modality, row.model, row.params)
        assert float(read["accuracy_mean"]) == pytest.approx(np.mean(row.accuracies), abs=1e-6)
        assert float(read["accuracy_std"]) == pytest.approx(np.std(row.accuracies, ddof=1), abs=1e-6)
        assert float(read["seconds"]) == row.seconds


def test_one_seed_has_no_spread():
    row = dataclasses.replace(some_rows()[0], accuracies=[0.5])
    assert (row.accuracy_mean, row.accuracy_std) == (0.5, 0.0)
    assert "one seed" in report.page([row])


def test_rows_survive_json(tmp_path):
    rows = [*some_rows(), *some_contrasts()]
    report.write_json(rows, tmp_path / "comparison.json")
    assert report.read_json(tmp_path / "comparison.json") == rows


def test_arrays_and_what_is_not_finite_become_json():
    row = dataclasses.replace(
        some_rows()[0], filters=np.ones((3, 3, 1, 2), np.float32), params=np.int64(7),
        curve=[{"step": [1, 2], "loss": [1.0, math.nan], "test_step": [], "test_accuracy": []}],
    )  # fmt: skip
    back = report.Row.from_json(json.loads(json.dumps(row.to_json(), allow_nan=False)))
    assert (np.shape(back.filters), back.params, back.curve[0]["loss"]) == ((3, 3, 1, 2), 7, [1.0, None])
    Reader(report.page([back]))


def test_json_that_does_not_fit_is_refused_by_name():
    given = some_rows()[0].to_json()
    given["colour"] = given.pop("macs")
    with pytest.raises(ValueError, match=r"lacks \['macs'\] and has the unknown \['colour'\]"):
        report.Row.from_json(given)


def test_the_page_holds_every_row(page):
    text = " ".join(Reader(page).texts)
    for row in some_rows():
        for what in (row.dataset, row.model, row.receptive_field, *row.extra, *(m.true for m in row.mistakes)):
            assert what in text
    for what in (*(row.variant for row in some_contrasts()), *ABOUT, *ABOUT.values()):
        assert what in text
    assert text.count("One convolution, four modalities") == 2


def test_the_page_is_well_formed_and_accessible(page):
    tags = Reader(page).tags
    assert all(attrs.get("alt") for tag, attrs in tags if tag == "img")
    assert all(attrs.get("aria-label") and attrs.get("role") == "img" for tag, attrs in tags if tag == "svg")
    assert all(attrs.get("scope") in ("col", "row") for tag, attrs in tags if tag == "th")
    ids = {attrs["id"] for _, attrs in tags if "id" in attrs}
    assert {attrs["href"] for tag, attrs in tags if tag == "a"} == {f"#{name}" for name in ids}


def test_the_page_fetches_nothing_and_is_small(page):
    assert not {tag for tag, _ in Reader(page).tags} & {"script", "link", "iframe", "object"}
    assert not re.search(r"https?:|@import|url\(", page)
    assert all((attrs.get("src") or "data:").startswith("data:") for _, attrs in Reader(page).tags)
    assert len(page.encode()) < 1_000_000


def test_hostile_texts_stay_texts():
    bad = """<script>alert(1)</script>"'&"""
    word = report.Mistake("word", {"text": bad, "language": bad}, bad, bad, 0.9)
    row = dataclasses.replace(
        some_rows()[2], dataset=bad, model=bad, receptive_field=bad, classes=[bad] * 10, mistakes=[word],
        filter_labels=[bad] * 3, extra={bad: [0.5]}, variant=bad,
    )  # fmt: skip
    others = [dataclasses.replace(row, fraction=0.1), dataclasses.replace(row, accuracies=[0.1])]
    page = report.page([row], others, {bad: bad})
    assert "<script" not in page
    read = Reader(page)
    assert bad in read.texts
    assert not {name for _, attrs in read.tags for name in attrs if name.startswith("on")}


def test_a_bare_row_is_enough():
    bare = report.Row("seen", "digits_seen", "m", 1, 1, "", 1, 1, [1.0], math.nan, math.nan, math.inf)
    page = report.page([bare])
    Reader(page)
    assert 'id="results"' in page
    assert 'id="learning"' not in page
    assert 'id="contrasts"' not in page


@pytest.mark.parametrize("write", [report.write, report.write_csv, report.write_json])
def test_no_rows_are_refused(write, tmp_path):
    with pytest.raises(ValueError, match="there are no rows"):
        write([], tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_the_page_is_replaced_in_one_step(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("old")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        report.write(some_rows()[:1], path)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    assert path.read_text() == "old"
    monkeypatch.undo()
    report.write(some_rows()[:1], path)
    assert path.read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"modality": "smelt"}, "modality 'smelt' is not one of seen, heard, drawn, spelled"),
        ({"accuracies": []}, "at least one"),
        ({"accuracies": [98.4]}, r"in 0\.\.1"),
    ],
)
def test_a_row_says_what_is_wrong(fields, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(some_rows()[0], **fields)


def test_a_mistake_says_what_is_wrong():
    with pytest.raises(ValueError, match="'smell' is not one of picture, waveform, graph, word"):
        report.Mistake("smell", {}, "a", "b", 0.5)
    with pytest.raises(ValueError, match="missing: rate"):
        report.Mistake("waveform", {"samples": []}, "a", "b", 0.5)
