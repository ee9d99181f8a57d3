"""The peers' half: torch models with our variables in them, and everything they compute, in our layout."""

from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict

from convzoo import weights
from tests.parity import torchvision_cpu
from tests.parity.cases import Arrays, Case, filled, shapes, uniform

# Our waypoint: the module whose output it is.
WAYPOINTS = {
    "alexnet": {
        **{f"conv{i}": f"features.{j}" for i, j in enumerate((1, 4, 7, 9, 11))},
        "pooled": "avgpool",
        "dense0": "classifier.2",
        "dense1": "classifier.5",
    },
    "resnet": {"stem": "relu", **{f"stage{i}": f"layer{i + 1}" for i in range(4)}, "pooled": "avgpool"},
    "cifar_resnet": {"stem": "relu", **{f"stage{i}": f"layer{i + 1}" for i in range(3)}, "pooled": "pool"},
}


def alexnet(torch: Any, model: Any, channels: int) -> Any:
    """torchvision's, with the two hidden layers made as narrow as ours."""
    net = torchvision_cpu.load("torchvision").models.AlexNet(num_classes=model.num_classes, dropout=0.0)
    net.classifier[1] = torch.nn.Linear(256 * 6 * 6, model.hidden)
    net.classifier[4] = torch.nn.Linear(model.hidden, model.hidden)
    net.classifier[6] = torch.nn.Linear(model.hidden, model.num_classes)
    return net


def resnet(torch: Any, model: Any, channels: int) -> Any:
    resnets = torchvision_cpu.load("torchvision").models.resnet
    block = {"Basic": resnets.BasicBlock, "Bottleneck": resnets.Bottleneck}[model.block.__name__]
    return resnets.ResNet(block, list(model.depths), num_classes=model.num_classes)


def cifar_resnet(torch: Any, model: Any, channels: int) -> Any:
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
    return net


BUILD = {"alexnet": alexnet, "resnet": resnet, "cifar_resnet": cifar_resnet}


def theirs(torch: Any, case: Case) -> Arrays:
    """What ``cases.ours`` computes, by the peer."""
    like = shapes(case.model, case.input)
    net = BUILD[case.family](torch, case.model, case.input[-1]).double()
    load(torch, net, weights.to_peer(filled(like), case.family))
    loss_weights = torch.from_numpy(uniform("weights", (case.input[0], case.model.num_classes)))
    seen: dict[str, Any] = {}
    found: dict[str, Any] = {}
    for name, module in WAYPOINTS[case.family].items():
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
            "waypoint": {name: waypoint(name, value.detach().numpy()) for name, value in seen.items()},
            "statistics": weights.from_peer(state, case.family, like).get("batch_stats", {}) if mode == "train" else {},
            "gradient": {
                **weights.from_peer(gradients, case.family, {"params": like["params"]}),
                "input": np.moveaxis(x.grad.numpy(), 1, -1),
            },
        }
    return {name: array for name, array in flatten_dict(found, sep="/").items() if isinstance(array, np.ndarray)}


def load(torch: Any, net: Any, state: dict[str, np.ndarray]) -> None:
    net.load_state_dict({key: torch.from_numpy(np.array(array)) for key, array in state.items()}, strict=True)


def channels_first(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(array, -1, 1))


def waypoint(name: str, array: np.ndarray) -> np.ndarray:
    """Channels last, and without the single place that a peer keeps after pooling everything."""
    array = np.moveaxis(array, 1, -1)
    return (
        array.reshape(array.shape[0], -1)
        if name == "pooled" and array.shape[1:-1] == (1,) * (array.ndim - 2)
        else array
    )
