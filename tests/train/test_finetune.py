"""Runs that begin at given weights: the head alone first, then layers at their own rates."""

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import convzoo
from convzoo import train
from convzoo.apps.finetune import Pretrained
from convzoo.models.resnet import CIFAR_RESNET20
from convzoo.train.experiment import height, layerwise
from tests.parity.cases import filled, shapes
from tests.train.toys import NORMED, SOUNDS, assert_same, experiment

RUN = experiment(NORMED, data=SOUNDS, weight_decay=0.5)
BATCH = SOUNDS.at(0)


@dataclass(frozen=True)
class Given:
    """Every value a half."""

    def variables(self, model: Any):
        like = jax.eval_shape(lambda key: model.init(key, BATCH["input"]), jax.random.key(0))
        return jax.tree.map(lambda leaf: jnp.full(leaf.shape, 0.5, leaf.dtype), like)


@dataclass(frozen=True)
class Nothing:
    def variables(self, model: Any):
        return None


@dataclass(frozen=True)
class Wrong:
    def variables(self, model: Any):
        return {"params": {"head": {"kernel": jnp.zeros((2, 2))}}}


def test_a_run_begins_at_given_weights():
    state = train.init(replace(RUN, start=Given()), BATCH)
    assert {float(leaf.min()) for leaf in jax.tree.leaves((state.params, state.batch_stats))} == {0.5}
    assert_same(state.opt_state, train.init(RUN, BATCH).opt_state)
    assert_same(train.init(replace(RUN, start=Nothing()), BATCH), train.init(RUN, BATCH))
    with pytest.raises(ValueError, match="gives variables of another network"):
        train.init(replace(RUN, start=Wrong()), BATCH)


def test_the_head_alone_then_everything():
    run = replace(RUN, head_steps=2, steps=4)
    update, state = train.compile_update(run), train.init(run, BATCH)
    began = jax.tree.map(np.asarray, (state.params, state.batch_stats))
    for step in range(4):
        state, metrics = update(state, SOUNDS.at(step))
        moved = {
            name: any(jax.tree.leaves(jax.tree.map(lambda a, b: bool((a != b).any()), part, began[0][name])))
            for name, part in state.params.items()
        }
        assert moved["head"] or step == 0  # the warm-up's first rate is 0
        assert np.isfinite(metrics["loss"])
        if step < 2:
            assert [name for name in moved if moved[name] and name != "head"] == []
            assert_same(state.batch_stats, began[1])
    assert all(moved.values())


def test_layers_learn_at_their_own_rates():
    names = ["head", "stage1_block0", "stem", "stage0_block10", "stage0_block2", "pooled_norm"]
    updates = {name: {"kernel": jnp.ones(2)} for name in names}
    found: Any = layerwise(0.5).update(updates, layerwise(0.5).init(updates))[0]
    rates = {name: float(found[name]["kernel"][0]) for name in names}
    assert sorted(rates, key=lambda name: rates[name]) == [
        "stem", "stage0_block2", "stage0_block10", "stage1_block0", "pooled_norm", "head",
    ]  # fmt: skip
    assert sorted(rates.values()) == [0.5**n for n in range(5, -1, -1)]


@pytest.mark.parametrize("name", ["alexnet", "vgg11_bn", "resnet18", "efficientnet_b0", "convnext_tiny"])
def test_every_family_s_layers_stand_in_order(name):
    found = sorted(shapes(convzoo.create(name), (1, 64, 64, 3))["params"], key=height)
    assert found[-1] == "head"
    assert found[0] in ("stem", "conv0", "stage0_conv0")


def test_settings_that_mean_nothing():
    for wrong in ({"layer_decay": 0}, {"layer_decay": 1.5}, {"head_steps": -1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            replace(RUN, **wrong)


def test_pretrained(tmp_path):
    variables = jax.tree.map(lambda a: a.astype(np.float32), filled(shapes(CIFAR_RESNET20, (1, 32, 32, 3))))
    convzoo.save(tmp_path / "a.safetensors", CIFAR_RESNET20, variables)
    start = Pretrained("cifar_resnet20", str(tmp_path / "a.safetensors"))
    assert_same(start.variables(CIFAR_RESNET20), variables)
    three = start.variables(CIFAR_RESNET20.clone(num_classes=3))
    assert three
    assert three["params"]["head"]["kernel"].shape == (64, 3)
    assert not three["params"]["head"]["kernel"].any()
    assert Pretrained("").variables(CIFAR_RESNET20) is None
    with pytest.raises(ValueError, match="cifar_resnet20 is a ResNet, the model of this run a AlexNet"):
        start.variables(convzoo.create("alexnet"))
