"""Graph layers and their gradients against torch_geometric's with the same weights, in float64."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from tests.parity import cases, graph_cases
from tests.parity.graph_cases import CASES, GRAPH_ID, GRAPHS, IN, IN_EDGE, NUM_GRAPHS, RELATIONS, Case

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

MLP = {
    f"nn.{2 * i}.{kind}": f"mlp/dense{i}/{own}" for i in (0, 1) for kind, own in (("weight", "kernel"), ("bias",) * 2)
}


def dense(**pairs: str) -> dict[str, str]:
    """Of each linear layer, by its peer's name with _ for a dot: weight and bias."""
    return {
        f"{peer.replace('__', '.')}.{kind}": f"{own}/{mine}"
        for peer, own in pairs.items()
        for kind, mine in (("weight", "kernel"), ("bias", "bias"))
    }


BIASED = {"lin.weight": "kernel", "bias": "bias"}
GAT = {"lin.weight": "kernel", "att_src": "source", "att_dst": "target", "bias": "bias"}
GATV2 = {**dense(lin_l="sender", lin_r="receiver"), "att": "attention", "bias": "bias"}
SAGE = {"lin_l.weight": "kernel", "lin_l.bias": "bias", "lin_r.weight": "own"}
NNCONV = {**MLP, "lin.weight": "own", "bias": "bias"}
RGCN = {"weight": "kernel", "root": "own", "bias": "bias"}
LSTM = {"lstm.weight_ih_l0": "lstm_kernel", "lstm.weight_hh_l0": "lstm_recurrent", "lstm.bias_ih_l0": "lstm_bias"}

# Our parameter by the peer's; kernel#2 is its third slice.
NAMES: dict[str, dict[str, str]] = {
    "gcn": BIASED,
    "gcn narrowing": {"lin.weight": "kernel"},
    "gcn without loops": BIASED,
    "gcn2": {"weight1": "kernel"},
    "sage mean": SAGE,
    "sage max": SAGE,
    "sage sum": {"lin_l.weight": "kernel", "lin_r.weight": "own"},
    "gin": MLP,
    "gin learned": {**MLP, "eps": "epsilon"},
    "gine": MLP,
    "gine projected": {**MLP, "eps": "epsilon", **dense(lin="project")},
    "gat": GAT,
    "gat heads": GAT,
    "gat averaged": GAT,
    "gatv2": GATV2,
    "gatv2 averaged": GATV2,
    "chebyshev": {**{f"lins.{k}.weight": f"kernel#{k}" for k in range(4)}, "bias": "bias"},
    "chebyshev scaled": {**{f"lins.{k}.weight": f"kernel#{k}" for k in range(3)}, "bias": "bias"},
    "sgc": {"lin.weight": "kernel", "lin.bias": "bias"},
    "rgcn": RGCN,
    "rgcn bases": {**RGCN, "comp": "mixture"},
    "edge conv": MLP,
    "edge conv mean": MLP,
    "crystal": dense(lin_f="gate", lin_s="content"),
    "crystal without features": dense(lin_f="gate", lin_s="content"),
    "edge network": NNCONV,
    "edge network mean": NNCONV,
    "mpnn": {
        **{f"conv.{peer}": f"conv/{own}" for peer, own in NNCONV.items()},
        "gru.weight_ih_l0": "kernel", "gru.weight_hh_l0": "recurrent",
        "gru.bias_ih_l0": "bias", "gru.bias_hh_l0": "recurrent_bias",
    },
    "pna": dense(pre_nns__0__0="before0", post_nns__0__0="after0", lin="mix"),
    "pna towers": dense(
        pre_nns__0__0="before0", pre_nns__1__0="before1", post_nns__0__0="after0", post_nns__1__0="after1",
        lin="mix", edge_encoder="encode",
    ),
    "virtual node": {f"conv.{peer}": f"conv/{own}" for peer, own in RGCN.items()},
    "graph norm": {"weight": "scale", "bias": "bias", "mean_scale": "mean_scale"},
    "jumping lstm": {
        **{
            f"lstm.{kind}_l0{suffix}": f"{way}_{own}"
            for way, suffix in (("forward", ""), ("backward", "_reverse"))
            for kind, own in (("weight_ih", "kernel"), ("weight_hh", "recurrent"), ("bias_ih", "bias"))
        },
        **dense(att="attention"),
    },
    "readout attention": dense(gate_nn="gate"),
    "readout set2set": LSTM,
}  # fmt: skip


def builders(torch: Any, pyg: Any) -> dict[str, Callable[[], Any]]:
    """The peers' layers."""
    nn, linear = pyg.nn, torch.nn.Linear

    def mlp(inner: int, *widths: int) -> Any:
        first, second = widths
        return torch.nn.Sequential(linear(inner, first), torch.nn.ReLU(), linear(first, second))

    class MPNN(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.gru = nn.NNConv(IN, IN, mlp(IN_EDGE, 6, IN * IN)), torch.nn.GRU(IN, IN)

        def forward(self, x, ends, features):
            state = x[None]
            for _ in range(2):
                _, state = self.gru(torch.relu(self.conv(state[0], ends, features))[None], state)
            return state[0]

    class Virtual(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.RGCNConv(IN, 4, RELATIONS + 2)

        def forward(self, x, ends, relations):
            made = pyg.transforms.VirtualNode()(pyg.data.Data(x=x, edge_index=ends, edge_type=relations))
            if not len(relations):  # the transform numbers its relations from those it finds
                made.edge_type += RELATIONS - 1
            return self.conv(made.x, made.edge_index, made.edge_type)

    def pna(edge_dim: int | None = None, **more: Any) -> Any:
        named = {"aggregators": list(graph_cases.KINDS), "scalers": list(graph_cases.SCALERS), **more}
        layer = nn.PNAConv(IN, 6, deg=torch.tensor([1, 1]), edge_dim=edge_dim, **named).double()
        layer.aggr_module.avg_deg_lin.fill_(graph_cases.MEAN_DEGREE)
        layer.aggr_module.avg_deg_log.fill_(graph_cases.MEAN_LOG_DEGREE)
        return layer

    few = {"aggregators": ["mean", "min", "max", "std"], "scalers": ["identity", "amplification", "attenuation"]}
    return {
        "gcn": lambda: nn.GCNConv(IN, 6),
        "gcn narrowing": lambda: nn.GCNConv(IN, 3, bias=False),
        "gcn without loops": lambda: nn.GCNConv(IN, 4, add_self_loops=False),
        "gcn2": lambda: nn.GCN2Conv(IN, 0.2, 0.7, layer=2),
        "sage mean": lambda: nn.SAGEConv(IN, 4),
        "sage max": lambda: nn.SAGEConv(IN, 4, aggr="max"),
        "sage sum": lambda: nn.SAGEConv(IN, 4, aggr="sum", bias=False),
        "gin": lambda: nn.GINConv(mlp(IN, 7, 4), eps=0.25),
        "gin learned": lambda: nn.GINConv(mlp(IN, 7, 4), train_eps=True),
        "gine": lambda: nn.GINEConv(mlp(IN, 7, 4), eps=0.25),
        "gine projected": lambda: nn.GINEConv(mlp(IN, 7, 4), train_eps=True, edge_dim=IN_EDGE),
        "gat": lambda: nn.GATConv(IN, 4),
        "gat heads": lambda: nn.GATConv(IN, 4, heads=3, negative_slope=0.1),
        "gat averaged": lambda: nn.GATConv(IN, 4, heads=3, concat=False, add_self_loops=False),
        "gatv2": lambda: nn.GATv2Conv(IN, 4, heads=3),
        "gatv2 averaged": lambda: nn.GATv2Conv(IN, 4, heads=2, concat=False, add_self_loops=False),
        "chebyshev": lambda: nn.ChebConv(IN, 4, K=4),
        "chebyshev scaled": lambda: nn.ChebConv(IN, 4, K=3),
        "sgc": lambda: nn.SGConv(IN, 4, K=3),
        "appnp": lambda: nn.APPNP(K=4, alpha=0.2),
        "rgcn": lambda: nn.RGCNConv(IN, 4, RELATIONS),
        "rgcn bases": lambda: nn.RGCNConv(IN, 4, RELATIONS, num_bases=2),
        "edge conv": lambda: nn.EdgeConv(mlp(2 * IN, 7, 4)),
        "edge conv mean": lambda: nn.EdgeConv(mlp(2 * IN, 7, 4), aggr="mean"),
        "crystal": lambda: nn.CGConv(IN, dim=IN_EDGE),
        "crystal without features": lambda: nn.CGConv(IN),
        "edge network": lambda: nn.NNConv(IN, 4, mlp(IN_EDGE, 6, IN * 4)),
        "edge network mean": lambda: nn.NNConv(IN, 4, mlp(IN_EDGE, 6, IN * 4), aggr="mean"),
        "mpnn": MPNN,
        "pna": pna,
        "pna towers": partial(pna, IN_EDGE, towers=2, **few),
        "virtual node": Virtual,
        "graph norm": lambda: nn.GraphNorm(IN),
        "jumping cat": lambda: nn.JumpingKnowledge("cat"),
        "jumping max": lambda: nn.JumpingKnowledge("max"),
        "jumping lstm": lambda: nn.JumpingKnowledge("lstm", IN, 3),
        "readout sum": nn.SumAggregation,
        "readout mean": nn.MeanAggregation,
        "readout max": nn.MaxAggregation,
        "readout attention": lambda: nn.AttentionalAggregation(linear(IN, 1)),
        "readout set2set": lambda: nn.Set2Set(IN, 3),
    }


def call(torch: Any, name: str, case: Case, net: Any, tensors: dict[str, Any], ends: np.ndarray) -> Any:
    """The peer's output."""
    x, edge_index = tensors["x"], torch.from_numpy(ends)
    if case.takes == "layers":
        return net(graph_cases.several(x))
    if case.takes == "graphs":
        ids = torch.from_numpy(GRAPH_ID)
        return net(x, ids, batch_size=NUM_GRAPHS) if name == "graph norm" else net(x, ids, dim_size=NUM_GRAPHS)
    if case.takes == "initial":
        return net(x, tensors["initial"], edge_index)
    more = [tensors[key] for key in ("features", "weight") if key in tensors]
    if name.startswith(("rgcn", "virtual")):
        more = [torch.from_numpy(graph_cases.relations(ends.shape[1]))]
    named = {"lambda_max": 1.5} if name == "chebyshev scaled" else {}
    return net(x, edge_index, *more, **named)


def turned(array: np.ndarray, peer: str, shape: tuple[int, ...]) -> np.ndarray:
    """Between our layout and the peer's, either way: its matrices called weight are transposed, but GCNII's."""
    return array.T if array.ndim == 2 and "weight" in peer and peer != "weight1" else array.reshape(shape)


def theirs(torch: Any, pyg: Any, name: str, graph: str) -> cases.Arrays:
    """What ``graph_cases.ours`` computes, by the peer."""
    case, ends = CASES[name], GRAPHS[graph]
    own: dict[str, Any] = flatten_dict(graph_cases.parameters(case, ends), sep="/")
    net = builders(torch, pyg)[name]().double()
    named = {**dict(net.named_parameters()), **{k: v for k, v in net.named_buffers() if k == "eps"}}
    used = {key: value for key, value in named.items() if key != "eps" or name.endswith(("learned", "projected"))}
    for key, parameter in used.items():
        path, _, part = NAMES.get(name, {}).get(key, "").partition("#")
        if not path:
            assert key.startswith("lstm.bias_hh"), f"{name}: the peer's {key} has no counterpart"
            parameter.data.zero_()  # two biases that are only ever added
            continue
        array = own[path][int(part)] if part else own[path]
        parameter.data.copy_(torch.from_numpy(np.array(turned(array, key, tuple(parameter.shape)))))
    tensors = {k: torch.from_numpy(v).requires_grad_() for k, v in graph_cases.given(case, ends).items()}
    y = call(torch, name, case, net, tensors, ends)
    (y * torch.from_numpy(cases.uniform("weights", tuple(y.shape)))).sum().backward()

    def gradient(tensor: Any) -> np.ndarray:
        return np.zeros(tensor.shape) if tensor.grad is None else tensor.grad.numpy()

    found = {f"{graph}/output": y.detach().numpy()}
    slices: dict[str, list[np.ndarray]] = {}
    for key, target in NAMES.get(name, {}).items():
        path = target.partition("#")[0]
        like = own[path].shape if "#" not in target else own[path].shape[1:]
        slices.setdefault(path, []).append(turned(gradient(named[key]), key, like))
        whole = len(slices[path]) > 1 or "#" in target
        found[f"{graph}/gradient/{path}"] = np.stack(slices[path]) if whole else slices[path][0]
    return found | {f"{graph}/gradient/{key}": gradient(tensor) for key, tensor in tensors.items()}


@pytest.mark.parametrize("name", CASES)
def test_equals_torch_geometrics(name, torch, torch_geometric, record_property):
    expected: cases.Arrays = {}
    found: cases.Arrays = {}
    for graph in graph_cases.graphs(CASES[name]):
        expected |= theirs(torch, torch_geometric, name, graph)
        found |= graph_cases.ours(name, graph)
    differing = graph_cases.apart(found, expected)
    record_property("largest differences", [name, *cases.worst(differing).items()])
    wrong = {key: value for key, value in differing.items() if not value <= 1e-9}
    assert not wrong, wrong
    graph_cases.keep(name, graph_cases.figures(expected))
