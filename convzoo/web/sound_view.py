"""A recording as HTML: waveform, spectrogram and words on one time axis; the mel filters; what the first layer answers.

Needs no drawing library; widths are shares of what the page has.
"""

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

import numpy as np

from convzoo.apps.listen import RATE, WINDOW, Heard, Listener, frames, log_mel
from convzoo.core import audio
from convzoo.data import recordings
from convzoo.explain import draw
from convzoo.web.photo_view import bar

INK = (51, 85, 127)  # the accent: its opacity is how loud a band is
FILTERS = 10


def first_layer(found: Listener, heard: Heard) -> tuple[np.ndarray, np.ndarray, float]:
    """The filters whose answers vary most over the first 6.4 s: (kernels [taps, bands, FILTERS], answers [time,
    FILTERS], seconds). Depthwise and pointwise are one kernel here."""
    samples = next(recordings.sliced(recordings.blocks(heard.file, RATE), WINDOW))[1]
    length = np.array([len(samples)], np.int32)
    wave = np.pad(samples, (0, WINDOW - len(samples)))[None]
    mels = log_mel(wave, length)
    _, features = found.model.apply(found.variables, mels, train=False, length=frames(length))
    name, answers = next(iter(features.items()))
    stride = round(mels.shape[1] / answers.shape[1])
    answers = np.asarray(answers)[0, : max(int(frames(len(samples))) // stride, 1)]
    most = np.argsort(-answers.std(axis=0))[:FILTERS]
    layer = found.variables["params"][name]
    kernel = np.asarray(layer["depthwise0"]["kernel"])[:, 0, :, None] * np.asarray(layer["point0"]["kernel"])
    return kernel[..., most], answers[:, most], len(samples) / RATE


def view(found: Listener, heard: Heard) -> str:
    """The whole picture of what was heard."""
    assert heard.overview
    return "".join(
        (
            f'<section class="cz-card"><h3>What was heard</h3>{told(heard)}',
            f'<div class="cz-sound">{"".join(rows(heard))}</div>{words(heard)}</section>',
            '<section class="cz-card"><h3>The filters</h3><div class="cz-two">',
            f"<figure>{mel_filters(heard.overview.mels.shape[1])}<figcaption>Mel filters: how the spectrum becomes",
            f" {heard.overview.mels.shape[1]} bands, narrow below and wide above.</figcaption></figure>",
            f"<figure>{learned(*first_layer(found, heard))}</figure></div></section>",
        )
    )


def told(heard: Heard) -> str:
    said = " ".join(word.word for word in heard.words)
    text = f"“{escape(said)}”" if said else "No words that this network knows (the ten digits, in English)."
    return f'<p class="cz-said-words" id="heard-words" role="status">{text}</p>'


def rows(heard: Heard) -> Iterator[str]:
    """Drawings whose width is the recording's length."""
    overview, seconds = heard.overview, max(heard.seconds, 1e-3)
    assert overview
    spans = "".join(
        f'<span style="left:{100 * w.start / seconds:.2f}%;width:{100 * (w.end - w.start) / seconds:.2f}%">'
        f"<b>{escape(w.word)}</b></span>"
        for w in heard.words
    )
    yield f'<div class="cz-words" aria-hidden="true">{spans}</div>'
    yield wave(overview.wave, heard.segments or (), seconds)
    yield spectrogram(overview.mels)
    if heard.pitch is not None:
        yield pitch(heard.pitch)
    yield f'<div class="cz-time"><span>0</span><span>{seconds / 2:.2f}</span><span>{seconds:.2f} s</span></div>'


def wave(extent: np.ndarray, segments: Sequence[Any], seconds: float) -> str:
    """Lowest and highest sample of each column, and where somebody speaks."""
    high = float(np.abs(extent).max()) or 1.0
    xs = np.arange(len(extent))
    top = [f"{x} {50 - 46 * y / high:.1f}" for x, y in zip(xs, extent[:, 1], strict=True)]
    bottom = [f"{x} {50.6 - 46 * y / high:.1f}" for x, y in zip(xs, extent[:, 0], strict=True)]
    bands = "".join(
        f'<rect class="band" x="{s.start / seconds * len(xs):.1f}" y="0" '
        f'width="{(s.end - s.start) / seconds * len(xs):.1f}" height="100"/>'
        for s in segments
    )
    outline = "M" + "L".join([*top, *bottom[::-1]]) + "Z"
    return (
        f'<svg class="cz cz-wave" viewBox="0 0 {max(len(xs) - 1, 1)} 100" preserveAspectRatio="none" role="img" '
        f'aria-label="waveform, {seconds:.2f} s">{bands}<path class="fill" d="{outline}"/></svg>'
    )


def spectrogram(mels: np.ndarray) -> str:
    """Log-mels [columns, bands], low bands at the bottom."""
    low, high = np.percentile(mels, [5, 99.8])
    loud = np.clip((mels.T[::-1] - low) / max(high - low, 1e-6), 0, 1) ** 1.4
    rgba = np.full((*loud.shape, 4), (*INK, 0), np.uint8)
    rgba[..., 3] = np.round(255 * loud)
    label = f"spectrogram of {mels.shape[1]} mel bands, low ones at the bottom"
    return f'<img class="cz-spectrogram" alt="{label}" src="{draw.png(rgba)}">'


def pitch(contour: Any, sure: float = 0.5) -> str:
    """Dots at the fundamental, 50 to 600 Hz on a logarithmic scale."""
    heights = 100 - 100 * np.log(np.maximum(contour.hertz, 50) / 50) / np.log(12)
    dots = "".join(f"M{x} {y:.1f}h0" for x, y in enumerate(heights) if contour.confidence[x] >= sure)
    return (
        f'<svg class="cz cz-pitch" viewBox="0 0 {len(heights)} 100" preserveAspectRatio="none" role="img" '
        f'aria-label="pitch from 50 to 600 Hz"><path d="{dots or "M0 0"}"/></svg>'
    )


def words(heard: Heard) -> str:
    if not heard.words:
        return ""
    lines = "".join(
        f"<tr><td>{escape(w.word)}</td><td>{w.start:.2f} to {w.end:.2f} s</td><td>{bar(w.probability)}</td></tr>"
        for w in heard.words
    )
    head = "<tr><th scope='col'>word</th><th scope='col'>when</th><th scope='col'>how likely</th></tr>"
    return f"<table class='cz-table'><thead>{head}</thead><tbody>{lines}</tbody></table>"


def mel_filters(bands: int) -> str:
    """The triangles of the filterbank, drawn over frequency."""
    bank = audio.mel_filterbank(RATE, 512, bands, norm=None)
    xs = np.linspace(0, 400, len(bank))
    curves = ""
    for index, band in enumerate(bank.T):
        inside = np.flatnonzero(band)
        span = slice(max(inside[0] - 1, 0), inside[-1] + 2) if len(inside) else slice(0)
        points = [f"{x:.1f} {90 - 82 * y:.1f}" for x, y in zip(xs[span], band[span], strict=True)]
        curves += f'<path class="line" stroke-opacity="{0.9 if index % 5 == 0 else 0.35}" d="M{"L".join(points)}"/>'
    ticks = "".join(f'<text class="mid" x="{40 + 80 * k}" y="106">{0.4 + 0.8 * k:.1f} kHz</text>' for k in range(5))
    return f'<svg class="cz" viewBox="0 0 400 110" role="img" aria-label="{bands} mel filters">{curves}{ticks}</svg>'


def learned(kernels: np.ndarray, answers: np.ndarray, seconds: float) -> str:
    """A line a filter: its kernel (time to the right, bands upwards) and what it answers along the sound."""
    limit = float(np.quantile(np.abs(kernels), 0.98)) or 1.0
    strongest = float(answers.max()) or 1.0
    lines = ""
    for index in range(kernels.shape[-1]):
        kernel = draw.heat(kernels[..., index].T[::-1], label="a kernel", limit=limit, cell=(1, 5))
        strip = draw.heat(answers[None, :, index], label="its answers", limit=strongest, cell=(24, 1))
        lines += f'<div class="cz-filter">{kernel}{strip}</div>'
    return (
        f"{lines}<figcaption>The {kernels.shape[-1]} filters of the first layer that answer most (left: 0.11 s by "
        f"bands, warm adds, cool takes away), and where in the first {seconds:.1f} s each answers.</figcaption>"
    )
