"""The table of names, and what a network costs and sees.

model = convzoo.create("resnet50", num_classes=10)
convzoo.cost(model, (1, 224, 224, 3))            # Cost(params=23528522, macs=4087136256, activations=...)
convzoo.feature_info(model, (1, 224, 224, 3))    # {"stem": Info(channels=64, stride=(2, 2), field=(7, 7)), ...}
model, variables, recipe = convzoo.load("resnet50", "hf-hub:timm/resnet50.a1_in1k", num_classes=10)
convzoo.save("mine.safetensors", model, variables)
"""

import difflib
import fnmatch
import functools
import math
import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core as jaxpr

from convzoo import core
from convzoo.models import (
    alexnet,
    bytenet,
    convnext,
    crepe,
    efficientnet,
    gcnii,
    gin,
    graphnet,
    layernet,
    mlp,
    mobilenet,
    mobilenetv3,
    molnet,
    nodenet,
    quartznet,
    resnet,
    silero,
    tcn,
    vgg,
    wavecnn,
)
from convzoo.nn import Model
from convzoo.weights import files as weight_files
from convzoo.weights import fitting, loading, sources, values
from convzoo.weights import recipe as recipes
from convzoo.weights.recipe import Recipe

MODELS: dict[str, Model] = {
    "alexnet": alexnet.ALEXNET,
    "alexnet_2012": alexnet.ALEXNET_2012,
    "bytenet": bytenet.BYTENET,
    "chebnet": nodenet.CHEBNET,
    "cifar_resnet20": resnet.CIFAR_RESNET20,
    "cifar_resnet32": resnet.CIFAR_RESNET32,
    "cifar_resnet44": resnet.CIFAR_RESNET44,
    "cifar_resnet56": resnet.CIFAR_RESNET56,
    "cifar_resnet110": resnet.CIFAR_RESNET110,
    "convnext_atto": convnext.CONVNEXT_ATTO,
    "convnext_base": convnext.CONVNEXT_BASE,
    "convnext_femto": convnext.CONVNEXT_FEMTO,
    "convnext_large": convnext.CONVNEXT_LARGE,
    "convnext_nano": convnext.CONVNEXT_NANO,
    "convnext_pico": convnext.CONVNEXT_PICO,
    "convnext_small": convnext.CONVNEXT_SMALL,
    "convnext_tiny": convnext.CONVNEXT_TINY,
    "convnext_xlarge": convnext.CONVNEXT_XLARGE,
    "convnextv2_atto": convnext.CONVNEXTV2_ATTO,
    "convnextv2_base": convnext.CONVNEXTV2_BASE,
    "convnextv2_femto": convnext.CONVNEXTV2_FEMTO,
    "convnextv2_huge": convnext.CONVNEXTV2_HUGE,
    "convnextv2_large": convnext.CONVNEXTV2_LARGE,
    "convnextv2_nano": convnext.CONVNEXTV2_NANO,
    "convnextv2_pico": convnext.CONVNEXTV2_PICO,
    "convnextv2_small": convnext.CONVNEXTV2_SMALL,
    "convnextv2_tiny": convnext.CONVNEXTV2_TINY,
    "crepe_full": crepe.CREPE_FULL,
    "crepe_tiny": crepe.CREPE_TINY,
    "efficientnet_b0": efficientnet.EFFICIENTNET_B0,
    "efficientnet_b1": efficientnet.EFFICIENTNET_B1,
    "efficientnet_b2": efficientnet.EFFICIENTNET_B2,
    "efficientnet_b3": efficientnet.EFFICIENTNET_B3,
    "efficientnet_b4": efficientnet.EFFICIENTNET_B4,
    "efficientnet_b5": efficientnet.EFFICIENTNET_B5,
    "efficientnet_b6": efficientnet.EFFICIENTNET_B6,
    "efficientnet_b7": efficientnet.EFFICIENTNET_B7,
    "efficientnet_lite0": efficientnet.EFFICIENTNET_LITE0,
    "efficientnet_lite1": efficientnet.EFFICIENTNET_LITE1,
    "efficientnet_lite2": efficientnet.EFFICIENTNET_LITE2,
    "efficientnet_lite3": efficientnet.EFFICIENTNET_LITE3,
    "efficientnet_lite4": efficientnet.EFFICIENTNET_LITE4,
    "gat": nodenet.GAT,
    "gatv2": nodenet.GATV2,
    "gcn": nodenet.GCN,
    "gcnii": gcnii.GCNII_64,
    "gin": gin.GIN_SMALL,
    "graphnet": graphnet.GRAPHNET,
    "graphnet_edgeconv": layernet.GRAPHNET_EDGECONV,
    "graphnet_gat": layernet.GRAPHNET_GAT,
    "graphnet_gin": layernet.GRAPHNET_GIN,
    "graphnet_sage": layernet.GRAPHNET_SAGE,
    "graphsage": nodenet.GRAPHSAGE,
    "m5": wavecnn.M5,
    "m11": wavecnn.M11,
    "matchboxnet_3x2x64": quartznet.MATCHBOXNET_3X2X64,
    "mlp": mlp.MLP_SMALL,
    "molnet": molnet.MOLNET_PCBA,
    "mobilenetv2_035": mobilenet.MOBILENETV2_035,
    "mobilenetv2_050": mobilenet.MOBILENETV2_050,
    "mobilenetv2_075": mobilenet.MOBILENETV2_075,
    "mobilenetv2_100": mobilenet.MOBILENETV2_100,
    "mobilenetv2_110d": mobilenet.MOBILENETV2_110D,
    "mobilenetv2_120d": mobilenet.MOBILENETV2_120D,
    "mobilenetv2_140": mobilenet.MOBILENETV2_140,
    "mobilenetv3_large_075": mobilenetv3.MOBILENETV3_LARGE_075,
    "mobilenetv3_large_100": mobilenetv3.MOBILENETV3_LARGE_100,
    "mobilenetv3_small_050": mobilenetv3.MOBILENETV3_SMALL_050,
    "mobilenetv3_small_075": mobilenetv3.MOBILENETV3_SMALL_075,
    "mobilenetv3_small_100": mobilenetv3.MOBILENETV3_SMALL_100,
    "quartznet5x5": quartznet.QUARTZNET5X5,
    "quartznet15x5": quartznet.QUARTZNET15X5,
    "resnet18": resnet.RESNET18,
    "resnet34": resnet.RESNET34,
    "resnet50": resnet.RESNET50,
    "resnet101": resnet.RESNET101,
    "resnet152": resnet.RESNET152,
    "resnext50_32x4d": resnet.RESNEXT50_32X4D,
    "resnext101_32x4d": resnet.RESNEXT101_32X4D,
    "resnext101_32x8d": resnet.RESNEXT101_32X8D,
    "resnext101_64x4d": resnet.RESNEXT101_64X4D,
    "silero_vad": silero.SILERO_VAD,
    "tcn": tcn.TCN_SMALL,
    "tf_efficientnet_b0": efficientnet.TF_EFFICIENTNET_B0,
    "tf_efficientnet_b1": efficientnet.TF_EFFICIENTNET_B1,
    "tf_efficientnet_b2": efficientnet.TF_EFFICIENTNET_B2,
    "tf_efficientnet_b3": efficientnet.TF_EFFICIENTNET_B3,
    "tf_efficientnet_b4": efficientnet.TF_EFFICIENTNET_B4,
    "tf_efficientnet_b5": efficientnet.TF_EFFICIENTNET_B5,
    "tf_efficientnet_b6": efficientnet.TF_EFFICIENTNET_B6,
    "tf_efficientnet_b7": efficientnet.TF_EFFICIENTNET_B7,
    "tf_efficientnet_lite0": efficientnet.TF_EFFICIENTNET_LITE0,
    "tf_efficientnet_lite1": efficientnet.TF_EFFICIENTNET_LITE1,
    "tf_efficientnet_lite2": efficientnet.TF_EFFICIENTNET_LITE2,
    "tf_efficientnet_lite3": efficientnet.TF_EFFICIENTNET_LITE3,
    "tf_efficientnet_lite4": efficientnet.TF_EFFICIENTNET_LITE4,
    "tf_mobilenetv3_large_075": mobilenetv3.TF_MOBILENETV3_LARGE_075,
    "tf_mobilenetv3_large_100": mobilenetv3.TF_MOBILENETV3_LARGE_100,
    "tf_mobilenetv3_large_minimal_100": mobilenetv3.TF_MOBILENETV3_LARGE_MINIMAL_100,
    "tf_mobilenetv3_small_075": mobilenetv3.TF_MOBILENETV3_SMALL_075,
    "tf_mobilenetv3_small_100": mobilenetv3.TF_MOBILENETV3_SMALL_100,
    "tf_mobilenetv3_small_minimal_100": mobilenetv3.TF_MOBILENETV3_SMALL_MINIMAL_100,
    "vgg11": vgg.VGG11,
    "vgg11_bn": vgg.VGG11_BN,
    "vgg13": vgg.VGG13,
    "vgg13_bn": vgg.VGG13_BN,
    "vgg16": vgg.VGG16,
    "vgg16_bn": vgg.VGG16_BN,
    "vgg19": vgg.VGG19,
    "vgg19_bn": vgg.VGG19_BN,
    "wavenet": tcn.WAVENET,
    "wide_resnet50_2": resnet.WIDE_RESNET50_2,
    "wide_resnet101_2": resnet.WIDE_RESNET101_2,
}

# Whose weights fit a name: patterns of names, and the tables of convzoo.weights for them, timm's first if it has the
# name, then torchvision's and others'. The first pattern that fits counts.
TABLES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("alexnet", ("alexnet",)),
    ("alexnet_2012", ("alexnet_2012",)),
    ("cifar_resnet*", ("cifar_resnet",)),
    ("convnext_atto", ("convnext_conv",)),
    ("convnext_femto", ("convnext_conv",)),
    ("convnext_pico", ("convnext_conv",)),
    ("convnext_nano", ("convnext_conv",)),
    ("convnext_xlarge", ("convnext",)),
    ("convnext_*", ("convnext", "convnext_torchvision")),
    ("convnextv2_atto", ("convnext_conv",)),
    ("convnextv2_femto", ("convnext_conv",)),
    ("convnextv2_pico", ("convnext_conv",)),
    ("convnextv2_nano", ("convnext_conv",)),
    ("convnextv2_*", ("convnext",)),
    ("*efficientnet_lite*", ("mobilenet", "efficientnet_lite_pytorch")),
    ("crepe_*", ("crepe",)),
    ("efficientnet_b*", ("mobilenet", "efficientnet_torchvision")),
    ("m5", ("wavecnn",)),
    ("m11", ("wavecnn",)),
    ("matchboxnet*", ("quartznet",)),
    ("mobilenetv2_100", ("mobilenet", "mobilenetv2_torchvision")),
    ("mobilenetv3_large_100", ("mobilenet", "mobilenetv3_torchvision")),
    ("mobilenetv3_small_100", ("mobilenet", "mobilenetv3_torchvision")),
    ("tf_efficientnet_b*", ("mobilenet",)),
    ("*mobilenetv*", ("mobilenet",)),
    ("quartznet*", ("quartznet",)),
    ("*resne[tx]*", ("resnet",)),
    ("silero_vad", ("silero",)),
    ("tcn", ("tcn",)),
    ("vgg*_bn", ("vgg_bn", "vgg_bn_torchvision")),
    ("vgg*", ("vgg", "vgg_torchvision")),
    ("wavenet", ("wavenet",)),
)
STYLES: dict[str, tuple[str, ...]] = {
    name: next(tables for pattern, tables in TABLES if fnmatch.fnmatchcase(name, pattern))
    for name in MODELS
    if any(fnmatch.fnmatchcase(name, pattern) for pattern, _ in TABLES)
}

# The arrays of a table fit, but whoever trained them had other constants than the name: {(name, table): fields}.
TENSORFLOW = {"padding": "SAME", "epsilon": 1e-3}
NEEDS: dict[tuple[str, str], dict[str, Any]] = {
    ("mobilenetv3_large_100", "mobilenetv3_torchvision"): {"epsilon": 1e-3},
    ("mobilenetv3_small_100", "mobilenetv3_torchvision"): {"epsilon": 1e-3},
    **{(f"efficientnet_b{n}", "efficientnet_torchvision"): {"epsilon": 1e-3} for n in (5, 6, 7)},
    **{(f"efficientnet_lite{n}", "efficientnet_lite_pytorch"): TENSORFLOW for n in range(5)},
}


class Cost(NamedTuple):
    """What one forward pass takes.

    ``params``: values in the parameter tree. ``macs``: multiply-adds of convolutions, graph convolutions and matrix
    products (so of dense layers and attention) for the whole batch; padding is counted as computed. A graph convolution
    counts in its cheaper order: a product an edge, or a product a node and tap and a sum over edges. ``activations``:
    the values that those operations put out.
    """

    params: int
    macs: int
    activations: int


class Info(NamedTuple):
    """A waypoint: its channels; its stride against the input, per axis; the span of input that one of its places sees,
    per axis (on a graph: in hops). None where places are gone or see everything."""

    channels: int
    stride: tuple[int, ...] | None
    field: tuple[int, ...] | None


def list_models(pattern: str = "*") -> list[str]:
    """The names that match a shell pattern (``"resnet*"``), sorted."""
    return sorted(fnmatch.filter(MODELS, pattern))


def create(name: str, **fields: Any) -> Model:
    """The named model, with fields of it changed: ``create("resnet50", num_classes=10)``.

    Raises:
      ValueError: no such model, with the nearest names; or no such field, with the fields there are.
    """
    if name not in MODELS:
        near = difflib.get_close_matches(name, MODELS, 3, 0.4)
        raise ValueError(
            f"there is no model {name!r}; " + (f"nearest: {', '.join(near)}" if near else "see list_models")
        )
    model = MODELS[name]
    known = [field for field in model.__dataclass_fields__ if field not in ("parent", "name")]
    unknown = sorted(set(fields) - set(known))
    if unknown:
        raise ValueError(f"{name} has no field {', '.join(unknown)}; its fields are {', '.join(known)}")
    return model.clone(**fields)


def load(
    name: str,
    source: str | os.PathLike[str] | None = None,
    *,
    num_classes: int | None = None,
    in_channels: int | None = None,
    example: Any = None,
    seed: int = 0,
) -> tuple[Model, dict[str, Any], Recipe]:
    """The named model, weights for it, and what its input must go through.

    Args:
      name: a name in ``list_models``.
      source: a ``.safetensors``, ``.npz``, ``.pth``, ``.pt`` or ``.bin`` file; a folder in the hub's layout; or
        ``"hf-hub:timm/..."``. None: the package that ships weights for ``name`` (``weights.PACKAGES``).
      num_classes: a head for so many classes: the file's own if it has so many, or else a new one; 0: no head.
        None: as many as the source tells, or the named model has.
      in_channels: channels of the input; where the file's stem takes others it is adapted: for one channel summed over
        its own, otherwise repeated in turn and scaled by (its own / ``in_channels``). None: as the file has it.
      example: an input, or its shape, for models that take no images.
      seed: of a new head.

    Returns:
      The model; its variables, in the dtypes of the file (NumPy arrays where JAX would narrow them); the recipe.

    Raises:
      ValueError: no such model, or a file that is damaged, refused, or of another model (``weights.Mismatch``, with
        every array that does not fit).
      OSError: no such file, or the hub cannot be reached.
      ImportError: a package is missing; it names the extra.
    """
    model = create(name)
    if (num_classes is not None and num_classes < 0) or (in_channels is not None and in_channels < 1):
        raise ValueError(f"num_classes={num_classes} must be at least 0 and in_channels={in_channels} at least 1")
    found = sources.find(name, source)
    if found.architecture and found.architecture != name:
        raise ValueError(f"{source} holds weights of {found.architecture}, not of {name}")
    state, metadata = weight_files.read(found.path)
    recipe = found.recipe or recipes.usual(name, getattr(model, "num_classes", 0), str(source))
    if "convzoo.model" in metadata:
        model = saved_model(metadata["convzoo.model"], name, found.path)
        recipe = recipes.from_json(metadata["convzoo.recipe"]) if "convzoo.recipe" in metadata else recipe
    if found.classes is not None:
        model = loading.sized(model, found.classes)
    shaper = loading.Shaper(model, loading.image_shape(model, recipe.size) if example is None else example)
    classes = getattr(model, "num_classes", 0)
    tables, new_head = STYLES.get(name, ()), num_classes is not None
    held, table = fitting.fit(state, shaper, tables, classes, shaper.channels, new_head=new_head)
    model = model.clone(**NEEDS.get((name, table), {}))
    if found.recipe is None:
        recipe = recipe._replace(**recipes.OF_TABLE.get(table, {}))
    classes = classes if num_classes is None else num_classes
    variables = loading.refitted(held, shaper, classes, in_channels, seed)
    return loading.sized(model, classes), variables, recipes.adapted(recipe, classes, in_channels)


def save(
    path: str | os.PathLike[str],
    model: Model,
    variables: Any,
    *,
    style: str = "convzoo",
    recipe: Recipe | None = None,
) -> None:
    """Writes a ``.safetensors`` file, whole or not at all.

    Args:
      style: "convzoo": our paths, with the model and the recipe beside them, for ``load``. "timm": timm's keys, which
        its model of that name loads with ``strict=True``; torchvision's or the author's where timm has no such model.
      recipe: what ``load`` is to give back.

    Raises:
      ValueError: another suffix or style, variables that are not this model's, or a model that timm does not have.
    """
    if style not in ("convzoo", "timm"):
        raise ValueError(f"style {style!r} is not known; it must be 'convzoo' or 'timm'")
    path, given = Path(path), {key: variables[key] for key in ("params", "batch_stats") if variables.get(key)}
    check_own(model, given)
    if style == "timm":
        weight_files.write(path, fitting.to_timm(given, timm_table(model)), {"format": "pt"})
        return
    metadata = {"format": "convzoo", "convzoo.model": values.to_json(model)}
    if recipe is not None:
        metadata["convzoo.recipe"] = recipes.to_json(recipe)
    weight_files.write(path, {path: np.asarray(array) for path, array in fitting.flat(given).items()}, metadata)


def check_own(model: Model, variables: dict[str, Any]) -> None:
    """Raises Mismatch unless the variables are the model's; those of models that take no images go unchecked."""
    shaper = loading.Shaper(model, loading.image_shape(model, (224, 224)))
    try:
        shaper(1, shaper.channels)
    except (ValueError, TypeError):
        return
    fitting.fit(fitting.flat(variables), shaper, (), getattr(model, "num_classes", 0), shaper.channels)


def timm_table(model: Model) -> str:
    """The table of timm's names for a model: that of the named model which it is most like.

    Raises:
      ValueError: there is none.
    """

    def alike(name: str) -> int:
        return sum(getattr(MODELS[name], field) == getattr(model, field) for field in model.__dataclass_fields__)

    named = [name for name in STYLES if type(MODELS[name]) is type(model)]
    if not named:
        raise ValueError(f"timm has no {type(model).__name__}; save it with style='convzoo'")
    return STYLES[max(named, key=alike)][0]


def saved_model(text: str, name: str, path: Path) -> Model:
    """The model that a file of ours tells, if it is of the class of ``name`` and no other named one."""
    model, asked = values.from_json(text), MODELS[name]
    if type(model) is not type(asked):
        raise ValueError(f"{path} holds weights of a {type(model).__name__}; {name} is a {type(asked).__name__}")
    free = {field: getattr(asked, field) for field in ("num_classes", "dtype", "param_dtype") if hasattr(asked, field)}
    others = [other for other, named in MODELS.items() if named.clone(**free) == model.clone(**free)]
    if others and name not in others:
        raise ValueError(f"{path} holds weights of {others[0]}, not of {name}")
    return model


def cost(model: Model, shape: Any) -> Cost:
    """Parameters, multiply-adds and activations of one forward pass; nothing is computed.

    Args:
      shape: the input's shape (``[batch, length]`` means bytes), or an example of the input, which graphs need.
    """
    x = example(shape)
    variables = jax.eval_shape(lambda key, x: model.init(key, x, train=False), jax.random.key(0), x)
    closed = jax.make_jaxpr(lambda v, x: forward(model, v, x)[0])(variables, x)
    macs, activations = count(closed.jaxpr)
    params = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables["params"]))
    return Cost(params, macs, activations)


def forward(model: Model, variables: Any, x: Any) -> tuple[Any, "OrderedDict[str, Any]"]:
    """One pass without training."""
    return cast(Any, model.apply(variables, x, train=False))


def example(shape: Any) -> Any:
    """A shape -> what stands for an input of it; anything else stands for itself."""
    if not isinstance(shape, Sequence) or not all(hasattr(n, "__index__") for n in shape):
        return shape
    return jax.ShapeDtypeStruct(tuple(shape), jnp.int32 if len(shape) == 2 else jnp.float32)


def count(program: jaxpr.Jaxpr) -> tuple[int, int]:
    """(multiply-adds, activations) of a program."""
    macs = activations = 0
    for equation in program.eqns:
        name, params = equation.primitive.name, equation.params
        ins, outs = [v.aval for v in equation.invars], [v.aval for v in equation.outvars]
        if name in OPERATIONS:
            macs, activations = macs + OPERATIONS[name](ins, outs[0], params), activations + size(outs[0])
        elif (
            params.get("name") == "convolve" and len(ins) >= 6
        ):  # x, kernel, the four arrays of core.Edges, and those of a table
            macs, activations = macs + graph_macs(ins, outs[0]), activations + size(outs[0])
        elif name == "cond":
            most = max(count(branch.jaxpr) for branch in params["branches"])
            macs, activations = macs + most[0], activations + most[1]
        else:
            times = params["length"] if name == "scan" else 1
            for inner in inner_programs(params):
                more = count(inner)
                macs, activations = macs + times * more[0], activations + times * more[1]
    return macs, activations


def size(aval: Any) -> int:
    return math.prod(aval.shape)


def inner_programs(params: dict[str, Any]):
    """The programs that an equation calls."""
    for value in params.values():
        for each in value if isinstance(value, (tuple, list)) else (value,):
            if isinstance(each, jaxpr.ClosedJaxpr):
                yield each.jaxpr
            elif isinstance(each, jaxpr.Jaxpr):
                yield each


def conv_macs(ins, out, params) -> int:
    x, kernel, *_ = ins
    dilated = any(i > 1 for i in params["geometry"].in_dilation)
    places = math.prod(x.shape[:-1]) if dilated else math.prod(out.shape[:-1])  # a dilated input's zeros cost nothing
    return places * kernel.size


def lax_conv_macs(ins, out, params) -> int:
    kernel, numbers = ins[1], params["dimension_numbers"]
    return out.size * kernel.size // kernel.shape[numbers.rhs_spec[0]]


def dot_macs(ins, out, params) -> int:
    (contracted, _), _ = params["dimension_numbers"]
    return out.size * math.prod(ins[0].shape[axis] for axis in contracted)


def graph_macs(ins, out) -> int:
    x, kernel, senders = ins[0], ins[1], ins[2]
    taps, inner, outer = kernel.shape
    edges = senders.size
    by_edge = edges * inner * outer
    by_node = max(out.shape[0], x.shape[0]) * taps * inner * outer + edges * min(inner, outer)
    return min(by_edge, by_node)


OPERATIONS = {
    "convzoo_conv": conv_macs,
    "convzoo_conv_then": conv_macs,
    "conv_general_dilated": lax_conv_macs,
    "dot_general": dot_macs,
}


# --- what a waypoint sees -------------------------------------------------------------------------------------------

LENGTHS = (1024, 4096)  # of the inputs that are probed, until one is longer than every field

STRIDES = 2**9 * 3**2 * 5 * 7  # every stride that is found divides this


def feature_info(model: Model, shape: Any) -> "OrderedDict[str, Info]":
    """Channels, stride and receptive field of every waypoint, the field found by probing: half of a long input is made
    NaN, and the places that stay clean tell, exactly, how far each place sees.

    What is computed from all places (the gate of squeeze-and-excitation, global response norm) does not count: it is
    zero while the probe runs (``core.without_global``), so the field is what windows reach.

    Args:
      shape: the input's shape (``[batch, length]`` means bytes), or an example graph.
    """
    if hasattr(shape, "n_node"):
        return graph_info(model, shape)
    shape = tuple(example(shape).shape)
    look = functools.cache(functools.partial(shapes_of, model))
    found = {name: ([], []) for name in look(shape).features}
    for axis in range(max(len(shape) - 2, 1)):
        for name, (stride, field) in axis_info(model, look, shape, axis + 1).items():
            found[name][0].append(stride)
            found[name][1].append(field)
    return OrderedDict(
        (name, Info(array.shape[-1], *(None if None in part else tuple(part) for part in found[name])))
        for name, array in look(shape).features.items()
    )


class Shapes(NamedTuple):
    features: "OrderedDict[str, jax.ShapeDtypeStruct]"
    variables: Any


def shapes_of(model: Model, shape: tuple[int, ...]) -> Shapes:
    """The waypoints and variables for an input of this shape, from one trace."""
    run = functools.partial(model.init_with_output, train=False)
    (_, features), variables = cast(Any, jax.eval_shape(run, jax.random.key(0), example(shape)))
    return Shapes(features, variables)


Look = Callable[[tuple[int, ...]], Shapes]


def axis_info(model: Model, look: Look, shape: tuple[int, ...], axis: int) -> dict[str, tuple[int | None, int | None]]:
    """{waypoint: (stride, field)} along one axis."""
    shape = (1, *shape[1:])
    spatial = range(1, max(len(shape) - 1, 2))

    def resized(length: int, others: int | None) -> tuple[int, ...]:
        return tuple(length if a == axis else (others or n) if a in spatial else n for a, n in enumerate(shape))

    others = next((n for n in (8, 16, 32, 64, 128) if works(look, resized(LENGTHS[-1], n))), None)
    sizes = [look(resized(n, others)).features for n in (LENGTHS[-1], LENGTHS[-1] + STRIDES)]
    strides = {}
    for name, array in sizes[0].items():
        longer = sizes[1][name].shape[axis] - array.shape[axis] if array.ndim == len(shape) or array.ndim == 3 else 0
        strides[name] = STRIDES // longer if longer > 0 and STRIDES % longer == 0 else None
    period = math.lcm(*(s for s in strides.values() if s)) if any(strides.values()) else 1
    result: dict[str, tuple[int | None, int | None]] = {name: (stride, None) for name, stride in strides.items()}
    for length in LENGTHS:
        unknown = [name for name, stride in strides.items() if stride and result[name][1] is None]
        if not unknown:
            break
        if length > 2 * period and works(look, resized(length, others)):
            cuts = length // 2 + np.arange(period)
            clean = probe(model, look(resized(length, others)).variables, resized(length, others), axis, cuts)
            for name in unknown:
                stride = strides[name]
                assert stride
                result[name] = stride, span(clean[0][name], clean[1][name], cuts, stride)
    return result


def zeros_like(variables: Any) -> Any:
    """Variables that are all zero: 0 * NaN is NaN, so they hide nothing from a probe, and nothing overflows."""
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), variables)


def works(look: Look, shape: tuple[int, ...]) -> bool:
    try:
        look(shape)
    except (ValueError, TypeError, ZeroDivisionError):
        return False
    return True


def probe(model: Model, variables: Any, shape: tuple[int, ...], axis: int, cuts: np.ndarray):
    """For the two halves: {waypoint: [cuts, places], True where nothing of the half before (from) the cut is seen}."""
    place = jnp.arange(shape[axis]).reshape([-1 if a == axis else 1 for a in range(len(shape))])
    variables = zeros_like(variables)

    @functools.partial(
        jax.jit, compiler_options={"xla_backend_optimization_level": 0}
    )  # it compiles longer than it runs
    def clean(hidden, variables):  # [1, ..., places, ...] bool
        if len(shape) == 2:  # bytes: byte 255 is made to embed as NaN
            params = {**variables["params"], "embedding": variables["params"]["embedding"].at[255].set(jnp.nan)}
            x, given = jnp.where(hidden, 255, 0), {**variables, "params": params}
        else:
            x, given = jnp.where(hidden, jnp.nan, jnp.zeros(shape, jnp.float32)), variables
        _, features = forward(model, given, x)
        return {
            name: ~jnp.isnan(array).any(tuple(a for a in range(array.ndim) if a != axis))
            for name, array in features.items()
            if array.ndim > 2
        }

    sides = []
    with core.without_global():
        for half in (lambda cut: place < cut, lambda cut: place >= cut):
            found = [clean(half(int(cut)), variables) for cut in cuts]
            sides.append({name: np.stack([np.asarray(each[name]) for each in found]) for name in found[0]})
    return sides


def span(after: np.ndarray, before: np.ndarray, cuts: np.ndarray, stride: int) -> int | None:
    """The field, from what is clean after and before each cut: place j sees ``stride * j - left`` to ``stride * j +
    right``, and over one period of cuts some place ends exactly at one."""
    left, right = [], []
    for clean, other, cut in zip(after, before, cuts, strict=True):
        if not clean[-1] or not other[0]:
            return None
        first = len(clean) - int(np.argmin(clean[::-1])) if not clean.all() else 0
        last = int(np.argmin(other)) - 1 if not other.all() else len(other) - 1
        left.append(first * stride - int(cut))
        right.append(int(cut) - 1 - last * stride)
    return min(left) + min(right) + 1


def graph_info(model: Model, graph: Any) -> "OrderedDict[str, Info]":
    """The same on a path of nodes: a NaN at its middle node reaches as many nodes to each side as there are hops."""
    nodes = 129
    middle, pairs = nodes // 2, [(i, i + 1) for i in range(nodes - 1)]
    senders, receivers = np.array([*pairs, *((b, a) for a, b in pairs), *((i, i) for i in range(nodes))]).T
    labels = graph.edges if isinstance(graph.edges, dict) else {}
    edges = {name: jnp.ones(len(senders), array.dtype) for name, array in labels.items()}
    edges |= {"tap": jnp.zeros(len(senders), jnp.int32)}
    x = jnp.zeros((nodes, graph.nodes.shape[-1])).at[middle].set(jnp.nan)
    path = graph._replace(
        nodes=x,
        edges=edges,
        senders=jnp.asarray(senders, jnp.int32),
        receivers=jnp.asarray(receivers, jnp.int32),
        n_node=jnp.array([nodes]),
        n_edge=jnp.array([len(senders)]),
    )
    shapes = jax.eval_shape(lambda key, x: model.init(key, x, train=False), jax.random.key(0), path)
    _, features = forward(model, zeros_like(shapes), path)
    infos = OrderedDict()
    for name, array in features.items():
        seen = int(np.isnan(np.asarray(array)).any(-1).sum()) if array.shape[0] == nodes else 0
        infos[name] = Info(array.shape[-1], (1,) if seen else None, (seen // 2,) if seen else None)
    return infos
