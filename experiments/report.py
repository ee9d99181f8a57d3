"""The comparison on one page: results in; `comparison.csv`, `comparison.json` and `report.html` out.

A `Row` is one network on one dataset over one or more seeds, a `Mistake` one example that it got wrong; both hold
plain numbers, texts and lists alone. `write` needs no network, no script and no font from elsewhere, and replaces the
page in one step.
"""

import csv
import dataclasses
import io
import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from convzoo.explain import draw

MODALITIES = {"seen": "pictures", "heard": "speech", "drawn": "graphs of ink", "spelled": "bytes"}
COLUMNS = (
    "modality", "dataset", "model", "params", "macs", "receptive_field", "train_examples", "test_examples",
    "accuracy_mean", "accuracy_std", "examples_per_second", "compile_seconds", "seconds",
)  # fmt: skip
MISTAKES = {
    "picture": ("pixels",),
    "waveform": ("samples", "rate"),
    "graph": ("nodes", "edges"),
    "word": ("text", "language"),
}


def _plain(value: Any) -> Any:
    """What JSON can say: arrays as lists, numpy's numbers as Python's, what is not finite as None."""
    if isinstance(value, np.ndarray | np.generic) or hasattr(value, "__array__"):
        value = np.asarray(value).tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _checked(kind: type, given: Mapping[str, Any]) -> dict[str, Any]:
    fields = dataclasses.fields(kind)
    needed = {f.name for f in fields if f.default is f.default_factory is dataclasses.MISSING}
    missing, unknown = sorted(needed - set(given)), sorted(set(given) - {f.name for f in fields})
    if missing or unknown:
        raise ValueError(f"a {kind.__name__} lacks {missing or 'nothing'} and has the unknown {unknown or 'nothing'}")
    return dict(given)


@dataclass(frozen=True)
class Mistake:
    """One example that a network got wrong.

    `data` by `kind`: "picture" {pixels: [height][width] in 0..1}, "waveform" {samples: [n], rate}, "graph" {nodes:
    [[x, y, intensity]], edges: [[sender, receiver]]} with y downwards, "word" {text, language}. `true` and
    `predicted` are names of classes, `probability` is what the network gave the wrong one. Raises ValueError for
    another kind or missing data.
    """

    kind: str
    data: dict[str, Any]
    true: str
    predicted: str
    probability: float

    def __post_init__(self):
        if self.kind not in MISTAKES:
            raise ValueError(f"the mistake's kind {self.kind!r} is not one of {', '.join(MISTAKES)}")
        if missing := [name for name in MISTAKES[self.kind] if name not in self.data]:
            raise ValueError(
                f"a mistake of kind {self.kind!r} holds {', '.join(MISTAKES[self.kind])}; missing: {', '.join(missing)}"
            )

    def to_json(self) -> dict[str, Any]:
        return _plain(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> "Mistake":
        return cls(**_checked(cls, given))


@dataclass(frozen=True)
class Row:
    """One network on one dataset, over one or more seeds.

    `accuracies`: one per seed, 0..1; `extra`: the same for further test sets, by name. `curve`: one dict per seed of
    the lists step, loss, test_step, test_accuracy. `confusion`: [classes][classes] counts, rows true, summed over
    seeds. `filters`: the first layer's kernel [*window, in, out], or [taps, in, out] where drawn; `filter_labels`:
    its inputs' names, or the directions of its nine taps by `draw.COMPASS`'s names (row-major without). `fraction`:
    the share of the training data; `variant`: what is different about a contrast. Raises ValueError for another
    modality, no accuracy, or one outside 0..1.
    """

    modality: str
    dataset: str
    model: str
    params: int
    macs: int
    receptive_field: str
    train_examples: int
    test_examples: int
    accuracies: list[float]
    examples_per_second: float
    compile_seconds: float
    seconds: float
    extra: dict[str, list[float]] = field(default_factory=dict)
    curve: list[dict[str, list[float]]] = field(default_factory=list)
    confusion: list[list[int]] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)
    filters: list[Any] = field(default_factory=list)
    filter_labels: list[str] = field(default_factory=list)
    fraction: float = 1.0
    variant: str = ""

    def __post_init__(self):
        if self.modality not in MODALITIES:
            raise ValueError(f"the modality {self.modality!r} is not one of {', '.join(MODALITIES)}")
        if not self.accuracies or not all(0 <= value <= 1 for value in self.accuracies):
            raise ValueError(
                f"accuracies are one number in 0..1 per seed, at least one; {self.model} has {self.accuracies}"
            )

    @property
    def accuracy_mean(self) -> float:
        return float(np.mean(self.accuracies))

    @property
    def accuracy_std(self) -> float:
        """The sample standard deviation over the seeds; 0 for a single one."""
        return draw.spread(self.accuracies)

    def to_json(self) -> dict[str, Any]:
        return _plain({**vars(self), "mistakes": [mistake.to_json() for mistake in self.mistakes]})

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> "Row":
        fields = _checked(cls, given)
        return cls(**{**fields, "mistakes": [Mistake.from_json(mistake) for mistake in fields.get("mistakes", [])]})


# files ----------------------------------------------------------------------------------------------------------------


def _replace(path: Path | str, text: str) -> None:
    """Writes beside `path` and moves into place, so that nobody ever reads half a file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8", newline="")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _some(rows: Iterable[Row]) -> list[Row]:
    if not (rows := list(rows)):
        raise ValueError("there are no rows: a comparison wants the result of at least one network")
    return rows


def write_csv(rows: Iterable[Row], path: Path | str) -> None:
    """One line a row, `COLUMNS` as the header. Raises ValueError without rows."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(COLUMNS)
    for row in _some(rows):
        values = (getattr(row, name) for name in COLUMNS)
        table.writerow([round(value, 6) if isinstance(value, float) else value for value in values])
    _replace(path, out.getvalue())


def write_json(rows: Iterable[Row], path: Path | str) -> None:
    """Everything the rows hold; `read_json` gives them back. Raises ValueError without rows."""
    _replace(path, json.dumps([row.to_json() for row in _some(rows)], ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path | str) -> list[Row]:
    return [Row.from_json(row) for row in json.loads(Path(path).read_text(encoding="utf-8"))]


def write(
    rows: Iterable[Row], path: Path | str, *, contrasts: Iterable[Row] = (), about: Mapping[str, str] | None = None
) -> None:
    """The report of `rows`, and of any `contrasts`, as one HTML page; `about` (machine, versions, ...) is its footer.

    Contrasts with `fraction` below 1 become curves of accuracy against the share of the data, one for each pair of
    model and variant (a row or contrast of that pair with all the data is its last point); the others become bars
    beside their modality's rows. Raises ValueError without rows.
    """
    _replace(path, page(_some(rows), list(contrasts), about or {}))


# the page -------------------------------------------------------------------------------------------------------------

STYLE = """
*{box-sizing:border-box}html{color-scheme:light dark;scroll-behavior:smooth;-webkit-text-size-adjust:100%}
:root{--seen:#2f6fb3;--heard:#b4552a;--drawn:#2c8263;--spelled:#80549f;
--serif:"Iowan Old Style","Palatino Linotype",Palatino,"Book Antiqua",Georgia,"DejaVu Serif",serif}
@media(prefers-color-scheme:dark){:root{--seen:#7db0e8;--heard:#e6966b;--drawn:#6fc3a2;--spelled:#c3a0df}}
body{margin:0;background:var(--paper);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main,header,footer{max-width:1180px;margin:0 auto;padding:0 clamp(16px,4vw,40px)}
header{padding-top:clamp(36px,7vw,84px)}
h1,h2,h3{font-family:var(--serif);font-weight:500;line-height:1.15;text-wrap:balance;margin:0}
h1{font-size:clamp(2.1rem,5.6vw,3.7rem);letter-spacing:-.018em}h2{font-size:1.75rem;letter-spacing:-.008em}
h3{font-size:1.12rem}
.lede{font:clamp(1.08rem,1.8vw,1.3rem)/1.5 var(--serif);max-width:44em;margin:1.1em 0 0;text-wrap:pretty}
.law{font:italic 1.15rem var(--serif);margin:1em 0 0}
.law small{font:.84rem system-ui,sans-serif;color:var(--soft);margin-left:.9em}
nav{display:flex;flex-wrap:wrap;gap:.3em 1.4em;margin:2.2em 0 0;padding:.75em 0;border-block:1px solid var(--line);
font-size:.9rem}
a{color:inherit;text-decoration-color:var(--line);text-underline-offset:.25em}
a:hover{text-decoration-color:currentColor}
section{margin-top:clamp(48px,7vw,84px)}section>p{max-width:46em;color:var(--soft);margin:.5em 0 0;text-wrap:pretty}
.cards{display:grid;gap:16px;margin-top:1.8em;grid-template-columns:repeat(auto-fit,minmax(min(100%,236px),1fr))}
.two{display:grid;gap:20px;margin-top:1.6em;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr))}
.one{display:grid;gap:20px;margin-top:1.6em;grid-template-columns:minmax(0,1fr)}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:18px;min-width:0;
border-top:3px solid var(--c)}
.seen{--c:var(--seen)}.heard{--c:var(--heard)}.drawn{--c:var(--drawn)}.spelled{--c:var(--spelled)}
.name{color:var(--c);text-transform:capitalize}
.of{color:var(--soft);font-size:.88rem;margin:.15em 0 0;overflow-wrap:anywhere}
.big{font:500 2.35rem/1.1 var(--serif);margin:.5em 0 0;font-variant-numeric:tabular-nums lining-nums}
.big small{font-size:.95rem;color:var(--soft)}
.idea{margin:0 0 .9em;padding:0 0 .6em;border-bottom:1px solid var(--line)}.cards h2{font-size:1.35rem}
.idea svg{max-width:300px;margin:0 auto}
.scroll{overflow-x:auto;margin-top:1.6em;background:var(--card);border:1px solid var(--line);border-radius:10px}
table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums lining-nums}
th,td{padding:.7em .7em;text-align:right;white-space:nowrap;vertical-align:top}
thead th{font-weight:500;color:var(--soft);vertical-align:bottom}
th:first-child,.left{text-align:left}tbody tr{border-top:1px solid var(--line)}
tbody th{font-weight:400;border-left:3px solid var(--c)}
td small,th small{display:block;color:var(--soft)}.best{font-weight:600}
.pair{display:grid;gap:14px 16px;margin-top:16px;grid-template-columns:repeat(auto-fit,minmax(min(100%,200px),1fr))}
.contrast{display:grid;gap:24px 48px;margin-top:18px;
grid-template-columns:repeat(auto-fit,minmax(min(100%,300px),1fr))}.contrast>div{max-width:520px}
.matrix{max-width:400px;margin:16px auto 0}.note{color:var(--soft);font-size:.86rem;margin:.9em 0 0}
.wall{display:grid;gap:14px;margin-top:14px;grid-template-columns:repeat(auto-fill,minmax(150px,1fr))}
.wall.wide{grid-template-columns:repeat(auto-fill,minmax(220px,1fr))}
figure{margin:0;min-width:0}.wall figure{display:flex;flex-direction:column;justify-content:space-between;gap:8px}
figcaption{font-size:.86rem;line-height:1.4}figcaption small{display:block;color:var(--soft)}
.wall svg{max-width:150px}.wide svg{max-width:240px}
.wrong{color:var(--c);font-weight:600}
.sieve{display:flex;flex-wrap:wrap;gap:12px 14px;margin-top:16px;align-items:flex-start}
.sieve>div{display:flex;gap:6px}
.key{display:flex;align-items:center;gap:.6em;color:var(--soft);font-size:.86rem;margin-top:1.2em}
.key i{flex:none;width:120px;height:10px;border-radius:5px;
background:linear-gradient(90deg,var(--neg),transparent,var(--pos))}
.legend{display:flex;flex-wrap:wrap;gap:.2em 1.2em;list-style:none;padding:0;margin:.6em 0 0;font-size:.86rem;
color:var(--soft)}
.legend li:before{content:"";display:inline-block;width:18px;border-top:2px solid var(--c);vertical-align:middle;
margin-right:.5em}
.legend li+li:before{border-top:2px dashed var(--soft)}.legend li+li+li:before{border-top-style:dotted}
footer{margin-top:clamp(56px,8vw,96px);padding-top:1.6em;padding-bottom:4em;color:var(--soft);font-size:.88rem}
dl{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:.35em 1.4em;margin:.8em 0 0}dt{color:var(--ink)}
dd{margin:0;overflow-wrap:anywhere}
@media(max-width:520px){dl{grid-template-columns:1fr}dd{margin-bottom:.6em}.card{padding:14px}
.wall{grid-template-columns:repeat(auto-fill,minmax(104px,1fr))}
.wall.wide{grid-template-columns:repeat(auto-fill,minmax(136px,1fr))}}
@media print{section{break-inside:avoid-page}nav{display:none}}
"""

NEIGHBOURS = {
    "seen": "neighbours: the pixels around",
    "heard": "neighbours: the moments before and after",
    "drawn": "neighbours: whoever an edge names",
    "spelled": "neighbours: the bytes before and after",
}


def _seeds(row: Row) -> str:
    return "one seed" if len(row.accuracies) == 1 else f"{len(row.accuracies)} seeds"


def _card(row: Row, body: str) -> str:
    variant = f", {row.variant}" if row.variant else ""
    head = f'<h3 class="name">{row.modality}</h3><p class="of">{escape(f"{row.dataset} · {row.model}{variant}")}</p>'
    return f'<article class="card {row.modality}">{head}{body}</article>'


def _cards(rows: Sequence[Row], body: Callable[[Row], str], kind: str = "two") -> str:
    """A card for each row for which there is something to show."""
    cards = [_card(row, inner) for row in rows if (inner := body(row))]
    return f'<div class="{kind}">{"".join(cards)}</div>' if cards else ""


def _hero(rows: Sequence[Row]) -> str:
    cards = []
    for modality, what in MODALITIES.items():
        row = next((row for row in rows if row.modality == modality), None)
        result = ""
        if row:
            mean, _, spread = draw.score(row.accuracies).partition(" ±")
            figure = f"{mean} % <small>±{spread.removesuffix(' %')}</small>" if spread else mean
            result = f'<p class="big">{figure}</p><p class="of">{_seeds(row)} · {draw.short(row.params)} parameters</p>'
        head = f'<h2 class="name">{modality}</h2><p class="of">{what}; {NEIGHBOURS[modality]}</p>'
        figure = f'<figure class="idea">{draw.idea(modality)}</figure>'
        cards.append(f'<article class="card {modality}">{figure}{head}{result}</article>')
    return f'<div class="cards">{"".join(cards)}</div>'


def _table(rows: Sequence[Row]) -> str:
    heads = ("Accuracy", "Parameters", "Multiply-adds", "Receptive field", "Examples", "Speed", "Time")
    body = []
    for row in rows:
        extra = "".join(
            f"<small>{escape(name)} {draw.score(values)}</small>" for name, values in row.extra.items() if values
        )
        variant = f", {escape(row.variant)}" if row.variant else ""
        cells = (
            (f'<span class="best">{draw.score(row.accuracies)}</span>', f"<small>{_seeds(row)}</small>{extra}"),
            (draw.short(row.params), ""),
            (draw.short(row.macs), ""),
            (escape(row.receptive_field), ""),
            (f"{row.train_examples:,}", f"<small>tested on {row.test_examples:,}</small>"),
            (_timed(row.examples_per_second, ""), "<small>examples / s</small>"),
            (_timed(row.seconds, " s"), f"<small>compiling {_timed(row.compile_seconds, ' s')}</small>"),
        )
        name = f'<span class="name">{row.modality}</span> · {escape(row.dataset)}'
        name += f"<small>{escape(row.model)}{variant}</small>"
        line = "".join(f"<td>{figure}{remark}</td>" for figure, remark in cells)
        body.append(f'<tr class="{row.modality}"><th scope="row">{name}</th>{line}</tr>')
    head = "".join(f'<th scope="col">{name}</th>' for name in ("Dataset and network", *heads))
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Results, a table that scrolls sideways">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def _timed(value: float | None, unit: str) -> str:
    if value is None or not math.isfinite(value):
        return "–"
    return (f"{value:,.0f}" if value >= 100 else f"{value:.3g}") + unit


def _learning(row: Row) -> str:
    tested = [(seed.get("test_step", []), seed.get("test_accuracy", [])) for seed in row.curve]
    losses = [(seed.get("step", []), seed.get("loss", [])) for seed in row.curve]
    if not any(steps for steps, _ in tested + losses):
        return ""
    shape: dict[str, Any] = {"x_label": "step", "width": 240, "height": 200}
    end = f"{draw.score(row.accuracies)} at the end"
    accuracy = draw.lines(
        [draw.Line(tested)],
        label=f"{row.modality}: test accuracy against step, {end}",
        y_label="test accuracy",
        y_scale="accuracy",
        finest=0.5 / max(row.test_examples, 1),
        **shape,
    )
    loss = draw.lines(
        [draw.Line(losses)],
        label=f"{row.modality}: training loss against step",
        y_label="training loss",
        y_scale="log",
        **shape,
    )
    return f'<div class="pair">{accuracy}{loss}</div>'


def _confusion(row: Row) -> str:
    if not row.confusion:
        return ""
    table = np.asarray(row.confusion)
    wrong = table * (1 - np.eye(len(table), dtype=int))
    first = sorted(zip(*np.nonzero(wrong), strict=True), key=lambda at: -wrong[at])[:3]
    named = "; ".join(f"{escape(row.classes[t])} taken for {escape(row.classes[p])} {wrong[t, p]:,}×" for t, p in first)
    label = f"{row.modality}: confusion matrix, {int(wrong.sum())} of {int(table.sum())} wrong"
    drawing = draw.confusion(table, row.classes, label=label)
    note = f"{int(wrong.sum()):,} of {int(table.sum()):,} wrong" + (f"; most often: {named}." if named else ".")
    return f'<div class="matrix">{drawing}</div><p class="note">{note}</p>'


def _mistake(mistake: Mistake) -> str:
    label = f"{mistake.true}, taken for {mistake.predicted}"
    kinds: dict[str, Callable[[], str]] = {
        "picture": lambda: draw.picture(
            mistake.data["pixels"], label=label, cell=96 / max(1, len(mistake.data["pixels"]))
        ),
        "waveform": lambda: draw.waveform(mistake.data["samples"], mistake.data["rate"], label=label),
        "graph": lambda: draw.graph(mistake.data["nodes"], mistake.data["edges"], label=label),
        "word": lambda: draw.word(mistake.data["text"], mistake.data["language"]),
    }
    note = f"{escape(mistake.data['language'])}, " if mistake.kind == "word" and mistake.data["language"] else ""
    caption = f'{escape(mistake.true)} → <span class="wrong">{escape(mistake.predicted)}</span>'
    caption += f"<small>{note}{draw.percent(mistake.probability)} sure</small>"
    return f"<figure>{kinds[mistake.kind]()}<figcaption>{caption}</figcaption></figure>"


def _mistakes(row: Row, most: int = 12) -> str:
    worst = sorted(row.mistakes, key=lambda mistake: -mistake.probability)[:most]
    wide = " wide" if worst and worst[0].kind in ("waveform", "word") else ""
    return f'<div class="wall{wide}">{"".join(map(_mistake, worst))}</div>' if worst else ""


def _filters(row: Row) -> str:
    if not row.filters:
        return ""
    shape, listed = np.asarray(row.filters).shape, row.modality == "drawn"
    tiles = draw.filters(
        row.filters, listed=listed, labels=row.filter_labels, most=min(32, max(8, 54 // shape[-2])) if listed else 32
    )
    axes = {"drawn": "taps × inputs", "seen": "window × inputs"}.get(
        row.modality, "window (to the right) × inputs (upwards)"
    )
    inputs = (
        f", from left to right {', '.join(map(escape, row.filter_labels))}"
        if len(row.filter_labels) == shape[-2] < 9
        else ""
    )
    count = f"{len(tiles)} of {shape[-1]}" if len(tiles) < shape[-1] else f"All {shape[-1]}"
    size = " × ".join(map(str, shape[:-1]))
    sieve = "".join(f"<div>{tile}</div>" for tile in tiles)
    return f'<div class="sieve">{sieve}</div><p class="note">{count} filters of {size}, {axes}{inputs}.</p>'


def _data_curves(rows: Sequence[Row], contrasts: Sequence[Row]) -> str:
    """Accuracy against the share of the training data, a curve for each model and variant given with less than all."""
    parts = {(row.model, row.variant): {} for row in contrasts if row.fraction < 1}
    for row in (*rows, *contrasts):
        if (row.model, row.variant) in parts:
            parts[row.model, row.variant].setdefault(row.fraction, row)
    if not parts:
        return ""
    curves = []
    for (model, variant), found in parts.items():
        points = [found[share] for share in sorted(found)]
        runs = range(min(len(row.accuracies) for row in points))
        curves.append(
            draw.Line(
                [([r.fraction for r in points], [r.accuracies[i] for r in points]) for i in runs],
                f"{model}{', ' * bool(variant)}{variant}",
            )
        )
    ticks = sorted({row.fraction for found in parts.values() for row in found.values()})
    label = "Test accuracy against the share of the training data: " + "; ".join(curve.name for curve in curves)
    chart = draw.lines(
        curves,
        label=label,
        x_label="share of the training data",
        y_label="test accuracy",
        x_scale="share",
        y_scale="accuracy",
        x_ticks=ticks,
        dots=True,
        finest=0.5 / max(1, *(row.test_examples for row in contrasts)),
    )
    names = "".join(f"<li>{escape(curve.name)}</li>" for curve in curves)
    return f'<div>{chart}<ul class="legend">{names}</ul></div>'


def _variants(rows: Sequence[Row], contrasts: Sequence[Row]) -> str:
    whole = [row for row in contrasts if row.fraction == 1]
    if not whole:
        return ""
    shown = [*rows, *(row for row in whole if row not in rows)]
    items = [
        draw.Bar(row.variant or row.model, row.accuracies, f"{draw.short(row.params)} parameters") for row in shown
    ]
    label = "Test accuracy: " + "; ".join(f"{item.name} {draw.score(item.values)}" for item in items)
    return f"<div>{draw.bars(items, label=label)}</div>"


def _contrasts(rows: Sequence[Row], contrasts: Sequence[Row]) -> str:
    cards = []
    for modality, what in MODALITIES.items():
        ours, theirs = ([row for row in group if row.modality == modality] for group in (rows, contrasts))
        body = _variants(ours, theirs) + _data_curves(ours, theirs)
        if body:
            head = f'<h3 class="name">{modality}</h3><p class="of">{what}</p>'
            cards.append(f'<article class="card {modality}">{head}<div class="contrast">{body}</div></article>')
    return f'<div class="one">{"".join(cards)}</div>' if cards else ""


def _all_filters(rows: Sequence[Row]) -> str:
    cards = _cards(rows, _filters, "one")
    note = "weights, one scale for each network; the largest 2 % share the full colour"
    return cards and f'<p class="key"><span>−</span><i></i><span>+</span><span>{note}</span></p>{cards}'


SECTIONS: tuple[tuple[str, str, str, Callable[[Sequence[Row], Sequence[Row]], str]], ...] = (
    (
        "results",
        "Results",
        "Accuracy on examples never trained on: the mean over the seeds, ± one standard deviation between them.",
        lambda rows, contrasts: _table(rows),
    ),
    (
        "learning",
        "Learning",
        "A thin line for each seed, their mean strong, their range shaded. Accuracy is drawn by the logarithm of the "
        "errors, so that each further nine is one step up; 100 % stands where half an error would. Loss is on a "
        "logarithmic axis too.",
        lambda rows, contrasts: _cards(rows, _learning),
    ),
    (
        "confusions",
        "Confusions",
        "A row for what it was, a column for what the network said, counted over all seeds. Errors are coloured; what "
        "is right stays quiet.",
        lambda rows, contrasts: _cards(rows, _confusion),
    ),
    (
        "mistakes",
        "The worst mistakes",
        "Where a network was surest of a wrong answer: what it was → what it was taken for.",
        lambda rows, contrasts: _cards(rows, _mistakes, "one"),
    ),
    (
        "filters",
        "First filters",
        "What the first convolution of each network learned to look for: its kernel, from one of the seeds. Warm "
        "weights add, cool ones take away.",
        lambda rows, contrasts: _all_filters(rows),
    ),
    (
        "contrasts",
        "Contrasts",
        "What each choice is worth: the same task with something taken away, and with less to learn from.",
        _contrasts,
    ),
)


def page(rows: Sequence[Row], contrasts: Sequence[Row] = (), about: Mapping[str, str] | None = None) -> str:
    """The report as a text of HTML."""
    sections = [
        (name, title, text, inner) for name, title, text, draw_it in SECTIONS if (inner := draw_it(rows, contrasts))
    ]
    links = "".join(f'<a href="#{name}">{title}</a>' for name, title, _, _ in sections)
    body = "".join(
        f'<section id="{name}"><h2>{title}</h2><p>{text}</p>{inner}</section>' for name, title, text, inner in sections
    )
    facts = "".join(
        f"<dt>{escape(str(name))}</dt><dd>{escape(str(value))}</dd>" for name, value in (about or {}).items()
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>One convolution, four modalities</title>
<style>{draw.STYLE}{STYLE}</style>
</head>
<body>
<header>
<h1>One convolution, four modalities</h1>
<p class="lede">A convolution is a weighted sum over a few named neighbours, each with its own slice \
of one shared kernel: on a grid the neighbours follow from the offset, on a graph they are listed, and the same core \
serves images, sound, graphs and bytes.</p>
<p class="law">y<sub>r</sub> = Σ w · x<sub>s</sub> · kernel<sub>t</sub>\
<small>over every neighbour s of r that tap t names</small></p>
{_hero(rows)}
<nav aria-label="Sections">{links}</nav>
</header>
<main>
{body}
</main>
<footer>
<h2 style="font-size:1.2rem">About this run</h2>
<dl>{facts or "<dt>Nothing was noted</dt>"}</dl>
</footer>
</body>
</html>
"""
