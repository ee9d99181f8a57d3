"""Drawing without a drawing library: numbers in, inline SVG, `<img>` with a PNG data URI, or HTML text out.

Every function is pure and needs numpy and the standard library alone. What it returns names its parts by class;
`STYLE` is the style sheet that goes with them, light and dark. One colour is left to the page: `--c`, the accent of
whatever surrounds a drawing. Signed numbers are drawn in two colours (`POSITIVE`, `NEGATIVE`) whose opacity is the
size, so they suit any paper. Each drawing carries its `label` as text for those who do not see it. Texts are escaped.
"""

import base64
import math
import re
import struct
import zlib
from collections.abc import Callable, Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

POSITIVE, NEGATIVE = (217, 101, 37), (58, 124, 190)
# Row-major, as `grid_edges` counts the taps of a 3x3 window.
COMPASS = ("NW", "N", "NE", "W", "self", "E", "SW", "S", "SE")

STYLE = """
:root{--paper:#fbfaf7;--card:#fff;--ink:#1f2023;--soft:#66686e;--line:#e4e1da;--c:#44474d;
--pos:rgb(217,101,37);--neg:rgb(58,124,190)}
@media(prefers-color-scheme:dark){:root{--paper:#141518;--card:#1c1e22;--ink:#e9e7e2;--soft:#a0a2a8;--line:#33363c;
--c:#c9cbd0}}
svg.cz{display:block;width:100%;height:auto;overflow:visible;font:11px system-ui,-apple-system,"Segoe UI",sans-serif}
.cz text{fill:var(--soft);font-variant-numeric:tabular-nums}.cz .ink{fill:var(--ink)}.cz .end{text-anchor:end}
.cz .mid{text-anchor:middle}.cz .grid,.cz .edge{stroke:var(--line);fill:none}.cz .axis{stroke:var(--soft);fill:none}
.cz .fill{fill:var(--c)}.cz .line{stroke:var(--c);fill:none;stroke-linejoin:round}
.cz .band{fill:var(--c);fill-opacity:.14}
.cz .run{stroke-width:1;stroke-opacity:.42}.cz .mean{stroke-width:2}.cz .other{--c:var(--soft)}
.cz .other .mean{stroke-dasharray:5 3}.cz .third .mean{stroke-dasharray:2 3}
.cz .pos{fill:var(--pos)}.cz .neg{fill:var(--neg)}.cz .posline{stroke:var(--pos)}.cz .negline{stroke:var(--neg)}
.cz .cell{fill:var(--card);stroke:var(--line)}.cz .track{fill:var(--line);fill-opacity:.5}
.cz .ring{fill:none;stroke:var(--ink);stroke-width:1.4}
.cz .ray{stroke:var(--ink);stroke-opacity:.3;stroke-width:.8;fill:none}
.cz .arrow{stroke:var(--ink);stroke-opacity:.55;fill:none;stroke-width:.9}
.cz .frame{opacity:0;animation:cz-step 10s steps(1) 3;animation-delay:calc(var(--i)*2.5s)}
.cz .frame.first{opacity:1}
@keyframes cz-step{0%{opacity:1}25%,100%{opacity:0}}
@media(prefers-reduced-motion:reduce){.cz .frame{animation:none}}@media print{.cz .frame{animation:none}}
img.heat,img.drawn{image-rendering:pixelated;display:block;background:var(--card);outline:1px solid var(--line)}
@media(prefers-color-scheme:dark){img.drawn{filter:invert(1);background:#e3e1dd;outline-color:#cac7c1}}
p.word{margin:0;overflow-wrap:anywhere;hyphens:auto;
font:1.12rem/1.35 "Iowan Old Style","Palatino Linotype",Palatino,Georgia,serif}
"""


class Line(NamedTuple):
    """One curve of a chart, a run (xs, ys) per seed: drawn thin, with their range as a band and their mean strong."""

    runs: Sequence[tuple[ArrayLike, ArrayLike]]
    name: str = ""


class Bar(NamedTuple):
    """One bar of a chart: a value in 0..1 per seed, and a remark that stands beside the name."""

    name: str
    values: Sequence[float]
    remark: str = ""


# numbers as words -----------------------------------------------------------------------------------------------------


def short(number: float) -> str:
    """A count with three digits and its thousands as a letter: 103456 -> "103 K", 4.09e9 -> "4.09 G"."""
    size = next((k for k in (4, 3, 2, 1) if abs(number) >= 999.5 * 1000 ** (k - 1)), 0)
    scaled = number / 1000**size
    digits = (
        0 if abs(scaled) >= 99.95 or (size == 0 and float(number).is_integer()) else 1 if abs(scaled) >= 9.995 else 2
    )
    return f"{scaled:.{digits}f}{('', ' K', ' M', ' G', ' T')[size]}"


def percent(share: float, digits: int = 1) -> str:
    """A share in percent, below 1 never rounded up to 100: 0.984 -> "98.4 %", 0.99999 -> ">99.9 %"."""
    if not math.isfinite(share):
        return "–"
    text = f"{100 * share:.{digits}f}"
    return f">{100 - 10**-digits:.{digits}f} %" if share < 1 and float(text) == 100 else f"{text} %"


def spread(values: Sequence[float]) -> float:
    """The sample standard deviation, 0 for a single value."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def score(values: Sequence[float]) -> str:
    """Shares, one per seed, as their mean and standard deviation: "98.4 ± 0.3 %", with two digits from 99.5 % on."""
    mean = float(np.mean(values))
    digits = 2 if mean >= 0.995 else 1
    text = percent(mean, digits)
    return text if len(values) == 1 else f"{text.removesuffix(' %')} ± {100 * spread(values):.{digits}f} %"


# pixels ---------------------------------------------------------------------------------------------------------------


def png(rgba: np.ndarray) -> str:
    """uint8 [height, width, 4] -> a PNG as a data URI."""
    if rgba.ndim != 3 or rgba.shape[-1] != 4 or rgba.dtype != np.uint8:
        raise ValueError(f"png wants uint8 [height, width, 4], was given {rgba.dtype} {list(rgba.shape)}")
    rows = b"".join(b"\0" + row.tobytes() for row in rgba)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", rgba.shape[1], rgba.shape[0], 8, 6, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows, 9)),
        (b"IEND", b""),
    )
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + body).decode()


def _plane(values: ArrayLike, what: str) -> np.ndarray:
    array = np.nan_to_num(np.asarray(values, float))
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"{what} wants [height, width] numbers, was given the shape {list(array.shape)}")
    return array


def _img(kind: str, rgba: np.ndarray, label: str, cell: tuple[float, float]) -> str:
    height, width = round(rgba.shape[0] * cell[0]), round(rgba.shape[1] * cell[1])
    return f'<img class="{kind}" src="{png(rgba)}" width="{width}" height="{height}" alt="{escape(label)}">'


def picture(pixels: ArrayLike, *, label: str, cell: float = 12) -> str:
    """[height, width] of ink in 0..1 -> an `<img>`, dark ink on light paper (light on dark where the page is dark)."""
    ink = np.clip(_plane(pixels, "picture"), 0, 1)
    rgba = np.full((*ink.shape, 4), 28, np.uint8)
    rgba[..., 3] = np.round(255 * ink)
    return _img("drawn", rgba, label, (cell, cell))


def heat(values: ArrayLike, *, label: str, limit: float | None = None, cell: tuple[float, float] = (12, 12)) -> str:
    """[height, width] of signed numbers -> an `<img>`: warm above 0, cool below, as strong as |value| / limit."""
    plane = _plane(values, "heat")
    limit = limit or float(np.abs(plane).max()) or 1.0
    rgba = np.where(plane[..., None] >= 0, (*POSITIVE, 0), (*NEGATIVE, 0)).astype(np.uint8)
    rgba[..., 3] = np.round(255 * np.clip(np.abs(plane) / limit, 0, 1))
    return _img("heat", rgba, label, cell)


# SVG ------------------------------------------------------------------------------------------------------------------


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _tag(name: str, kind: str = "", body: str = "", **attributes: Any) -> str:
    parts = [f'class="{kind}"'] if kind else []
    for key, value in attributes.items():
        text = (
            escape(value)
            if isinstance(value, str)
            else f"{value:.3g}"
            if key.endswith("opacity")
            else _number(float(value))
        )
        parts.append(f'{key.rstrip("_").replace("_", "-")}="{text}"')
    return f"<{name} {' '.join(parts)}>{body}</{name}>" if body else f"<{name} {' '.join(parts)}/>"


def _svg(width: float, height: float, label: str, body: str, style: str = "") -> str:
    label = escape(label)
    style = f' style="{style}"' if style else ""
    box = f"0 0 {_number(width)} {_number(height)}"
    return f'<svg class="cz" viewBox="{box}" role="img" aria-label="{label}"{style}><title>{label}</title>{body}</svg>'


def _text(x: float, y: float, text: str, kind: str = "", **attributes: Any) -> str:
    return _tag("text", kind, escape(text), x=x, y=y, **attributes)


def _path(points: Sequence[tuple[float, float]] | np.ndarray) -> str:
    return "M" + "L".join(f"{_number(x)} {_number(y)}" for x, y in points)


def _signed(value: float, limit: float) -> dict[str, Any]:
    """The class and the opacity that draw a signed number."""
    return {"kind": "pos" if value >= 0 else "neg", "fill_opacity": float(np.clip(abs(value) / limit, 0, 1))}


# what was given -------------------------------------------------------------------------------------------------------


def waveform(samples: ArrayLike, rate: float, *, label: str, width: float = 200, height: float = 84) -> str:
    """[samples] at `rate` a second -> an SVG: the range of the samples in many short stretches, and the duration."""
    wave = np.nan_to_num(np.asarray(samples, float))
    if wave.ndim != 1 or not wave.size or rate <= 0:
        raise ValueError(f"waveform wants [samples] and a positive rate, was given {list(wave.shape)} at {rate}")
    stretches = np.array_split(wave, min(len(wave), int(width)))
    middle, reach = (height - 14) / 2, (height - 16) / 2 / (np.abs(wave).max() or 1)
    xs = np.linspace(0, width, len(stretches))
    top = [(x, middle - reach * part.max() - 0.4) for x, part in zip(xs, stretches, strict=True)]
    bottom = [(x, middle - reach * part.min() + 0.4) for x, part in zip(xs, stretches, strict=True)]
    seconds = f"{len(wave) / rate:.2f} s"
    body = _tag("path", "grid", d=f"M0 {_number(middle)}H{_number(width)}") + _tag(
        "path", "fill", d=_path(top + bottom[::-1]) + "Z"
    )
    body += _text(0, height, "0") + _text(width, height, seconds, "end")
    return _svg(width, height, f"{label}, {seconds}", body)


def graph(nodes: ArrayLike, edges: ArrayLike, *, label: str, size: float = 100) -> str:
    """nodes [nodes, 3] (x to the right, y down, intensity 0..1) and edges [edges, 2] (sender, receiver) -> an SVG."""
    points, pairs = np.asarray(nodes, float).reshape(-1, 3), np.asarray(edges, int).reshape(-1, 2)
    if not len(points):
        raise ValueError("graph wants at least one node, was given none")
    if len(pairs) and (pairs.min() < 0 or pairs.max() >= len(points)):
        raise ValueError(
            f"graph has {len(points)} nodes, but an edge names node {pairs.min() if pairs.min() < 0 else pairs.max()}"
        )
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    span = float((high - low).max()) or 1.0
    places = size / 2 + (points[:, :2] - (low + high) / 2) * (size - 16) / span
    drawn = sorted({(int(min(s, r)), int(max(s, r))) for s, r in pairs if s != r})
    lines = "".join(
        f"M{_number(a[0])} {_number(a[1])}L{_number(b[0])} {_number(b[1])}"
        for a, b in (places[[s, r]] for s, r in drawn)
    )
    dots = "".join(
        _tag("circle", "fill", cx=float(x), cy=float(y), r=4.2, fill_opacity=float(np.clip(0.15 + 0.85 * ink, 0, 1)))
        for (x, y), ink in zip(places, points[:, 2], strict=True)
    )
    cover = _tag(
        "g",
        "",
        "".join(_tag("circle", "", cx=float(x), cy=float(y), r=4.2) for x, y in places),
        style="fill:var(--card)",
    )
    body = (_tag("path", "axis", d=lines, stroke_opacity=0.45) if lines else "") + cover + dots
    return _svg(size, size, f"{label}: {len(points)} nodes, {len(drawn)} edges", body)


def word(text: str, language: str = "") -> str:
    """A written number -> a paragraph; a language code ("de", "pt-BR") lets it be hyphenated and spoken rightly."""
    lang = f' lang="{language}"' if re.fullmatch(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*", language) else ""
    return f'<p class="word" dir="auto"{lang.replace("_", "-")}>{escape(text)}</p>'


# charts ---------------------------------------------------------------------------------------------------------------

# The ones to show first come first.
_ACCURACIES = (1.0, 0.0, 0.9, 0.99, 0.999, 0.5, 0.9999, 0.97, 0.8, 0.95, 0.98, 0.995, 0.998)


def _even_ticks(low: float, high: float) -> list[float]:
    step = 10 ** math.floor(math.log10((high - low) / 4))
    step *= next(k for k in (1, 2, 5, 10) if (high - low) / (k * step) <= 5)
    return [k * step for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _decade_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(low), math.ceil(high) + 1)
    return [10**d for d in decades] + [k * 10**d for k in (3, 2, 5) for d in decades]


class _Scale(NamedTuple):
    place: Callable[[np.ndarray], np.ndarray]
    ticks: Callable[[float, float], list[float]]  # from the placed ends; the ones to show first come first
    text: Callable[[float], str]


_SCALES: dict[str, _Scale] = {
    "linear": _Scale(lambda v: v, _even_ticks, short),
    "log": _Scale(lambda v: np.log10(np.maximum(v, 1e-12)), _decade_ticks, lambda v: f"{v:g}"),
    "share": _Scale(lambda v: np.log10(np.maximum(v, 1e-12)), _decade_ticks, lambda v: f"{100 * v:g} %"),
}


def _accuracy(finest: float) -> _Scale:
    """Accuracies by the logarithm of the errors, none smaller than `finest`."""
    return _Scale(
        lambda v: -np.log10(np.clip(1 - v, finest, 1)), lambda low, high: list(_ACCURACIES), lambda v: f"{100 * v:g} %"
    )


def _axis(scale: _Scale, low: float, high: float, start: float, end: float, gap: float, ticks: Sequence[float] | None):
    """Ticks as (position, text) that keep `gap` from each other, and the function that places values on start..end."""

    def place(values: ArrayLike) -> np.ndarray:
        return np.asarray(start + (scale.place(np.asarray(values, float)) - low) / (high - low) * (end - start))

    shown: list[tuple[float, str]] = []
    for tick in ticks if ticks is not None else scale.ticks(low, high):
        at = float(place(tick))
        inside = min(start, end) - 0.5 <= at <= max(start, end) + 0.5
        if inside and all(abs(at - other) >= gap for other, _ in shown):
            shown.append((at, scale.text(tick)))
    return shown, place


def _clean(run: tuple[ArrayLike, ArrayLike], most: int = 150) -> np.ndarray:
    """A run as [points, 2] without holes, the mean of short stretches where there are more than `most` points."""
    xs, ys = (np.asarray(values, float) for values in run)
    if xs.shape != ys.shape or xs.ndim != 1:
        raise ValueError(f"a run wants as many xs as ys, was given {list(xs.shape)} and {list(ys.shape)}")
    points = np.stack([xs, ys], 1)[np.isfinite(xs) & np.isfinite(ys)]
    return np.array([part.mean(0) for part in np.array_split(points, most)]) if len(points) > most else points


def lines(
    curves: Sequence[Line], *, label: str, x_label: str = "", y_label: str = "", x_scale: str = "linear",
    y_scale: str = "linear", x_ticks: Sequence[float] | None = None, dots: bool = False, finest: float = 1e-4,
    width: float = 360, height: float = 230,
) -> str:  # fmt: skip
    """Curves -> an SVG chart: a thin line for each run, a band for their range, a strong line for their mean.

    Scales: "linear", "log", "share" (a logarithmic axis in percent) and "accuracy" (0..1, drawn by the logarithm of
    the errors, so that 90, 99 and 99.9 % are evenly spaced; fewer errors than `finest` are drawn as `finest`, marked
    100 %). Values that are not finite are left out. The first curve takes the accent colour, the second is dashed and
    grey, the others dotted and grey. Raises ValueError for an unknown scale or runs whose xs and ys differ in length.
    """
    scales = {**_SCALES, "accuracy": _accuracy(finest)}
    for scale in (x_scale, y_scale):
        if scale not in scales:
            raise ValueError(f"the scale {scale!r} is not one of {', '.join(scales)}")
    kept = [[points for points in map(_clean, curve.runs) if len(points)] for curve in curves]
    if not any(kept):
        return _svg(width, 40, f"{label}: nothing was recorded", _text(0, 24, "nothing was recorded"))
    every = np.concatenate([points for runs in kept for points in runs])
    xs, ys = scales[x_scale].place(every[:, 0]), scales[y_scale].place(every[:, 1])
    slack = 0.04 * (np.ptp(ys) or 1)
    ends = {"linear": (0 if 0 <= ys.min() < 0.6 * ys.max() else ys.min() - slack, ys.max() + slack)}
    y_low, y_high = ends.get(y_scale, (ys.min() - slack, ys.max() + slack))
    if y_scale == "accuracy":
        y_low = max(0.0, y_low)
    x_low, x_high = (0.0 if x_scale == "linear" and xs.min() >= 0 else xs.min()), xs.max()
    if x_high - x_low < 1e-9:
        x_low, x_high = x_low - 0.5, x_high + 0.5
    left, right, top, bottom = 46, width - 12, 20, height - 34
    x_marks, x_at = _axis(scales[x_scale], x_low, x_high, left, right, 34, x_ticks)
    y_marks, y_at = _axis(scales[y_scale], y_low, y_high, bottom, top, 17, None)
    parts = (
        [_tag("path", "grid", d="".join(f"M{left} {_number(at)}H{_number(right)}" for at, _ in y_marks))]
        if y_marks
        else []
    )
    parts += [_text(left - 6, at + 3.5, text, "end") for at, text in y_marks]
    parts += [_text(at, bottom + 15, text, "mid") for at, text in x_marks]
    parts += [_text(0, 9, y_label, "ink"), _text(right, height - 3, x_label, "end")]
    for index, runs in reversed(list(enumerate(kept))):
        drawn = [np.stack([x_at(points[:, 0]), y_at(points[:, 1])], 1) for points in runs]
        inner = ""
        if len(runs) > 1:
            grid = np.unique(np.concatenate([points[:, 0] for points in runs]))
            table = np.array([np.interp(grid, points[:, 0], points[:, 1]) for points in runs])
            low, high, mean = (
                np.stack([x_at(grid), y_at(row)], 1) for row in (table.min(0), table.max(0), table.mean(0))
            )
            inner += _tag("path", "band", d=_path(np.concatenate([high, low[::-1]])) + "Z") + _tag(
                "path", "line mean", d=_path(mean)
            )
        inner += "".join(
            _tag("path", f"line {'run' if len(runs) > 1 else 'mean'}", d=_path(points)) for points in drawn
        )
        if dots:
            inner += "".join(
                _tag("circle", "fill", cx=float(x), cy=float(y), r=2.4) for points in drawn for x, y in points
            )
        parts.append(_tag("g", ("first", "other", "other third")[min(index, 2)], inner))
    return _svg(width, height, label, "".join(parts))


def bars(items: Sequence[Bar], *, label: str, width: float = 360) -> str:
    """Bars from 0 to 100 % -> an SVG: the mean over the values, a whisker of one standard deviation, both in words."""
    parts = []
    for index, item in enumerate(items):
        y, values = 36 * index, np.asarray(item.values, float)
        mean = float(values.mean())
        name = escape(item.name) + (
            f' <tspan style="fill:var(--soft)">{escape(item.remark)}</tspan>' if item.remark else ""
        )
        inner = _tag("text", "ink", name, x=0, y=y + 12) + _text(width, y + 12, score(item.values), "ink end")
        inner += _tag("rect", "track", x=0, y=y + 18, width=width, height=7, rx=2)
        inner += _tag("rect", "fill", x=0, y=y + 18, width=max(mean, 0) * width, height=7, rx=2, fill_opacity=0.8)
        if len(values) > 1:
            ends = [float(np.clip(mean + sign * spread(item.values), 0, 1)) * width for sign in (-1, 1)]
            a, b = map(_number, ends)
            inner += _tag("path", "ring", d=f"M{a} {y + 21.5}H{b}M{a} {y + 17.5}v8M{b} {y + 17.5}v8", stroke_width=1)
        parts.append(_tag("g", "other" if index else "first", inner))
    return _svg(width, 36 * len(items), label, "".join(parts))


def confusion(counts: ArrayLike, classes: Sequence[str], *, label: str) -> str:
    """[classes, classes] counts, rows true and columns predicted -> an SVG in which the errors stand out."""
    table = np.asarray(counts)
    if table.shape != (len(classes), len(classes)):
        raise ValueError(
            f"confusion wants [classes, classes] counts for {len(classes)} classes, was given {list(table.shape)}"
        )
    wrong = table * (1 - np.eye(len(classes), dtype=int))
    most, cell, left, top = max(int(wrong.max(initial=0)), 1), 28, 46, 46
    slant = max(map(len, classes), default=0) > 3
    parts = [_text(0, 9, "predicted →"), _text(left - 6, 36, "true ↓", "end")]
    for index, name in enumerate(classes):
        middle = index * cell + cell / 2
        parts.append(_text(left - 6, top + middle + 4, name, "ink end"))
        turn = {"transform": f"rotate(-45 {_number(left + middle)} {top - 7})"} if slant else {}
        parts.append(_text(left + middle - (4 if slant else 0), top - 7, name, "ink" if slant else "ink mid", **turn))
    for true, guess in np.ndindex(*table.shape):
        x, y, count = left + guess * cell, top + true * cell, int(table[true, guess])
        strength = 0.16 + 0.5 * math.sqrt(count / most) if count and true != guess else 0.0
        look: dict[str, Any] = {"kind": "track" if true == guess else "cell"}
        if strength:
            look = {"kind": "fill", "fill_opacity": strength}
        square = _tag("rect", x=x + 0.5, y=y + 0.5, width=cell - 1, height=cell - 1, rx=2, **look)
        if not count:
            parts.append(square)
            continue
        tip = f"{classes[true]} taken for {classes[guess]}: {count}" if strength else ""
        tip = tip and f"<title>{escape(tip)}</title>"
        figure = str(count) if count < 10_000 else short(count).replace(" ", "")
        style = {"style": "font-weight:600"} if strength else {"style": "font-size:10px"}
        parts.append(
            _tag(
                "g",
                "",
                tip + square + _text(x + cell / 2, y + cell / 2 + 4, figure, "ink mid" if strength else "mid", **style),
            )
        )
    return _svg(left + cell * len(classes), top + cell * len(classes), label, "".join(parts))


# what was learned -----------------------------------------------------------------------------------------------------


def compass(weights: ArrayLike, *, label: str, limit: float, order: Sequence[str] = COMPASS, size: float = 54) -> str:
    """[9] weights, one for each direction a neighbour can lie in -> an SVG of 3x3 cells, an arrow to each neighbour.

    `order` names the directions of the weights by `COMPASS`'s names. Raises ValueError for other counts or names.
    """
    values, cell = np.asarray(weights, float), size / 3
    if values.shape != (9,) or sorted(order) != sorted(COMPASS):
        raise ValueError(
            f"compass wants 9 weights for {', '.join(COMPASS)}; was given {list(values.shape)} for {', '.join(order)}"
        )
    parts, arrows = [], ""
    for value, name in zip(values, order, strict=True):
        row, column = divmod(COMPASS.index(name), 3)
        parts.append(_tag("rect", x=column * cell, y=row * cell, width=cell, height=cell, **_signed(value, limit)))
        if name != "self":
            x, y, angle = (column + 0.5) * cell, (row + 0.5) * cell, math.atan2(row - 1, column - 1)
            dx, dy = 0.27 * cell * math.cos(angle), 0.27 * cell * math.sin(angle)
            barbs = [
                (x + dx + 0.2 * cell * math.cos(angle + turn), y + dy + 0.2 * cell * math.sin(angle + turn))
                for turn in (2.4, -2.4)
            ]
            arrows += _path([(x - dx, y - dy), (x + dx, y + dy)]) + _path([barbs[0], (x + dx, y + dy), barbs[1]])
    parts.append(
        _tag("path", "arrow", d=arrows) + _tag("circle", "ink", cx=size / 2, cy=size / 2, r=1.3, fill_opacity=0.6)
    )
    style = f"width:{_number(size)}px;outline:1px solid var(--line);background:var(--card)"
    return _svg(size, size, label, "".join(parts), style)


def curve(weights: ArrayLike, *, label: str, limit: float, width: float = 84, height: float = 42) -> str:
    """[window] weights of a filter over one channel -> an SVG of their course about 0."""
    values = np.asarray(weights, float)
    if values.ndim != 1 or not values.size:
        raise ValueError(f"curve wants [window] weights, was given the shape {list(values.shape)}")
    xs = np.linspace(2, width - 2, len(values)) if len(values) > 1 else np.array([width / 2])
    ys = height / 2 - np.clip(values / limit, -1, 1) * (height / 2 - 3)
    body = _tag("path", "grid", d=f"M0 {_number(height / 2)}H{_number(width)}")
    body += _tag("path", "line", d=_path(np.stack([xs, ys], 1)), stroke_width=1.3)
    if len(values) < 40:
        kinds = np.where(values >= 0, "pos", "neg").tolist()
        body += "".join(_tag("circle", kind, cx=x, cy=y, r=1.6) for kind, x, y in zip(kinds, xs, ys, strict=True))
    style = f"width:{_number(width)}px;outline:1px solid var(--line);background:var(--card)"
    return _svg(width, height, label, body, style)


def filters(kernel: ArrayLike, *, listed: bool = False, labels: Sequence[str] = (), most: int = 32) -> list[str]:
    """A first layer's kernel [*window, in, out] -> a drawing for each of its first `most` filters, all on one scale.

    Over pictures [height, width, in, out]: a square heat map for each of up to four inputs. Over sequences [window,
    in, out]: window to the right, inputs upwards (low bands at the bottom); a curve where there is one input.
    `listed`: the neighbours come from a list of edges [taps, in, out]; nine taps are drawn as a compass for each
    input (`labels` may name the order of the taps by `COMPASS`'s names, row-major without), other numbers of taps as
    a column of taps by inputs.
    """
    weights = np.nan_to_num(np.asarray(kernel, float))
    if weights.ndim not in (3, 4) or 0 in weights.shape or (listed and weights.ndim != 3):
        fits = "[taps, in, out]" if listed else "[window, in, out] or [height, width, in, out]"
        raise ValueError(f"filters wants {fits}, was given the shape {list(weights.shape)}")
    limit = float(np.quantile(np.abs(weights), 0.98)) or float(np.abs(weights).max()) or 1.0
    order = labels if sorted(labels) == sorted(COMPASS) else COMPASS
    inputs = weights.shape[-2]
    names = labels if len(labels) == inputs and not listed else [f"input {i}" for i in range(inputs)]

    def one(index: int) -> str:
        filter_, label = weights[..., index], f"filter {index}"
        if listed and len(filter_) == 9:
            shown = range(min(inputs, 6))
            return "".join(compass(filter_[:, i], label=f"{label}, input {i}", limit=limit, order=order) for i in shown)
        if listed:
            return heat(filter_, label=label, limit=limit, cell=(14, 14))
        if filter_.ndim == 3:
            cell = max(3.0, 48 / max(filter_.shape[:2]))
            planes = [filter_[..., i] for i in range(min(inputs, 4))]
            return "".join(
                heat(p, label=f"{label}, {names[i]}", limit=limit, cell=(cell, cell)) for i, p in enumerate(planes)
            )
        if inputs == 1:
            return curve(filter_[:, 0], label=label, limit=limit)
        return heat(
            filter_.T[::-1],
            label=label,
            limit=limit,
            cell=(float(np.clip(84 / inputs, 2, 8)), max(4.0, 30 / len(filter_))),
        )

    return [one(index) for index in range(min(weights.shape[-1], most))]


# the idea -------------------------------------------------------------------------------------------------------------

_GLYPH = np.array(
    [[c == "#" for c in row] for row in (".......", "..###..", ".#...#.", "....#..", "...#...", "..#....", ".#####.")],
    float,
)
_KERNEL = np.outer([0.5, 1, 0.5], [-1, 0.35, 1])  # its middle row is the kernel of the sequences


def _frames(frames: Sequence[str]) -> str:
    return "".join(
        _tag("g", "frame first" if i == 0 else "frame", body, style=f"--i:{i}") for i, body in enumerate(frames)
    )


def _grid(cells: np.ndarray, x: float, y: float, cell: float, limit: float = 0) -> str:
    """[height, width] as squares: ink where no limit is given, signed otherwise."""
    out = []
    for (row, column), value in np.ndenumerate(cells):
        place = {"x": x + column * cell, "y": y + row * cell, "width": cell - 1, "height": cell - 1}
        out.append(_tag("rect", "track", **place))
        if value:
            out.append(
                _tag("rect", **(_signed(value, limit) if limit else {"kind": "ink", "fill_opacity": 0.75}), **place)
            )
    return "".join(out)


def _idea_seen() -> str:
    padded, cell, x0, x1, y0 = np.pad(_GLYPH, 1), 14, 0, 138, 16
    result = sum(_KERNEL[i, j] * padded[i : i + 7, j : j + 7] for i in range(3) for j in range(3))
    frames = []
    for row, column in ((2, 2), (2, 5), (4, 3), (5, 2)):
        x, y = x0 + (column - 1) * cell, y0 + (row - 1) * cell
        at = (x1 + column * cell, y0 + row * cell)
        taps = "".join(
            _tag("rect", x=x + j * cell, y=y + i * cell, width=cell - 1, height=cell - 1, **_signed(w, 1.25))
            for (i, j), w in np.ndenumerate(_KERNEL)
        )
        rays = (
            f"M{x + 3 * cell - 1} {y}L{at[0]} {at[1]}M{x + 3 * cell - 1} {y + 3 * cell - 1}L{at[0]} {at[1] + cell - 1}"
        )
        rings = _tag("rect", "ring", x=x - 0.5, y=y - 0.5, width=3 * cell, height=3 * cell)
        rings += _tag("rect", "ring", x=at[0] - 0.5, y=at[1] - 0.5, width=cell, height=cell)
        frames.append(taps + _tag("path", "ray", d=rays) + rings)
    return _grid(_GLYPH, x0, y0, cell) + _grid(np.asarray(result), x1, y0, cell, 2) + _frames(frames)


def _idea_drawn() -> str:
    places, cell, x0, x1, y0 = np.argwhere(_GLYPH), 15.5, -2, 136, 8
    index = {(int(r), int(c)): n for n, (r, c) in enumerate(places)}
    near = {
        n: [
            (index[r + i - 1, c + j - 1], _KERNEL[i, j])
            for i in range(3)
            for j in range(3)
            if (r + i - 1, c + j - 1) in index
        ]
        for (r, c), n in index.items()
    }

    def at(n: int, x: float) -> tuple[float, float]:
        return x + (places[n, 1] + 0.5) * cell, y0 + (places[n, 0] + 0.5) * cell

    links = {(a, b) for a in near for b, _ in near[a] if a < b}
    edges = "".join(_path([at(a, x), at(b, x)]) for x in (x0, x1) for a, b in sorted(links))
    dots = "".join(_tag("circle", "ink", cx=at(n, x0)[0], cy=at(n, x0)[1], r=4) for n in near)
    for n in near:
        total = sum(w for _, w in near[n])
        for kind in ({"style": "fill:var(--card)"}, _signed(total, 1.6)):
            dots += _tag("circle", cx=at(n, x1)[0], cy=at(n, x1)[1], r=4.5, **kind)
    frames = []
    for n in (index[2, 5], index[1, 3], index[4, 3], index[6, 3]):
        (x, y), (u, v) = at(n, x0), at(n, x1)
        inner = "".join(
            _tag("path", "posline" if w >= 0 else "negline", d=_path([at(s, x0), (x, y)]), stroke_width=1 + 3 * abs(w))
            for s, w in near[n]
            if s != n
        )
        inner += "".join(
            _tag("circle", "pos" if w >= 0 else "neg", cx=at(s, x0)[0], cy=at(s, x0)[1], r=5.2) for s, w in near[n]
        )
        rings = _tag("circle", "ring", cx=x, cy=y, r=6.6) + _tag("circle", "ring", cx=u, cy=v, r=6.6)
        frames.append(inner + rings + _tag("path", "ray", d=_path([(x + 7, y), (u - 7, v)])))
    return _tag("path", "axis", d=edges, stroke_opacity=0.4) + dots + _frames(frames)


def _idea_heard() -> str:
    t, step = np.arange(24), 10
    wave = np.sin(t / 1.7) * np.exp(-(((t - 10) / 7) ** 2)) + 0.25 * np.sin(t * 1.9) * (t > 12)
    result = sum(_KERNEL[1, j] * np.pad(wave, 1)[j : j + 24] for j in range(3))
    xs = 4 + step * t
    parts = [_tag("path", "grid", d="M0 36H238M0 92H238")]
    for values, base, reach in ((wave, 36, 24), (result, 92, 11)):
        for x, value in zip(xs, np.asarray(values), strict=True):
            kind = "ink" if base == 36 else "pos" if value >= 0 else "neg"
            height = max(abs(value) * reach, 0.6)
            parts.append(
                _tag(
                    "rect",
                    kind,
                    x=x - 2.5,
                    y=base - height if value >= 0 else base,
                    width=5,
                    height=height,
                    fill_opacity=0.75,
                )
            )
    frames = []
    for n in (4, 9, 13, 18):
        taps = "".join(
            _tag("rect", x=xs[n + j - 1] - 4.5, y=6, width=9, height=60, **_signed(_KERNEL[1, j], 2)) for j in range(3)
        )
        ring = _tag("rect", "ring", x=xs[n] - 15, y=6, width=30, height=60) + _tag(
            "rect", "ring", x=xs[n] - 5, y=76, width=10, height=36
        )
        frames.append(
            taps + ring + _tag("path", "ray", d=f"M{xs[n] - 15} 66L{xs[n] - 5} 76M{xs[n] + 15} 66L{xs[n] + 5} 76")
        )
    return "".join(parts) + _frames(frames)


def _idea_spelled() -> str:
    text, cell = "forty-two", 26
    values = np.array([((ord(c) * 37) % 19) / 9 - 1 for c in text])
    result = np.asarray(sum(_KERNEL[1, j] * np.pad(values, 1)[j : j + 9] for j in range(3)))
    parts = []
    for n, letter in enumerate(text):
        x = 2 + n * cell
        parts.append(_tag("rect", "track", x=x, y=14, width=cell - 2, height=38, rx=3))
        parts.append(
            _text(x + 12, 31, letter, "ink mid", style="font-size:15px")
            + _text(x + 12, 45, str(ord(letter)), "mid", style="font-size:9px")
        )
        parts.append(_tag("rect", "track", x=x, y=80, width=cell - 2, height=24, rx=3))
        parts.append(_tag("rect", x=x, y=80, width=cell - 2, height=24, rx=3, **_signed(float(result[n]), 2)))
    frames = []
    for n in (1, 3, 5, 7):
        x = 2 + n * cell
        taps = "".join(
            _tag("rect", x=x + (j - 1) * cell, y=14, width=cell - 2, height=38, rx=3, **_signed(_KERNEL[1, j], 2))
            for j in range(3)
        )
        ring = _tag("rect", "ring", x=x - cell - 1, y=13, width=3 * cell, height=40, rx=4) + _tag(
            "rect", "ring", x=x - 1, y=79, width=cell, height=26, rx=4
        )
        frames.append(
            taps
            + ring
            + _tag("path", "ray", d=f"M{x - cell - 1} 53L{x - 1} 79M{x + 2 * cell - 1} 53L{x + cell - 1} 79")
        )
    return "".join(parts) + _frames(frames)


def idea(modality: str) -> str:
    """A modality ("seen", "heard", ...) -> an SVG: one kernel moving over such an input, and what comes out."""
    drawn = {
        "seen": (_idea_seen, "A window of nine pixels slides over a picture; each position gives one number"),
        "heard": (_idea_heard, "A window of three samples slides along a sound; each position gives one number"),
        "drawn": (
            _idea_drawn,
            "Around each node of a graph of ink its neighbours are summed, weighted by their direction",
        ),
        "spelled": (_idea_spelled, "A window of three bytes slides along a word; each position gives one number"),
    }
    if modality not in drawn:
        raise ValueError(f"the modality {modality!r} is not one of {', '.join(drawn)}")
    body, label = drawn[modality]
    return _svg(240, 122, label, body())
