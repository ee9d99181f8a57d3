"""The page of ``convzoo see``: a photograph, what a network says it is, where it looked and what its layers answered.

Self-contained HTML: styles and pictures are inside, there is no script. Light, dark, and narrow.
"""

from html import escape
from typing import Any

import numpy as np

from convzoo.explain import draw
from convzoo.explain.maps import strongest

MAPS = 12  # channels of each waypoint
SMALLEST = 2  # places along a side, below which a waypoint is no picture

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{style}</style></head><body><main>
{body}
</main></body></html>
"""

LAYOUT = """
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:60rem;margin:0 auto;padding:1.5rem 1rem 3rem}h1{font-size:1.5rem;line-height:1.2;margin:0 0 .2rem}
h2{font-size:1.1rem;margin:2.4rem 0 .3rem}p{margin:.2rem 0 .9rem;max-width:44rem}.soft,figcaption{color:var(--soft)}
figure{margin:0}figcaption{font-size:.85rem;line-height:1.35;margin-top:.3rem;overflow-wrap:anywhere}
figcaption b{color:var(--ink);font-weight:600}
.first>div{max-width:26rem}.grid{display:grid;gap:1rem;grid-template-columns:repeat(auto-fill,minmax(8.8rem,1fr))}
.wide{grid-template-columns:repeat(auto-fill,minmax(12rem,1fr))}
.first{display:grid;gap:1.5rem;grid-template-columns:14rem 1fr;align-items:start;margin-top:1rem}
.photo{position:relative;aspect-ratio:RATIO;background:url(PHOTOGRAPH) center/cover;overflow:hidden;border-radius:3px}
.over::before{content:"";position:absolute;inset:0;backdrop-filter:grayscale(1) brightness(.62)}
.over img{position:absolute;inset:0;width:100%;height:100%;background:none;outline:0;image-rendering:auto;opacity:.85}
.row{display:grid;grid-template-columns:5.5rem 1fr;gap:.8rem;align-items:start;margin:0 0 .9rem}
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(4rem,1fr));gap:.35rem}
.tiles img{width:100%;height:auto;aspect-ratio:RATIO}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:.3rem}.pair img{width:100%;height:100%}
.pair>img{border-radius:3px;object-fit:cover}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.9rem}
th,td{padding:.25rem .9rem .25rem 0;text-align:right;border-bottom:1px solid var(--line)}
th:first-child,td:first-child{text-align:left}th{font-weight:500;color:var(--soft)}td.best{font-weight:700}
@media(max-width:34rem){.first{grid-template-columns:1fr}.first .photo{max-width:16rem}
.grid,.wide{grid-template-columns:1fr 1fr;gap:.7rem}.row{grid-template-columns:1fr;gap:.2rem}th,td{padding-right:.6rem}}
"""


def page(told: Any) -> str:
    """``apps.see.Seen`` -> HTML."""
    likeliest = told.predictions[0].name
    height, width = told.photograph.shape[:2]
    style = LAYOUT.replace("RATIO", f"{width}/{height}").replace("PHOTOGRAPH", opaque(told.photograph))
    sections = (opening, looked, methods, channels, depths, times)
    body = "\n".join(filter(None, (section(told) for section in sections)))
    return PAGE.format(title=escape(f"{told.file.name}: {likeliest}"), style=draw.STYLE + style, body=body)


def opening(told: Any) -> str:
    bars = [draw.Bar(each.name, [each.probability]) for each in told.predictions]
    first = told.predictions[0]
    return (
        f"<h1>{escape(first.name)}, {draw.percent(first.probability)}</h1>"
        f'<p class="soft">{escape(told.file.name)}, seen by {escape(told.model)} ({escape(told.weights)})</p>'
        f'<div class="first"><figure><div class="photo" role="img" aria-label="the photograph"></div><figcaption>What '
        f"the network was shown: {told.photograph.shape[1]} × {told.photograph.shape[0]} pixels</figcaption></figure>"
        f"<div>{draw.bars(bars, label='the likeliest classes')}</div></div>"
    )


def looked(told: Any) -> str:
    shown = zip(told.predictions, told.cams, strict=False)
    figures = (over(cam, f"<b>{escape(each.name)}</b>, {draw.percent(each.probability)}") for each, cam in shown)
    return section(
        "Where it looked, class by class",
        "Grad-CAM: the channels of the last layer that has places, weighted by how much each speaks for the class.",
        f'<div class="grid">{"".join(figures)}</div>',
    )


def methods(told: Any) -> str:
    figures = (over(each.map, f"<b>{escape(name)}</b>") for name, each in told.attributed.items())
    least = min(each.deletion for each in told.attributed.values())
    most = max(each.insertion for each in told.attributed.values())
    rows = "".join(
        f"<tr><td>{escape(name)}</td>{cell(each.deletion, least)}{cell(each.insertion, most)}"
        f"<td>{each.seconds:.1f} s</td></tr>"
        for name, each in told.attributed.items()
    )
    table = f"<table><tr><th>method</th><th>deletion</th><th>insertion</th><th>time</th></tr>{rows}</table>"
    return section(
        "The same question, asked in other ways",
        f"Six methods on “{escape(told.predictions[0].name)}”. Warm speaks for the class, cool against it.",
        f'<div class="grid">{"".join(figures)}</div>',
    ) + section(
        "Which of them to believe",
        "Deletion: the mean probability of the class while the pixels that a map points to go, so less is better. "
        "Insertion: the same while they come into a blurred photograph, so more is better.",
        table,
    )


def channels(told: Any) -> str:
    figures = []
    for each in told.excited:
        caption = f"<b>{escape(each.waypoint)}</b>, channel {each.channel}: {each.peak:.3g}"
        wanted = ""
        if each.visualised is not None:
            pixels = np.round(255 * each.visualised).astype(np.uint8)
            wanted = f'<img src="{opaque(pixels)}" alt="what channel {each.channel} of {each.waypoint} looks for">'
        pair = overlay(each.map, f"where channel {each.channel} of {each.waypoint} answered") + wanted
        kind = "pair" if wanted else ""
        figures.append(f'<figure><div class="{kind}">{pair}</div><figcaption>{caption}</figcaption></figure>')
    seen = any(each.visualised is not None for each in told.excited)
    words = " Beside it the picture, found by gradient ascent, to which the channel answers most." if seen else ""
    return section(
        "The channels that answered most, by depth",
        f"Where a channel answered, and its largest answer; of each depth those with the largest mean.{words}",
        f'<div class="grid wide">{"".join(figures)}</div>',
    )


def depths(told: Any) -> str:
    rows = []
    for name, each in told.features.items():
        if each.ndim != 3 or min(each.shape[:2]) < SMALLEST:
            continue
        tiles = "".join(
            draw.heat(each[..., channel], label=f"{name}, channel {channel}", cell=(1, 1))
            for channel in strongest(each, MAPS)
        )
        size = f"{each.shape[0]} × {each.shape[1]}, {each.shape[2]} channels"
        rows.append(f'<div class="row"><figcaption><b>{escape(name)}</b><br>{size}</figcaption>'
                    f'<div class="tiles">{tiles}</div></div>')  # fmt: skip
    words = f"The {MAPS} channels of each waypoint that vary most, from the input on. Each has its own scale."
    return section("Feature maps, by depth", words, "".join(rows))


def times(told: Any) -> str:
    listed = ", ".join(f"{escape(name)} {each:.1f} s" for name, each in told.seconds.items())
    return f'<h2>Time</h2><p class="soft">{sum(told.seconds.values()):.1f} s in all: {listed}.</p>'


def section(title: str, words: str, body: str) -> str:
    return f'<h2>{title}</h2><p class="soft">{words}</p>{body}'


def cell(value: float, best: float) -> str:
    return f"<td{' class=best' if value == best else ''}>{value:.3f}</td>"


def over(values: np.ndarray, caption: str) -> str:
    return f"<figure>{overlay(values, 'where the network looked')}<figcaption>{caption}</figcaption></figure>"


def overlay(values: np.ndarray, label: str) -> str:
    """A signed map over the photograph in grey, its strongest hundredth at full colour."""
    limit = float(np.quantile(np.abs(values), 0.99)) or None
    return f'<div class="photo over">{draw.heat(values, label=label, limit=limit, cell=(1, 1))}</div>'


def opaque(pixels: np.ndarray) -> str:
    """uint8 [height, width, 3] -> a data URI."""
    return draw.png(np.concatenate([pixels, np.full_like(pixels[..., :1], 255)], axis=-1))
