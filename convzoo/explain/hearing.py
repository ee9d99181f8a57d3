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
