"""How fast sounds are taken in: features against librosa and torch, networks against torch, streams against the clock.

    python -m experiments.bench_audio [--output docs/audio_speed.csv] [--repeats 20]

All in one run on one machine, one after the other in turns; a time is the median. Needs the extra ``parity``.
"""

import argparse
import csv
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import convzoo
from convzoo import environment, weights, zoo
from convzoo.core import audio
from convzoo.extras import need
from convzoo.nn import Streaming
from tests.parity import cases, peers, torchvision_cpu

RATE, SOUNDS = 16_000, 16
MEL: dict[str, Any] = {"n_fft": 512, "hop": 160, "n_mels": 64, "window_length": 400}
NETWORKS = {
    "m5": (8, 8000, 1),
    "m11": (8, 8000, 1),
    "matchboxnet_3x2x64": (16, 100, 64),
    "quartznet5x5": (2, 500, 64),
    "tcn": (4, 500, 40),
    "wavenet": (1, 4000, 1),
    "crepe_tiny": (128, 1024, 1),
    "silero_vad": (1, 32 * 512, 1),
}
# Network: channels, its places of input in a second, those in a chunk.
STREAMS = {"tcn": (40, 100, 10), "wavenet": (1, 8000, 800), "silero_vad": (1, 16_000, 512)}


class Line(NamedTuple):
    """Milliseconds a call; ``ratio`` is how many times as long as ours the peer takes."""

    what: str
    shape: str
    peer: str
    ours: float
    theirs: float

    @property
    def ratio(self) -> float:
        return self.theirs / self.ours


def timed(*calls: Callable[[], Any], repeats: int) -> list[float]:
    """The median milliseconds of each call, in turns."""
    for call in calls:
        for _ in range(3):
            jax.block_until_ready(call())
    spent: list[list[float]] = [[] for _ in calls]
    for _ in range(repeats):
        for call, kept in zip(calls, spent, strict=True):
            begun = time.perf_counter()
            jax.block_until_ready(call())
            kept.append(1e3 * (time.perf_counter() - begun))
    return [statistics.median(kept) for kept in spent]


def features(torch: Any, repeats: int) -> list[Line]:
    """One second of 16 sounds at 16 kHz."""
    librosa = need("librosa", extra="audio")
    x = np.random.default_rng(0).normal(size=(SOUNDS, RATE)).astype(np.float32) * 0.1
    ours, theirs = jnp.asarray(x), torch.from_numpy(x)
    bank = torch.from_numpy(audio.mel_filterbank(RATE, 512, 64).astype(np.float32))
    window = torch.hann_window(400)
    stft = partial(audio.stft, n_fft=512, hop=160, window_length=400)
    log_mel = partial(audio.log_mel, rate=RATE, **MEL)
    own = {"n_fft": 512, "hop_length": 160, "win_length": 400}

    def torch_mel():
        spectrum = torch.stft(theirs, 512, 160, 400, window, pad_mode="constant", return_complex=True)
        return torch.log((spectrum.abs().square().transpose(1, 2) @ bank).clamp_min(1e-10))

    def librosa_mel():
        return librosa.power_to_db(librosa.feature.melspectrogram(y=x, sr=RATE, n_mels=64, **own), top_db=None)

    spectra = librosa.stft(x, **own)
    own_spectra = jnp.asarray(spectra.swapaxes(1, 2))
    pairs: list[tuple[str, Callable, str, Callable[[], Any]]] = [
        ("stft", partial(jax.jit(stft), ours), "librosa", lambda: librosa.stft(x, **own)),
        (
            "stft",
            partial(jax.jit(stft), ours),
            "torch",
            lambda: torch.stft(theirs, 512, 160, 400, window, pad_mode="constant", return_complex=True),
        ),
        (
            "istft",
            partial(jax.jit(partial(audio.istft, hop=160, window_length=400)), own_spectra),
            "librosa",
            lambda: librosa.istft(spectra, **own),
        ),
        ("log-mel", partial(jax.jit(log_mel), ours), "librosa", librosa_mel),
        ("log-mel", partial(jax.jit(log_mel), ours), "torch", torch_mel),
        (
            "mfcc",
            partial(jax.jit(lambda x: audio.mfcc(log_mel(x), 13)), ours),
            "librosa",
            lambda: librosa.feature.mfcc(S=librosa_mel(), n_mfcc=13),
        ),
        (
            "resample to 8 kHz",
            partial(jax.jit(partial(audio.resample, rate=RATE, new_rate=8_000)), ours),
            "librosa polyphase",
            lambda: librosa.resample(x, orig_sr=RATE, target_sr=8_000, res_type="polyphase"),
        ),
    ]
    shape = f"{SOUNDS} x {RATE}"
    return [Line(what, shape, peer, *timed(mine, other, repeats=repeats)) for what, mine, peer, other in pairs]


def networks(torch: Any, repeats: int) -> list[Line]:
    """Forward passes of networks of the same shapes, filled with the same numbers."""
    lines = []
    for name, shape in NETWORKS.items():
        model = convzoo.create(name)
        table = zoo.STYLES[name][0]
        variables = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), cases.filled(cases.shapes(model, shape)))
        net, _ = peers.BUILD[table](torch, model, shape[-1])
        peers.load(torch, net, weights.to_peer(variables, table))
        x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        given, run = torch.from_numpy(peers.channels_first(x)), jax.jit(partial(model.apply, train=False))
        net.eval()

        def theirs(net=net, given=given):
            with torch.inference_mode():
                return net(given)

        told = " x ".join(map(str, shape))
        lines.append(
            Line(name, told, "torch", *timed(partial(run, variables, jnp.asarray(x)), theirs, repeats=repeats))
        )
        print_line(lines[-1])
    return lines


def streams(repeats: int) -> list[Line]:
    """Chunks of a second and less, against the time that they last."""
    lines = []
    for name, (channels, rate, chunk) in STREAMS.items():
        model = convzoo.create(name)
        x = np.random.default_rng(0).normal(size=(1, chunk, channels)).astype(np.float32)
        variables = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), cases.filled(cases.shapes(model, x.shape)))
        stream = Streaming(model, variables)
        state = stream.init_state(1, channels)
        (spent,) = timed(lambda stream=stream, x=x, state=state: stream.step(x, state), repeats=repeats)
        lines.append(
            Line(f"{name}, streamed", f"{1000 * chunk / rate:.0f} ms", "the clock", spent, 1000 * chunk / rate)
        )
    return lines


def print_line(line: Line) -> None:
    told = f"{line.what:22} {line.shape:16} {line.peer:18} ours {line.ours:9.2f} ms, theirs {line.theirs:9.2f}"
    print(f"{told}, {line.ratio:6.2f} times as long", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    prog = "python -m experiments.bench_audio"
    parser = argparse.ArgumentParser(prog=prog, description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the table here, as CSV")
    parser.add_argument("--repeats", type=int, default=20, metavar="N", help="calls of each (20)")
    options = parser.parse_args(arguments)
    torch = torchvision_cpu.load("torch")
    found = features(torch, options.repeats)
    for line in found:
        print_line(line)
    found += networks(torch, options.repeats)
    for line in (more := streams(options.repeats)):
        print_line(line)
    found += more
    if options.output:
        with options.output.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["what", "shape", "peer", "ours_ms", "theirs_ms", "ratio"])
            writer.writerows(
                [*line[:3], f"{line.ours:.3f}", f"{line.theirs:.3f}", f"{line.ratio:.2f}"] for line in found
            )
    return 0


if __name__ == "__main__":
    environment.restart()
    sys.exit(main())
