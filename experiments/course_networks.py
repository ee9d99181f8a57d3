"""The course's pictures of networks: AlexNet, residuals, scaling, blocks; and how its pictures are drawn.

They are made by ``python -m experiments.course``; every number in them is measured here but for published accuracies.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import convzoo
from convzoo import zoo
from convzoo.data import images
from convzoo.extras import need
from convzoo.models.efficientnet import gated
from convzoo.models.resnet import CIFAR_RESNET20
from convzoo.nn import Bottleneck, ConvNeXtBlock

RED, BLUE, GREEN, GREY = "#c8553d", "#2f6690", "#588157", "#8a8a8a"


def panels(rows: int, columns: int, width: float, height: float = 3.4, **own: Any) -> tuple[Any, Any]:
    """A figure and its panels."""
    plots: Any = need("matplotlib.pyplot", extra="plots")
    return plots.subplots(rows, columns, figsize=(width, height), layout="constrained", **own)


# --- 3: AlexNet -----------------------------------------------------------------------------------------------------


def alexnet() -> Any:
    """Its shapes, drawn to scale, and where parameters and multiply-adds lie."""
    model, shape = convzoo.create("alexnet"), (1, 224, 224, 3)
    (_, features), variables = jax.eval_shape(model.init_with_output, jax.random.key(0), zeros(shape))
    figure, (shapes, bars) = panels(1, 2, 11, 3.6, width_ratios=(1.7, 1))
    plots: Any = need("matplotlib.pyplot", extra="plots")
    arrays = {"photograph": shape[1:], **{name: array.shape[1:] for name, array in features.items()}, "head": (1000,)}
    left = 0.0
    for name, array in arrays.items():
        high = array[0] / 224 if len(array) == 3 else np.log2(array[0]) / 14
        wide = np.log2(array[-1]) / 10 if len(array) == 3 else 0.15
        colour = BLUE if len(array) == 3 else RED
        shapes.add_patch(plots.Rectangle((left, -high / 2), wide, high, fc=colour, ec="black", alpha=0.6))
        told = f"{name}\n" + " x ".join(map(str, array))
        shapes.text(left + wide / 2, -0.62 - 0.16 * (list(arrays).index(name) % 2), told, ha="center", fontsize=7)
        left += wide + 0.28
    shapes.set(
        xlim=(-0.3, left),
        ylim=(-0.95, 0.6),
        title="height: places (dense layers: logarithm of channels); width: channels",
    )
    shapes.set_axis_off()

    params = variables["params"]
    kernels = {name: params[name]["kernel"].size for name in params}
    places = {name: array.shape[1] ** 2 if array.ndim == 4 else 1 for name, array in features.items()}
    macs = {name: size * places.get(name, 1) for name, size in kernels.items()}
    assert sum(macs.values()) == convzoo.cost(model, shape).macs
    rows = np.arange(len(kernels))
    for offset, colour, label, values in ((-0.2, GREY, "parameters", kernels), (0.2, BLUE, "multiply-adds", macs)):
        shares = np.array(list(values.values())) / sum(values.values())
        bars.barh(
            rows + offset, 100 * shares, 0.4, color=colour, label=f"{label}, of {sum(values.values()) / 1e6:.0f} M"
        )
        for row, share in zip(rows, shares, strict=True):
            bars.text(100 * share + 1, row + offset, f"{share:.1%}", va="center", fontsize=7)
    bars.set_yticks(rows, list(kernels))
    bars.invert_yaxis()
    bars.set(xlabel="share of the network, %", xlim=(0, 75))
    bars.legend(fontsize=8)
    return figure


def zeros(shape: tuple[int, ...]) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


# --- 4: residuals ---------------------------------------------------------------------------------------------------


def residuals() -> Any:
    """A block; the gradient that reaches the first layer of untrained networks; blocks of a trained one taken out."""
    figure, (diagram, reach, removed) = panels(1, 3, 12, 3.6, width_ratios=(0.62, 1, 1.25))
    for y, text in ((4, "convolution, norm, ReLU"), (3, "convolution, norm"), (2, "+"), (1, "ReLU")):
        frame = {"boxstyle": "round,pad=0.5", "facecolor": "#dbe7f0" if y > 2 else "white"}
        diagram.text(0, y, text, ha="center", va="center", fontsize=8, bbox=frame)
    for y in (5, 4, 3, 2, 1):
        diagram.annotate("", (0, y - 0.72), (0, y - 0.3), arrowprops={"arrowstyle": "->"})
    diagram.plot([0, 1.3, 1.3, 0.75], [4.6, 4.6, 2, 2], color=RED)
    diagram.annotate("", (0.2, 2), (0.8, 2), arrowprops={"arrowstyle": "->", "color": RED})
    diagram.text(1.4, 3.3, "shortcut:\nthe input,\nunchanged", fontsize=8, color=RED)
    diagram.set(xlim=(-1.2, 2.2), ylim=(0, 5), title="a residual block")
    diagram.set_axis_off()

    layers = (8, 20, 32, 56, 110)
    for shortcut, colour, label in (("none", RED, "plain"), ("pad", BLUE, "residual")):
        found = [first_gradient(depth, shortcut) for depth in layers]
        print(f"{label}: gradient at the first layer", dict(zip(layers, (f"{x:.3g}" for x in found), strict=True)))
        reach.plot(layers, found, "o-", color=colour, label=label)
    reach.set(
        xscale="log",
        yscale="log",
        xlabel="layers",
        title="norm of the gradient at the first kernel,\nbefore any training",
    )
    reach.set_xticks(layers, layers)
    reach.minorticks_off()
    reach.legend(fontsize=8)

    whole, shares = taken_out()
    names, values = list(shares), [share for share, _ in shares.values()]
    colours = [BLUE if skips else RED for _, skips in shares.values()]
    removed.barh(range(len(names)), values, color=colours)
    removed.axvline(whole, color="black", lw=0.8, ls=":")
    for row, (share, skips) in enumerate(shares.values()):
        if not skips:
            removed.text(0.01, row, f"{share:.3f}", color=RED, va="center", fontsize=7)
    removed.set_yticks(range(len(names)), [name.replace("_", " ") for name in names], fontsize=7)
    removed.invert_yaxis()
    removed.set(
        xlabel="probability of 'espresso'",
        title="EfficientNet-Lite0 with one block silenced\n(red: a block that has no shortcut)",
    )
    return figure


def first_gradient(layers: int, shortcut: str) -> float:
    """Norm of the loss's gradient in the first kernel of an untrained CIFAR ResNet: the mean of three seeds."""
    model = CIFAR_RESNET20.clone(depths=((layers - 2) // 6,) * 3, width=8, shortcut=shortcut)
    x = jax.random.normal(jax.random.key(0), (32, 8, 8, 1))

    @jax.jit
    def norm(seed):
        variables: Any = model.init(jax.random.key(seed), x)

        def loss(params):
            apply: Any = model.apply
            (logits, _), _ = apply(
                {**variables, "params": params},
                x,
                train=True,
                mutable=["batch_stats"],
                rngs={"dropout": jax.random.key(0)},
            )
            return -jax.nn.log_softmax(logits)[:, 0].mean()

        return jnp.linalg.norm(jax.grad(loss)(variables["params"])["stem"]["kernel"])

    return float(np.mean([norm(seed) for seed in range(3)]))


def coffee(recipe: Any) -> np.ndarray:
    """scikit-image's photograph of a cup of coffee, ready for a network: [1, height, width, 3]."""
    pictures, image = need("skimage.data", extra="demo"), need("PIL.Image", extra="data")
    found = images.fitted(image.fromarray(pictures.coffee()), recipe)
    return images.normalised(found, recipe)[None]


def taken_out() -> tuple[float, dict[str, tuple[float, bool]]]:
    """The probability of the right class, and that with each block's last norm at zero; whether a shortcut is left."""
    model, variables, recipe = convzoo.load("efficientnet_lite0")
    x = coffee(recipe)
    names = [label.name for label in recipe.labels]
    apply: Any = model.apply
    run = jax.jit(lambda params: jax.nn.softmax(apply({**variables, "params": params}, x, train=False)[0])[0])
    params, found = variables["params"], {}
    for name in (name for name in params if "_block" in name):
        last = "project" if "project" in params[name] else "point"
        silent = {**params[name][last], "norm": jax.tree.map(jnp.zeros_like, params[name][last]["norm"])}
        share = run({**params, name: {**params[name], last: silent}})[names.index("espresso")]
        found[name] = float(share), not name.endswith("block0")
    return float(run(params)[names.index("espresso")]), found


# --- 5: scaling -----------------------------------------------------------------------------------------------------

# width, depth, pixels, top-1 on ImageNet: Tan & Le 2019, arXiv:1905.11946v5, table 2; ResNets as they quote them there
EFFICIENT = {
    "B0": (1.0, 1.0, 224, 77.1),
    "B1": (1.0, 1.1, 240, 79.1),
    "B2": (1.1, 1.2, 260, 80.1),
    "B3": (1.2, 1.4, 300, 81.6),
    "B4": (1.4, 1.8, 380, 82.9),
    "B5": (1.6, 2.2, 456, 83.6),
    "B6": (1.8, 2.6, 528, 84.0),
    "B7": (2.0, 3.1, 600, 84.3),
}
RESIDUAL = {"resnet50": 76.0, "resnet152": 77.8}


def scaling() -> Any:
    """What width, depth and resolution each cost from B0 on; published accuracy over measured cost."""
    figure, (each, both) = panels(1, 2, 9.5)
    base = convzoo.cost(gated(1, 1), (1, 224, 224, 3)).macs
    factors = np.array([1, 1.25, 1.5, 2.0])
    ways: dict[str, Callable[[float], Any]] = {
        "width": lambda by: (gated(by, 1), 224),
        "depth": lambda by: (gated(1, by), 224),
        "resolution": lambda by: (gated(1, 1), round(224 * by)),
    }
    for colour, (name, way) in zip((BLUE, GREEN, RED), ways.items(), strict=True):
        costs = [convzoo.cost(model, (1, size, size, 3)).macs / base for model, size in map(way, factors)]
        each.plot(factors, costs, "o-", color=colour, label=name)
        each.annotate(f"{costs[-1]:.2f}", (2, costs[-1]), xytext=(5, -3), textcoords="offset points", fontsize=8)
        print(f"{name}: multiply-adds times", dict(zip(factors.tolist(), (f"{c:.2f}" for c in costs), strict=True)))
    each.set(xlabel="B0's width, depth or resolution times ...", ylabel="multiply-adds, B0's are 1", xlim=(0.95, 2.15))
    each.set_title("one at a time")
    each.legend(fontsize=8)

    print("| network | pixels | parameters, M | multiply-adds, G | top-1, % |\n|---|---|---|---|---|")
    for series, colour, marker in ((EFFICIENT, BLUE, "o-"), (RESIDUAL, GREY, "s--")):
        points = []
        for name, told in series.items():
            width, depth, size, top = told if isinstance(told, tuple) else (0, 0, 224, told)
            model = gated(width, depth) if width else convzoo.create(name)
            cost = convzoo.cost(model, (1, size, size, 3))
            points.append((cost.macs / 1e9, top))
            print(f"| {name} | {size} | {cost.params / 1e6:.1f} | {cost.macs / 1e9:.2f} | {top} |")
            both.annotate(
                f"{name}, {cost.params / 1e6:.0f} M", points[-1], xytext=(5, -9), textcoords="offset points", fontsize=8
            )
        both.plot(*zip(*points, strict=True), marker, color=colour)
    both.set(xscale="log", xlabel="multiply-adds, G (measured)", ylabel="top-1 on ImageNet, % (published)")
    both.set(xlim=(0.3, 90), ylim=(75.3, 84.8))
    both.set_title("all three together; M: parameters")
    return figure


# --- 6: blocks ------------------------------------------------------------------------------------------------------

CHANNELS = 384


def attention(x: jax.Array, qkv: jax.Array, out: jax.Array) -> jax.Array:
    """Every place looks at every place: [places, channels], one head."""
    q, k, v = jnp.split(x @ qkv, 3, axis=-1)
    return jax.nn.softmax(q @ k.T / q.shape[-1] ** 0.5) @ v @ out


def block_macs(block: Any, shape: tuple[int, ...]) -> int:
    """``convzoo.cost`` of a block, which has no waypoints."""
    variables = jax.eval_shape(lambda x: block.init(jax.random.key(0), x, train=False), zeros(shape))
    program = jax.make_jaxpr(lambda v, x: block.apply(v, x, train=False))(variables, zeros(shape))
    return zoo.count(program.jaxpr)[0]


def macs_by_part(side: int) -> dict[str, dict[str, float]]:
    """Multiply-adds, in millions, of three blocks over side x side places: {block: {part: of it}}."""
    places, c = side**2, CHANNELS
    program = jax.make_jaxpr(attention)(zeros((places, c)), zeros((c, 3 * c)), zeros((c, c)))
    attended = zoo.count(program.jaxpr)[0] / 1e6
    narrow, weighed, wide = (places * times * c * c / 1e6 for times in (0.5, 4, 8))
    blocks = {"bottleneck": Bottleneck(c // 4), "ConvNeXt": ConvNeXtBlock()}
    whole = {name: block_macs(block, (1, side, side, c)) / 1e6 for name, block in blocks.items()}
    return {
        "ResNet bottleneck": {"look around": whole["bottleneck"] - narrow, "1-wide": narrow},
        "ConvNeXt": {"look around": whole["ConvNeXt"] - wide, "1-wide": wide},
        "transformer": {"look around": attended - weighed, "queries, keys, values": weighed, "1-wide": wide},
    }


def blocks() -> Any:
    """Where the multiply-adds of three blocks lie, and how they grow with the picture."""
    figure, (parts, growth) = panels(1, 2, 10)
    colours = {"look around": RED, "queries, keys, values": GREEN, "1-wide": BLUE}
    at14, seen = macs_by_part(14), set()
    for row, found in enumerate(at14.values()):
        left = 0.0
        for part, value in found.items():
            parts.barh(row, value, left=left, color=colours[part], label=None if part in seen else part)
            seen.add(part)
            left += value
        parts.text(
            left + 5, row, f"{left:.0f} M, {found['look around'] / left:.0%} looking around", va="center", fontsize=8
        )
    parts.set_yticks(range(3), list(at14))
    parts.invert_yaxis()
    parts.set(xlabel="multiply-adds, M", xlim=(0, 620), title=f"one block, 14 x 14 places, {CHANNELS} channels")
    parts.legend(fontsize=8, loc="upper right")
    sides = (7, 14, 28, 56, 112)
    for colour, name in zip((GREY, BLUE, RED), at14, strict=True):
        totals = [sum(macs_by_part(side)[name].values()) for side in sides]
        print(f"{name}: multiply-adds, M", dict(zip(sides, (f"{x:.0f}" for x in totals), strict=True)))
        growth.plot(sides, totals, "o-", color=colour, label=name)
    growth.set(
        xscale="log",
        yscale="log",
        xlabel="places along each axis",
        ylabel="multiply-adds, M",
        title="the same block over more places",
    )
    growth.set_xticks(sides, sides)
    growth.minorticks_off()
    growth.legend(fontsize=8)
    return figure
