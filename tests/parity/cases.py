"""What is compared with peers, and how: our half, without torch.

A case is a line in CASES. Every array is filled from a seed and its name, so a peer's figures can be kept (in
tests/golden/parity) and compared with on a machine without the peer.
"""

import json
import re
import zlib
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from convzoo.models.alexnet import ALEXNET, ALEXNET_2012
from convzoo.models.convnext import CONVNEXT_TINY
from convzoo.models.crepe import CREPE_TINY
from convzoo.models.efficientnet import EFFICIENTNET_B0, EFFICIENTNET_LITE0, plain
from convzoo.models.mobilenet import MOBILENETV2_100, Blocks
from convzoo.models.mobilenetv3 import MOBILENETV3_SMALL_100
from convzoo.models.quartznet import MATCHBOXNET_3X2X64, QuartzNet
from convzoo.models.quartznet import Block as Line
from convzoo.models.resnet import CIFAR_RESNET20, RESNET18, RESNET50
from convzoo.models.silero import SILERO_VAD
from convzoo.models.tcn import TCN, WaveNet
from convzoo.models.vgg import VGG11
from convzoo.models.wavecnn import M11
from convzoo.nn import Model

GOLDEN = Path(__file__).parents[1] / "golden" / "parity"
Arrays = dict[str, np.ndarray]  # by name, in our layout
Figures = dict[str, list[float]]


class Case(NamedTuple):
    """A shrunk model and what it is compared with.

    ``input``: a shape with no two spatial axes alike. ``tables``: of ``convzoo.weights``, one for each peer, the first
    for the one whose figures are kept. ``idle``: parameters whose gradient is nothing in training, since a batch norm
    takes off whatever they add.
    """

    model: Any  # a Model; that it has a number of classes is lost on pyright
    input: tuple[int, ...]
    tables: tuple[str, ...]
    idle: str = "none"


CIFAR = CIFAR_RESNET20.clone(depths=(2, 1, 2), width=8)
BASIC = RESNET18.clone(num_classes=7, depths=(1, 2, 1, 1))
BOTTLENECK = RESNET50.clone(num_classes=7, depths=(2, 1, 1, 1))
NARROW = BOTTLENECK.clone(depths=(1, 1, 2, 2), width=16)
CONVNEXT = CONVNEXT_TINY.clone(num_classes=7, depths=(1, 1, 2, 1), widths=(8, 12, 16, 20))
CONVNEXTV2 = CONVNEXT.clone(layer_scale=0.0, response_norm=True)
V2 = MOBILENETV2_100.clone(
    num_classes=7,
    stages=((Blocks(1, 3, 1, 1, 16),), (Blocks(2, 3, 2, 6, 8),), (Blocks(2, 3, 2, 3, 16),), (Blocks(2, 3, 2, 2, 24),)),
)
V3 = MOBILENETV3_SMALL_100.clone(
    num_classes=7,
    hidden=24,
    stages=(
        (Blocks(1, 3, 2, 1, 16, 0.25, "relu"),),
        (Blocks(1, 3, 2, 4.5, 24, 0, "relu"), Blocks(1, 3, 1, 3.67, 24, 0, "relu")),
        (Blocks(1, 5, 2, 4, 40, 0.25), Blocks(1, 5, 1, 3, 40, 0.25)),
        (Blocks(1, 1, 1, 0, 240),),
    ),
)
B0 = EFFICIENTNET_B0.clone(
    num_classes=7,
    stem=16,
    top=48,
    stages=(
        (Blocks(1, 3, 1, 1, 8, 0.25),),
        (Blocks(2, 3, 2, 6, 16, 0.25),),
        (Blocks(1, 5, 2, 4, 24, 0.25),),
        (Blocks(2, 3, 2, 4, 32, 0.25),),
    ),
)
LITE = EFFICIENTNET_LITE0.clone(num_classes=7, stem=B0.stem, top=B0.top, stages=plain(B0.stages))
VGGS = VGG11.clone(num_classes=7, widths=(4, 6, 8, 8, 12), hidden=20)
TENSORFLOW = {"padding": "SAME", "epsilon": 1e-3}
WAVES = M11.clone(depths=(1, 2, 1), widths=(6, 8, 10), num_classes=7)
MATCHBOX = MATCHBOXNET_3X2X64.clone(
    blocks=(Line(12, 5), Line(8, 7, 2, residual=True), Line(12, 9, dilation=2), Line(10, 1)), num_classes=7
)
QUARTZ = QuartzNet(blocks=(Line(8, 5, stride=2), Line(8, 7, 3, residual=True), Line(10, 1)), num_classes=7)
LINEAR = "(point|project)/norm/bias"

CASES = {
    "alexnet": Case(ALEXNET.clone(num_classes=7, hidden=24), (2, 95, 127, 3), ("alexnet",)),
    "alexnet_2012": Case(ALEXNET_2012.clone(num_classes=7, hidden=24), (2, 95, 127, 3), ("alexnet_2012",)),
    "vgg": Case(VGGS, (3, 64, 96, 3), ("vgg", "vgg_torchvision")),
    "vgg_bn": Case(VGGS.clone(norm=True), (3, 64, 96, 3), ("vgg_bn", "vgg_bn_torchvision"), r"conv\d/bias"),
    "vgg_large": Case(VGGS, (2, 256, 40, 3), ("vgg",)),
    "resnet_basic": Case(BASIC, (3, 64, 48, 3), ("resnet",)),
    "resnet_bottleneck": Case(BOTTLENECK, (3, 64, 48, 3), ("resnet",)),
    "resnet_basic_stride16": Case(BASIC.clone(width=16, output_stride=16), (3, 64, 48, 3), ("resnet",)),
    "resnet_bottleneck_stride8": Case(NARROW.clone(output_stride=8), (3, 64, 48, 3), ("resnet",)),
    "resnext": Case(NARROW.clone(groups=4, base_width=8), (3, 64, 48, 3), ("resnet",)),
    "wide_resnet": Case(NARROW.clone(base_width=128), (3, 64, 48, 3), ("resnet",)),
    "cifar_resnet": Case(CIFAR, (4, 16, 20, 3), ("cifar_resnet",)),
    "cifar_resnet_1d": Case(CIFAR.clone(ranks=(1,)), (4, 50, 2), ("cifar_resnet",)),
    "cifar_resnet_3d": Case(CIFAR.clone(ranks=(3,), depths=(1, 1, 1)), (2, 8, 7, 9, 1), ("cifar_resnet",)),
    "mobilenetv2": Case(V2, (3, 64, 48, 3), ("mobilenet", "mobilenetv2_torchvision"), LINEAR),
    "mobilenetv2_stride8": Case(V2.clone(output_stride=8), (3, 64, 48, 3), ("mobilenet",), LINEAR),
    "mobilenetv3": Case(V3, (3, 64, 48, 3), ("mobilenet", "mobilenetv3_torchvision"), LINEAR),
    "tf_mobilenetv3": Case(V3.clone(**TENSORFLOW), (3, 65, 48, 3), ("mobilenet",), LINEAR),
    "efficientnet": Case(B0, (3, 64, 48, 3), ("mobilenet", "efficientnet_torchvision"), LINEAR),
    "tf_efficientnet": Case(B0.clone(**TENSORFLOW), (3, 65, 48, 3), ("mobilenet",), LINEAR),
    "efficientnet_stride8": Case(B0.clone(output_stride=8, **TENSORFLOW), (3, 65, 48, 3), ("mobilenet",), LINEAR),
    "efficientnet_lite": Case(LITE, (3, 64, 48, 3), ("mobilenet",), LINEAR),
    "convnext": Case(CONVNEXT, (3, 64, 96, 3), ("convnext", "convnext_torchvision", "convnext_conv")),
    "convnext_stride8": Case(CONVNEXT.clone(output_stride=8), (3, 64, 96, 3), ("convnext",)),
    "convnextv2": Case(CONVNEXTV2, (3, 65, 98, 3), ("convnext", "convnext_conv")),
    "wavecnn": Case(WAVES, (3, 1100, 1), ("wavecnn",), r"conv\d/bias"),
    "matchboxnet": Case(MATCHBOX, (3, 60, 9), ("quartznet",)),
    "quartznet": Case(QUARTZ, (3, 61, 9), ("quartznet",)),
    "tcn": Case(TCN(widths=(6, 6, 8), num_classes=7), (3, 40, 5), ("tcn",)),
    "wavenet": Case(WaveNet(cycles=2, depth=3, width=5, skip=6, num_classes=7), (3, 40, 1), ("wavenet",)),
    "crepe": Case(CREPE_TINY.clone(widths=(8, 6, 6, 5, 4, 6), num_classes=7), (3, 1024, 1), ("crepe",)),
    "silero": Case(SILERO_VAD.clone(num_classes=2), (2, 1536, 1), ("silero",)),
}
KINDS = ("output", "waypoint", "gradient", "statistics")


def shapes(model: Model, shape: tuple[int, ...]) -> dict[str, Any]:
    """The variables' shapes."""
    return jax.eval_shape(partial(model.init, train=False), jax.random.key(0), jax.ShapeDtypeStruct(shape, jnp.float32))


def uniform(name: str, shape: tuple[int, ...], low: float = -1.0, high: float = 1.0) -> np.ndarray:
    """float64 values that depend on name and shape alone, in every version of numpy."""
    size = int(np.prod(shape))
    unit = (np.random.PCG64(zlib.crc32(name.encode())).random_raw(size) >> np.uint64(11)) * 2.0**-53
    return (low + (high - low) * unit).reshape(shape)


UNOPTIMISED = {"xla_backend_optimization_level": 0}  # a third of the compilation, and nothing here runs twice
RANGES = {"scale": (0.8, 1.2), "bias": (-0.2, 0.2), "mean": (-0.2, 0.2), "var": (0.5, 1.5)}


def filled(like: Mapping[str, Any]) -> dict[str, Any]:
    """Variables in which nothing is at a value that would hide it: no zero, no one, no norm that does nothing."""

    def fill(path: str, leaf: Any) -> np.ndarray:
        kind, shape = path.split("/")[-1], leaf.shape
        width = (4.5 / np.prod(shape[:-1])) ** 0.5 if kind == "kernel" else 0.0
        return uniform(path, shape, *RANGES.get(kind, (-width, width)))

    return unflatten_dict({path: fill(path, leaf) for path, leaf in flatten_dict(like, sep="/").items()}, sep="/")


def ours(case: Case) -> Arrays:
    """Everything that is compared, with running (``eval/``) and with batch statistics (``train/``): output, waypoints,
    the gradient of a weighted sum of the output in every parameter and the input, the statistics after the step."""
    model = case.model.clone(dtype="float64", param_dtype="float64", **without_dropout(case.model))
    x, weights = uniform("input", case.input), uniform("weights", output_shape(case))

    def loss(params, x, stats, train: bool):
        variables = {"params": params, **({"batch_stats": stats} if stats else {})}
        (output, features), state = model.apply(variables, x, train=train, mutable=["batch_stats"])
        return jnp.sum(output * weights), (output, features, state.get("batch_stats", {}))

    @partial(jax.jit, static_argnames="train", compiler_options=UNOPTIMISED)
    def step(params, x, stats, train):
        (_, kept), gradients = jax.value_and_grad(loss, (0, 1), has_aux=True)(params, x, stats, train)
        return kept, gradients

    with jax.enable_x64(True):
        variables = filled(shapes(case.model, case.input))
        found: dict[str, Any] = {}
        for mode in ("eval", "train"):
            (output, features, stats), gradients = step(
                variables["params"], x, variables.get("batch_stats", {}), train=mode == "train"
            )
            found[mode] = {"output": output, "waypoint": dict(features), "statistics": stats if mode == "train" else {}}
            found[mode]["gradient"] = {"params": gradients[0], "input": gradients[1]}
        return busy({name: np.asarray(array) for name, array in flatten_dict(found, sep="/").items()}, case)


def output_shape(case: Case) -> tuple[int, ...]:
    x = jax.ShapeDtypeStruct(case.input, jnp.float32)
    return jax.eval_shape(partial(case.model.apply, train=False), shapes(case.model, case.input), x)[0].shape


def busy(arrays: Arrays, case: Case) -> Arrays:
    """The arrays without the gradients that are nothing, which are held to be nothing."""
    idle = {name for name in arrays if re.search(f"^train/gradient/.*{case.idle}$", name)}
    for name in idle:
        assert np.abs(arrays[name]).max() < 1e-9, f"{name} is not idle"
    return {name: array for name, array in arrays.items() if name not in idle}


@cache
def ours_once(name: str) -> Arrays:
    """``ours`` of a case, for all of its peers."""
    return ours(CASES[name])


def without_dropout(model: Model) -> dict[str, Any]:
    return {"dropout": 0.0} if hasattr(model, "dropout") else {}


def bound(name: str) -> float:
    """How far an array of this name may lie from the peer's, in units of the peer's largest value."""
    return 1e-8 if "/gradient/" in name else 1e-9


def check(differing: Mapping[str, float]) -> None:
    """Fails with every array that lies too far from the peer's."""
    wrong = [f"  {name}: {d:.1e} > {bound(name):.0e}" for name, d in differing.items() if not d <= bound(name)]
    assert not wrong, "\n".join([f"{len(wrong)} of {len(differing)} differ, in units of the largest value:", *wrong])


def worst(differing: Mapping[str, float]) -> dict[str, float]:
    """The largest difference of each kind: output, waypoint, gradient, statistics."""
    found: dict[str, float] = {}
    for name, difference in differing.items():
        kind = name.split("/")[1]
        found[kind] = max(found.get(kind, 0.0), difference)
    return found


def differences(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> dict[str, float]:
    """The largest difference of each array, in units of the expected array's largest value."""
    assert found.keys() == expected.keys(), f"only one side has {sorted(found.keys() ^ expected.keys())}"
    for name, array in expected.items():
        assert found[name].shape == array.shape, f"{name}: {found[name].shape}, expected {array.shape}"
        assert np.abs(array).max() > 1e-6, f"{name} is nearly zero: it proves nothing"
    return {name: float(np.abs(found[name] - array).max() / np.abs(array).max()) for name, array in expected.items()}


def figures(arrays: Mapping[str, np.ndarray]) -> Figures:
    """[largest magnitude, weighted sum] of each array: whatever changes in the array changes the weighted sum."""

    def pair(name: str, array: np.ndarray) -> list[float]:
        weights = uniform(f"weights of {name}", array.shape) / array.size**0.5
        return [float(np.abs(array).max()), float((array * weights).sum())]

    return {name: pair(name, array) for name, array in arrays.items()}


def apart(found: Figures, expected: Figures) -> dict[str, float]:
    """As ``differences``, of figures."""
    return differences(*({name: np.array(pair) for name, pair in side.items()} for side in (found, expected)))


def golden(name: str) -> Figures:
    return json.loads((GOLDEN / f"{name}.json").read_text())


def keep(name: str, new: Figures) -> None:
    """Writes a peer's figures, unless those in the file are the same but for rounding."""
    path = GOLDEN / f"{name}.json"
    old = golden(name) if path.exists() else {}
    if old.keys() == new.keys() and max(apart(new, old).values()) < 1e-10:
        return
    lines = (f"{json.dumps(key)}: [{', '.join(f'{value:.11e}' for value in pair)}]" for key, pair in new.items())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
