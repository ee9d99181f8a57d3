"""The peers' half: torch models with our variables in them, and everything they compute, in our layout."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict

from convzoo import weights
from tests.parity import torchvision_cpu
from tests.parity.cases import Arrays, Case, busy, filled, output_shape, shapes, uniform

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


def wavecnn(torch: Any, model: Any, channels: int) -> Peer:
    """M5 and their kind, written from the paper."""
    nn = torch.nn

    def layer(inner: int, outer: int, stage: int):
        window, stride = (3, 1) if stage else (model.window, model.stride)
        layer, left = nn.Sequential(), (window - 1) // 2
        layer.pad, layer.conv = (
            nn.ConstantPad1d((left, window - 1 - left), 0.0),
            nn.Conv1d(inner, outer, window, stride),
        )
        layer.norm, layer.relu = nn.BatchNorm1d(outer), nn.ReLU()
        return layer

    net, inner = nn.Sequential(), channels
    net.stages = nn.Sequential()
    for stage, (depth, width) in enumerate(zip(model.depths, model.widths, strict=True)):
        made = [layer(width if i else inner, width, stage) for i in range(depth)]
        net.stages.append(nn.Sequential(*made))
        net.stages[-1].pool = nn.MaxPool1d(4)
        inner = width
    net.mean, net.flatten, net.head = nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(inner, model.num_classes)
    found = {f"stage{i}": f"stages.{i}.{depth - 1}" for i, depth in enumerate(model.depths)}
    return net, {**found, "pooled": "flatten"}


def quartznet(torch: Any, model: Any, channels: int) -> Peer:
    """Written from the papers; names as NeMo's, whose convolutions are wrapped to mask what is padding."""
    nn = torch.nn

    def wrapped(inner: int, outer: int, window: int = 1, stride: int = 1, dilation: int = 1, groups: int = 1):
        module, own = nn.Sequential(), {"dilation": dilation, "groups": groups, "bias": False}
        module.conv = nn.Conv1d(inner, outer, window, stride, (window - 1) * dilation // 2, **own)
        return module

    class Made(nn.Module):
        def __init__(self, inner: int, line: Any):
            super().__init__()
            self.mconv, first = nn.ModuleList(), inner
            for index in range(line.repeat):
                stride = line.stride if index == 0 else 1
                if line.window > 1:
                    self.mconv.append(wrapped(inner, inner, line.window, stride, line.dilation, inner))
                self.mconv.append(wrapped(inner, line.width))
                self.mconv.append(nn.BatchNorm1d(line.width))
                if index < line.repeat - 1:
                    self.mconv.extend([nn.ReLU(), nn.Dropout(0.0)])
                inner = line.width
            if line.residual:
                pair = [wrapped(first, line.width, 1, line.stride), nn.BatchNorm1d(line.width)]
                self.res = nn.ModuleList([nn.ModuleList(pair)])
            self.out = nn.ReLU()

        def forward(self, x):
            y = x
            for layer in self.mconv:
                y = layer(y)
            if hasattr(self, "res"):
                y = y + self.res[0][1](self.res[0][0](x))
            return self.out(y)

    inner = [channels, *(line.width for line in model.blocks)]
    net = nn.Sequential()
    net.encoder = nn.Sequential()
    net.encoder.encoder = nn.Sequential(*(Made(*pair) for pair in zip(inner, model.blocks, strict=False)))
    net.decoder = nn.Sequential()
    found = {f"block{i}": f"encoder.encoder.{i}" for i in range(len(model.blocks))}
    if model.pooled:
        net.decoder.pooling = nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten())
        net.decoder.decoder_layers = nn.Sequential(nn.Linear(inner[-1], model.num_classes))
        return net, {**found, "pooled": "decoder.pooling"}
    net.decoder.decoder_layers = nn.Sequential(nn.Conv1d(inner[-1], model.num_classes, 1))
    return net, found


def causal(torch: Any, inner: int, outer: int, window: int, dilation: int = 1, bias: bool = True):
    """A convolution that sees the past alone, with the arrays of a plain one."""

    class Causal(torch.nn.Conv1d):
        def forward(self, x):
            return super().forward(torch.nn.functional.pad(x, ((window - 1) * dilation, 0)))

    return Causal(inner, outer, window, dilation=dilation, bias=bias)


def tcn(torch: Any, model: Any, channels: int) -> Peer:
    """Written from the paper, with batch norm in place of weight norm."""
    nn = torch.nn

    class Made(nn.Module):
        def __init__(self, inner: int, outer: int, dilation: int):
            super().__init__()
            self.conv1 = causal(torch, inner, outer, model.window, dilation, bias=False)
            self.conv2 = causal(torch, outer, outer, model.window, dilation, bias=False)
            self.norm1, self.norm2 = nn.BatchNorm1d(outer), nn.BatchNorm1d(outer)
            if inner != outer:
                self.skip, self.skip_norm = nn.Conv1d(inner, outer, 1, bias=False), nn.BatchNorm1d(outer)

        def forward(self, x):
            y = self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(x)))))
            return torch.relu(y + (self.skip_norm(self.skip(x)) if hasattr(self, "skip") else x))

    inner = [channels, *model.widths]
    net = nn.Sequential()
    made = (Made(a, b, 2**i) for i, (a, b) in enumerate(zip(inner, model.widths, strict=False)))
    net.blocks, net.head = nn.Sequential(*made), nn.Conv1d(inner[-1], model.num_classes, 1)
    return net, {f"block{i}": f"blocks.{i}" for i in range(len(model.widths))}


def wavenet(torch: Any, model: Any, channels: int) -> Peer:
    """Written from the paper; the skips' waypoints are the modules ``skip``."""
    nn = torch.nn

    class Made(nn.Module):
        def __init__(self, dilation: int, last: bool):
            super().__init__()
            self.conv = causal(torch, model.width, 2 * model.width, model.window, dilation)
            self.project = nn.Identity() if last else nn.Conv1d(model.width, model.width, 1)
            self.skip = nn.Conv1d(model.width, model.skip, 1)

        def forward(self, x):
            own, gate = self.conv(x).chunk(2, 1)
            y = torch.tanh(own) * torch.sigmoid(gate)
            return x + self.project(y), self.skip(y)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = causal(torch, channels, model.width, model.window)
            count = model.cycles * model.depth
            self.blocks = nn.ModuleList(Made(2 ** (i % model.depth), i == count - 1) for i in range(count))
            self.hidden, self.relu = nn.Conv1d(model.skip, model.skip, 1), nn.ReLU()
            self.head = nn.Conv1d(model.skip, model.num_classes, 1)

        def forward(self, x):
            x, told = self.stem(x), 0.0
            for block in self.blocks:
                x, out = block(x)
                told = told + out
            return self.head(self.relu(self.hidden(torch.relu(told))))

    found = {f"block{i}": f"blocks.{i}.skip" for i in range(model.cycles * model.depth)}
    return Net(), {"stem": "stem", **found, "hidden": "relu"}


def crepe(torch: Any, model: Any, channels: int) -> Peer:
    """torchcrepe's, with narrow layers in place of its own, before the sigmoid, its norms' statistics kept."""
    torchcrepe, nn = torchvision_cpu.load("torchcrepe"), torch.nn

    class Pooled(nn.Identity):
        """What torchcrepe flattens."""

    class Net(torchcrepe.model.Crepe):
        def __init__(self):
            super().__init__("tiny")
            inner = [channels, *model.widths]
            for i, width in enumerate(model.widths, 1):
                conv = getattr(self, f"conv{i}")
                setattr(self, f"conv{i}", nn.Conv2d(inner[i - 1], width, conv.kernel_size, conv.stride))
                setattr(self, f"conv{i}_BN", nn.BatchNorm2d(width, eps=0.0010000000474974513))
                setattr(self, f"out{i}", nn.Identity())
            self.in_features, self.flat = 4 * model.widths[-1], Pooled()
            self.classifier = nn.Linear(self.in_features, model.num_classes)

        def layer(self, x, conv, batch_norm, padding=(0, 0, 31, 32)):
            index = next(i for i in range(1, 7) if getattr(self, f"conv{i}") is conv)
            return getattr(self, f"out{index}")(super().layer(x, conv, batch_norm, padding))

        def forward(self, x):
            x = self.layer(self.embed(x[:, 0]), self.conv6, self.conv6_BN)
            return self.classifier(self.flat(x.permute(0, 2, 1, 3).reshape(-1, self.in_features)))

    return Net(), {**{f"conv{i}": f"out{i + 1}" for i in range(6)}, "pooled": "flat"}


def silero(torch: Any, model: Any, channels: int) -> Peer:
    """Written from the graph of its ONNX file, whose arrays have these names; tests/parity/test_audio.py runs that."""
    nn = torch.nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = nn.Module()
            self.model.stft = nn.Module()
            self.model.stft.forward_basis_buffer = nn.Parameter(torch.zeros(258, 1, 256))
            inner = [129, *model.widths]
            self.model.encoder = nn.ModuleList()
            for i, stride in enumerate(model.strides):
                self.model.encoder.append(nn.Module())
                self.model.encoder[i].reparam_conv = nn.Conv1d(inner[i], inner[i + 1], 3, stride, 1)
                self.model.encoder[i].relu = nn.ReLU()
            self.model.decoder = nn.Module()
            self.model.decoder.rnn = nn.LSTMCell(inner[-1], model.memory)
            last = nn.Conv1d(model.memory, model.num_classes, 1)
            self.model.decoder.decoder = nn.Sequential(nn.Dropout(0.0), nn.ReLU(), last)
            self.magnitude, self.told = nn.Identity(), nn.Identity()
            self.conv = nn.ModuleList(nn.Identity() for _ in model.strides)

        def forward(self, x):
            batch, own = x.shape[0], self.model
            before = torch.nn.functional.pad(x[:, 0], (64, 0)).unfold(1, 576, 512).reshape(-1, 1, 576)
            mirrored = torch.nn.functional.pad(before, (0, 64), "reflect")
            y = torch.nn.functional.conv1d(mirrored, own.stft.forward_basis_buffer, stride=128)
            y = self.magnitude(torch.sqrt(y[:, :129] ** 2 + y[:, 129:] ** 2))
            for layer, seen in zip(own.encoder, self.conv, strict=True):
                y = seen(layer.relu(layer.reparam_conv(y)))
            y, state, told = y[..., 0].reshape(batch, -1, y.shape[1]), None, []
            for chunk in range(y.shape[1]):
                state = own.decoder.rnn(y[:, chunk], state)
                told.append(state[0])
            return own.decoder.decoder(self.told(torch.stack(told, 2)))

    found = {f"conv{i}": f"conv.{i}" for i in range(len(model.strides))}
    return Net(), {"stft": "magnitude", **found, "lstm": "told"}


BUILD = {
    "wavecnn": wavecnn,
    "quartznet": quartznet,
    "tcn": tcn,
    "wavenet": wavenet,
    "crepe": crepe,
    "silero": silero,
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
    loss_weights = torch.from_numpy(np.moveaxis(uniform("weights", output_shape(case)), -1, 1).copy())
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
            "output": np.moveaxis(output.detach().numpy(), 1, -1),
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
    if array.ndim == axes + 1 and array.shape[-1] == 1:  # torchcrepe's second axis of space
        array = array[..., 0]
    array = np.moveaxis(array, 1, -1)
    if array.ndim == axes:
        return array
    if array.ndim == 4 and axes == 2 and array.shape[1:-1] != (1, 1):  # torchvision's MobileNet V2 has no module for it
        return array.mean((1, 2))
    return array.reshape(array.shape[0], *(1,) * (axes - 2), array.shape[-1])
