"""One picture of a recording: waveform, log-mel, pitch, who speaks when, and the words, on one time axis."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from convzoo.extras import need

VOICED = 0.5


def picture(
    path: Path,
    *,
    seconds: float,
    wave: np.ndarray,
    mels: np.ndarray,
    words: Sequence[Any],
    segments: Sequence[Any] | None = None,
    pitch: Any = None,
    title: str = "",
) -> None:
    """Draws the picture into a file whose suffix says its form (png, svg, pdf).

    Args:
      seconds: how long the recording is.
      wave: lowest and highest sample of each column, [columns, 2].
      mels: log-mels of each column, [columns, bands].
      words: each with ``word``, ``start``, ``end`` and ``probability``.
      segments: each with ``start`` and ``end``; None: not known.
      pitch: ``hertz`` and ``confidence`` every 10 ms; None: not known.

    Raises:
      ImportError: matplotlib is not installed; it names the extra.
      ValueError: matplotlib does not know the suffix.
    """
    need("matplotlib", extra="plots").use("agg")
    pyplot = need("matplotlib.pyplot", extra="plots")
    rows = 3 if pitch is not None else 2
    figure, axes = pyplot.subplots(rows, 1, sharex=True, figsize=(10, 2 * rows), constrained_layout=True)
    try:
        time = np.linspace(0, seconds, len(wave), endpoint=False)
        axes[0].fill_between(time, wave[:, 0], wave[:, 1], color="#33557f", linewidth=0.5)
        high = max(float(np.abs(wave).max()), 1e-3)
        axes[0].set(ylim=(-1.1 * high, 1.6 * high), ylabel="waveform", title=title)
        for segment in segments or ():
            axes[0].axvspan(segment.start, segment.end, color="#fbe9bf", linewidth=0, zorder=0)
        for word in words:
            axes[0].axvline(word.start, color="#999999", linewidth=0.6)
            axes[0].axvline(word.end, color="#999999", linewidth=0.6)
            middle = (word.start + word.end) / 2
            told = f"{word.word}\n{word.probability:.2f}"
            axes[0].text(middle, 1.5 * high, told, ha="center", va="top", fontsize=8, clip_on=True)
        extent = (0, seconds, 0, mels.shape[1])
        axes[1].imshow(mels.T, origin="lower", aspect="auto", extent=extent, cmap="magma", interpolation="nearest")
        axes[1].set(ylabel="mel band")
        if pitch is not None:
            hertz = np.where(pitch.confidence >= VOICED, pitch.hertz, np.nan)
            axes[2].plot(np.arange(len(hertz)) / 100, hertz, ".", markersize=2, color="#8a2846")
            axes[2].set(ylabel="pitch, Hz", yscale="log", ylim=(50, 600), yticks=(50, 100, 200, 400))
            axes[2].set_yticklabels(["50", "100", "200", "400"])
            axes[2].minorticks_off()
        axes[-1].set(xlabel="seconds", xlim=(0, max(seconds, 1e-3)))
        figure.savefig(path, dpi=110)
    finally:
        pyplot.close(figure)


def filters(path: Path, kernel: np.ndarray, rate: int, bank: np.ndarray) -> np.ndarray:
    """Draws the filters of a first layer over waveforms with their frequency responses, beside a mel filterbank.

    All are sorted by the frequency that each lets through most.

    Args:
      path: where the picture goes.
      kernel: [taps, filters].
      rate: samples per second.
      bank: the mel filters, [bins from 0 to rate / 2, bands].

    Returns:
      The frequencies, ascending, in hertz.
    """
    need("matplotlib", extra="plots").use("agg")
    pyplot = need("matplotlib.pyplot", extra="plots")
    response = np.abs(np.fft.rfft(kernel, 1024, axis=0))
    frequencies = np.fft.rfftfreq(1024, 1 / rate)
    peaks = frequencies[response.argmax(axis=0)]
    order = np.argsort(peaks, kind="stable")
    response, kernel = (each[:, order] / np.abs(each).max(axis=0)[order] for each in (response, kernel))
    figure, axes = pyplot.subplots(1, 4, figsize=(13, 3.6), constrained_layout=True)
    try:
        extent = (0, 1000 * len(kernel) / rate, 0, len(order))
        axes[0].imshow(kernel.T, origin="lower", aspect="auto", extent=extent, cmap="RdBu", vmin=-1, vmax=1)
        axes[0].set(title="learned filters", xlabel="ms", ylabel="filter, by frequency")
        for axis, values, title in ((axes[1], response, "their responses"), (axes[2], bank, "mel filters")):
            extent = (0, values.shape[1], 0, rate / 2000)
            axis.imshow(values / values.max(axis=0), origin="lower", aspect="auto", extent=extent, cmap="magma")
            axis.set(title=title, ylabel="kHz", xlabel="filter")
        centres = np.linspace(0, rate / 2, len(bank))[bank.argmax(axis=0)]
        for values, told in ((peaks[order], "learned"), (centres, "mel")):
            axes[3].plot(np.linspace(0, 1, len(values)), values, ".-", label=told)
        axes[3].set(title="peak frequency", xlabel="filter, of all", ylabel="Hz")
        axes[3].legend()
        figure.savefig(path, dpi=100)
    finally:
        pyplot.close(figure)
    return peaks[order]
