"""The peers' half: torch models with our variables in them, and everything they compute, in our layout."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict

from convzoo import weights
from tests.parity import torchvision_cpu
from tests.parity.cases import Arrays, Case, busy, filled, shapes, uniform

Peer = tuple[Any, dict[str, str]]  # a torch module; our waypoint: the module of it whose output that is


def stages(pattern: str, count: int, first: int = 0) -> dict[str, str]:
    return {f"stage{i}": pattern.format(i + first) for i in range(count)}


def alexnet(torch: Any, model: Any, channels: int) -> Peer:
    """torchvision's, with the two hidden layers made as narrow as ours."""
    net = torchvision_cpu.load("torchvision").models.AlexNet(num_classes=model.num_classes, dropout=0.0)
    net.classifier[1] = torch.nn.Linear(256 * 6 * 6, model.hidden)
    net.classifier[4] = torch.nn.Linear(model.hidden, model.hidden)
    net.classifier[6] = torch.nn.Linear(model.hidden, model.num_classes)
    convs = {f"conv{i}": f"features.{j}" for i, j in enumerate((1, 4, 7, 9, 11))}
    return net, {**convs, "pooled": "avgpool", "dense0": "classifier.2", "dense1": "classifier.5"}


def alexnet_2012(torch: Any, model: Any, channels: int) -> Peer:
    """Written from the paper; names as in Caffe's. torch divides alpha by the size, the paper does not."""
    nn = torch.nn
    layers: dict[str, Any] = {
        "conv1": nn.Conv2d(channels, 96, 11, 4), "relu1": nn.ReLU(), "norm1": nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0),
        "pool1": nn.MaxPool2d(3, 2),
        "conv2": nn.Conv2d(96, 256, 5, 1, 2, groups=2), "relu2": nn.ReLU(),
        "norm2": nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0), "pool2": nn.MaxPool2d(3, 2),
        "conv3": nn.Conv2d(256, 384, 3, 1, 1), "relu3": nn.ReLU(),
        "conv4": nn.Conv2d(384, 384, 3, 1, 1, groups=2), "relu4": nn.ReLU(),
        "conv5": nn.Conv2d(384, 256, 3, 1, 1, groups=2), "relu5": nn.ReLU(), "pool5": nn.MaxPool2d(3, 2),
        "places": nn.AdaptiveAvgPool2d(6), "flatten": nn.Flatten(),
        "fc6": nn.Linear(9216, model.hidden), "relu6": nn.ReLU(),
        "fc7": nn.Linear(model.hidden, model.hidden), "relu7": nn.ReLU(),
        "fc8": nn.Linear(model.hidden, model.num_classes),
    }  # fmt: skip
    net = nn.Sequential()
    for name, layer in layers.items():
        net.add_module(name, layer)
    convs = {f"conv{i}": f"relu{i + 1}" for i in range(5)}
    return net, {**convs, "pooled": "places", "dense0": "relu6", "dense1": "relu7"}


def vgg(torch: Any, model: Any, channels: int, *, norm: bool = False, torchvision: bool = False) -> Peer:
    nn, layers = torch.nn, []
    for depth, width in zip(model.depths, model.widths, strict=True):
        layers += [*[width] * depth, "M"]
    ends = np.cumsum([depth * (3 if norm else 2) + 1 for depth in model.depths]) - 2
    found = {f"stage{i}": f"features.{end}" for i, end in enumerate(ends)}
    if torchvision:
        vggs = torchvision_cpu.load("torchvision").models.vgg
        net = vggs.VGG(vggs.make_layers(layers, batch_norm=norm), num_classes=model.num_classes, dropout=0.0)
        net.classifier[0] = nn.Linear(model.widths[-1] * 49, model.hidden)
        net.classifier[3] = nn.Linear(model.hidden, model.hidden)
        net.classifier[6] = nn.Linear(model.hidden, model.num_classes)
        return net, {**found, "dense0": "classifier.1", "dense1": "classifier.4", "pooled": "classifier.4"}
    timm = torchvision_cpu.load("timm")
    net = timm.models.vgg.VGG(
        layers, num_classes=model.num_classes, in_chans=channels, norm_layer=nn.BatchNorm2d if norm else None
    )
    net.pre_logits = timm.models.vgg.ConvMlp(model.widths[-1], model.hidden, 7, drop_rate=0.0)
    net.head = timm.layers.ClassifierHead(model.hidden, model.num_classes)
    return net, {**found, "dense0": "pre_logits.act1", "dense1": "pre_logits.act2", "pooled": "head.global_pool"}


def resnet(torch: Any, model: Any, channels: int) -> Peer:
    """timm's stem is 64 wide whatever the stages are, so a narrow one takes the place of it and of what it feeds."""
    resnets = torchvision_cpu.load("timm").models.resnet
    block = {"Basic": resnets.BasicBlock, "Bottleneck": resnets.Bottleneck}[model.block.__name__]
    net = resnets.ResNet(
        block,
        model.depths,
        num_classes=model.num_classes,
        in_chans=channels,
        output_stride=model.output_stride,
        cardinality=model.groups,
        base_width=model.base_width,
        channels=[model.width * 2**i for i in range(4)],
    )
    if model.width != 64:
        first, conv = net.layer1[0], partial(torch.nn.Conv2d, bias=False)
        net.conv1, net.bn1 = conv(channels, model.width, 7, 2, 3), torch.nn.BatchNorm2d(model.width)
        old = first.conv1
        first.conv1 = conv(model.width, old.out_channels, old.kernel_size, padding=old.padding)
        out = model.width * model.block.expansion
        skip = torch.nn.Sequential(conv(model.width, out, 1), torch.nn.BatchNorm2d(out))
        first.downsample = skip if out != model.width else None
    return net, {"stem": "act1", **stages("layer{}", 4, 1), "pooled": "global_pool"}


def cifar_resnet(torch: Any, model: Any, channels: int) -> Peer:
    """He's CIFAR form with option A, written from the paper for 1, 2 and 3 axes; names as the published weights'."""
    nn, rank = torch.nn, model.ranks[0]
    conv, norm = getattr(nn, f"Conv{rank}d"), getattr(nn, f"BatchNorm{rank}d")

    class Block(nn.Module):
        def __init__(self, inner: int, outer: int, stride: int):
            super().__init__()
            self.stride, self.extra = stride, outer - inner
            self.conv1, self.bn1 = conv(inner, outer, 3, stride, 1, bias=False), norm(outer)
            self.conv2, self.bn2 = conv(outer, outer, 3, 1, 1, bias=False), norm(outer)

        def forward(self, x):
            y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
            kept = x[(slice(None), slice(None), *[slice(None, None, self.stride)] * rank)]
            zeros = kept.new_zeros(kept.shape[0], self.extra // 2, *kept.shape[2:])
            return torch.relu(y + torch.cat([zeros, kept, zeros], 1))

    def stage(inner: int, outer: int, depth: int, stride: int):
        return nn.Sequential(*(Block(outer if i else inner, outer, 1 if i else stride) for i in range(depth)))

    w, depths = model.width, model.depths
    net = nn.Sequential()
    net.conv1, net.bn1, net.relu = conv(channels, w, 3, 1, 1, bias=False), norm(w), nn.ReLU()
    net.layer1, net.layer2, net.layer3 = (
        stage(w, w, depths[0], 1), stage(w, 2 * w, depths[1], 2), stage(2 * w, 4 * w, depths[2], 2),
    )  # fmt: skip
    net.pool = getattr(nn, f"AdaptiveAvgPool{rank}d")(1)
    net.flatten, net.linear = nn.Flatten(), nn.Linear(4 * w, model.num_classes)
    return net, {"stem": "relu", **stages("layer{}", 3, 1), "pooled": "pool"}


def convnext(torch: Any, model: Any, channels: int, *, conv_mlp: bool = False) -> Peer:
    net = torchvision_cpu.load("timm").models.convnext.ConvNeXt(
        in_chans=channels,
        num_classes=model.num_classes,
        output_stride=model.output_stride,
        depths=model.depths,
        dims=model.widths,
        ls_init_value=model.layer_scale or None,
        conv_mlp=conv_mlp,
        use_grn=model.response_norm,
    )
    return net, {"stem": "stem", **stages("stages.{}", 4), "pooled": "head.global_pool", "normed": "head.norm"}


def convnext_torchvision(torch: Any, model: Any, channels: int) -> Peer:
    convnexts = torchvision_cpu.load("torchvision").models.convnext
    after = (*model.widths[1:], None)
    lines = zip(model.widths, after, model.depths, strict=True)
    net = convnexts.ConvNeXt([convnexts.CNBlockConfig(*line) for line in lines], num_classes=model.num_classes)
    found = {f"stage{i}": f"features.{2 * i + 1}" for i in range(4)}
    return net, {"stem": "features.0", **found, "pooled": "avgpool", "normed": "classifier.0"}


def mobilenet(torch: Any, model: Any, channels: int) -> Peer:
    """timm's V2 and EfficientNet are one class, its V3 another."""
    timm = torchvision_cpu.load("timm")
    builder, blocks = timm.models._efficientnet_builder, timm.models._efficientnet_blocks
    own = {
        "block_args": builder.decode_arch_def([list(map(definition, stage)) for stage in model.stages]),
        "num_classes": model.num_classes,
        "in_chans": channels,
        "stem_size": model.stem,
        "fix_stem": True,
        "pad_type": "same" if model.padding == "SAME" else "",
        "act_layer": timm.layers.get_act_layer(model.activation),
        "norm_layer": partial(torch.nn.BatchNorm2d, eps=model.epsilon),
    }
    found = {"stem": "bn1", **stages("blocks.{}", len(model.stages))}
    if not model.hidden:
        own |= {"num_features": model.top, "output_stride": model.output_stride}
        return timm.models.efficientnet.EfficientNet(**own), {**found, "top": "bn2", "pooled": "global_pool"}
    gate = partial(
        blocks.SqueezeExcite,
        gate_layer="hard_sigmoid",
        force_act_layer=torch.nn.ReLU,
        rd_round_fn=builder.round_channels,
    )
    net = timm.models.mobilenetv3.MobileNetV3(num_features=model.hidden, se_layer=gate, **own)
    return net, {**found, "pooled": "global_pool", "hidden": "act2"}


def definition(line: Any) -> str:
    """A line of a stage as timm writes it."""
    kind = {0: "cn", 1: "ds"}.get(line.expansion, "ir")
    gate, activation = f"_se{line.squeeze}" * bool(line.squeeze), "_nre" * (line.activation == "relu")
    return f"{kind}_r{line.repeat}_k{line.window}_s{line.stride}_e{line.expansion}_c{line.width}{gate}{activation}"


def mobilenetv2_torchvision(torch: Any, model: Any, channels: int) -> Peer:
    lines = [[line.expansion, line.width, line.repeat, line.stride] for (line,) in model.stages]
    nets = torchvision_cpu.load("torchvision").models
    net = nets.MobileNetV2(num_classes=model.num_classes, inverted_residual_setting=lines, dropout=0.0)
    ends = np.cumsum([line.repeat for (line,) in model.stages])
    found = {f"stage{i}": f"features.{end}" for i, end in enumerate(ends)}
    return net, {"stem": "features.0", **found, "top": f"features.{ends[-1] + 1}", "pooled": "features"}


def mobilenetv3_torchvision(torch: Any, model: Any, channels: int) -> Peer:
    v3 = torchvision_cpu.load("torchvision").models.mobilenetv3
    lines, inner, ends = [], model.stem, []
    for stage in model.stages[:-1]:
        for line in stage:
            for again in range(line.repeat):
                hidden = int(inner * line.expansion + 4) // 8 * 8
                sign, stride = "RE" if line.activation else "HS", 1 if again else line.stride
                config = (inner, line.window, hidden, line.width, bool(line.squeeze), sign, stride, 1, 1.0)
                lines.append(v3.InvertedResidualConfig(*config))
                inner = line.width
        ends.append(len(lines))
    ends.append(len(lines) + 1)
    norm = partial(torch.nn.BatchNorm2d, eps=model.epsilon)
    net = v3.MobileNetV3(lines, model.hidden, num_classes=model.num_classes, norm_layer=norm, dropout=0.0)
    found = {f"stage{i}": f"features.{end}" for i, end in enumerate(ends)}
    return net, {"stem": "features.0", **found, "pooled": "avgpool", "hidden": "classifier.1"}


def efficientnet_torchvision(torch: Any, model: Any, channels: int) -> Peer:
    nets = torchvision_cpu.load("torchvision").models.efficientnet
    inner = [model.stem, *(line.width for (line,) in model.stages)]
    lines = [
        nets.MBConvConfig(line.expansion, line.window, line.stride, before, line.width, line.repeat)
        for before, (line,) in zip(inner, model.stages, strict=False)
    ]
    net = nets.EfficientNet(lines, 0.0, 0.0, num_classes=model.num_classes, last_channel=model.top)
    count = len(lines)
    found = {"stem": "features.0", **stages("features.{}", count, 1), "top": f"features.{count + 1}"}
    return net, {**found, "pooled": "avgpool"}


BUILD = {
    "alexnet": alexnet,
    "alexnet_2012": alexnet_2012,
    "vgg": vgg,
    "vgg_bn": partial(vgg, norm=True),
    "vgg_torchvision": partial(vgg, torchvision=True),
    "vgg_bn_torchvision": partial(vgg, norm=True, torchvision=True),
    "resnet": resnet,
    "cifar_resnet": cifar_resnet,
    "convnext": convnext,
    "convnext_conv": partial(convnext, conv_mlp=True),
    "convnext_torchvision": convnext_torchvision,
    "mobilenet": mobilenet,
    "mobilenetv2_torchvision": mobilenetv2_torchvision,
    "mobilenetv3_torchvision": mobilenetv3_torchvision,
    "efficientnet_torchvision": efficientnet_torchvision,
}


def theirs(torch: Any, case: Case, table: str) -> Arrays:
    """What ``cases.ours`` computes, by the peer whose table this is."""
    like = shapes(case.model, case.input)
    net, waypoints = BUILD[table](torch, case.model, case.input[-1])
    net = exact(torch, net).double()
    load(torch, net, weights.to_peer(filled(like), table))
    loss_weights = torch.from_numpy(uniform("weights", (case.input[0], case.model.num_classes)))
    ranks = waypoint_ranks(case)
    seen: dict[str, Any] = {}
    found: dict[str, Any] = {}
    for name, module in waypoints.items():
        # A clone: the next module may write into its input.
        net.get_submodule(module).register_forward_hook(lambda *call, name=name: seen.update({name: call[2].clone()}))
    for mode in ("eval", "train"):
        net.train(mode == "train").zero_grad()
        x = torch.from_numpy(channels_first(uniform("input", case.input))).requires_grad_()
        output = net(x)
        (output * loss_weights).sum().backward()
        state = {key: value.numpy() for key, value in net.state_dict().items()}
        gradients = {key: parameter.grad.numpy() for key, parameter in net.named_parameters()}
        found[mode] = {
            "output": output.detach().numpy(),
            "waypoint": {name: waypoint(value.detach().numpy(), ranks[name]) for name, value in seen.items()},
            "statistics": weights.from_peer(state, table, like).get("batch_stats", {}) if mode == "train" else {},
            "gradient": {
                **weights.from_peer(gradients, table, {"params": like["params"]}),
                "input": np.moveaxis(x.grad.numpy(), 1, -1),
            },
        }
    arrays = {name: array for name, array in flatten_dict(found, sep="/").items() if isinstance(array, np.ndarray)}
    return busy(arrays, case)


def exact(torch: Any, net: Any) -> Any:
    """``net`` with hard sigmoids whose gradient is 1 / 6: torch's own rounds it to float32, whatever the dtype."""

    class HardSigmoid(torch.nn.Module):
        def forward(self, x):
            return torch.nn.functional.relu6(x + 3) / 6

    for module in list(net.modules()):
        for name, child in module.named_children():
            if "hardsigmoid" in type(child).__name__.lower():
                setattr(module, name, HardSigmoid())
    return net


def load(torch: Any, net: Any, state: dict[str, np.ndarray]) -> None:
    net.load_state_dict({key: torch.from_numpy(np.array(array)) for key, array in state.items()}, strict=True)


def channels_first(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(array, -1, 1))


def waypoint_ranks(case: Case) -> dict[str, int]:
    """How many axes each waypoint of ours has."""
    x = jax.ShapeDtypeStruct(case.input, jnp.float32)
    _, features = jax.eval_shape(partial(case.model.apply, train=False), shapes(case.model, case.input), x)
    return {name: array.ndim for name, array in features.items()}


def waypoint(array: np.ndarray, axes: int) -> np.ndarray:
    """Channels last; places of which there is one may be axes or not, as ours."""
    array = np.moveaxis(array, 1, -1)
    if array.ndim == axes:
        return array
    if array.ndim == 4 and axes == 2 and array.shape[1:-1] != (1, 1):  # torchvision's MobileNet V2 has no module for it
        return array.mean((1, 2))
    return array.reshape(array.shape[0], *(1,) * (axes - 2), array.shape[-1])
