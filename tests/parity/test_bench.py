"""The peers that the benchmark of whole networks makes itself."""

import pytest

import convzoo
from experiments import bench_models


@pytest.mark.parity
@pytest.mark.parametrize("name", bench_models.VARIANTS)
def test_torchvisions_resnet_over_other_axes_is_as_large_as_ours(name, torchvision):
    net, x = bench_models.torch_network(name), bench_models.example(name, 1)
    assert sum(value.numel() for value in net.parameters()) == convzoo.cost(bench_models.model_of(name), x.shape).params
    runs = bench_models.torch_runs(name, "forward", 2, compiled=False)
    assert set(runs) == ({"eager"} if x.ndim == 3 else {"eager", "eager_last"})
    for run in runs.values():
        run()
