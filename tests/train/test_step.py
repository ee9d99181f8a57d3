"""The step: pure, traced once, its state donated; what is random, what decays, what is masked, what learns."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from convzoo import tasks, train
from tests.train.toys import NORMED, POINTS, SOUNDS, Toy, assert_same, experiment, leaves

RUN = experiment()
NORMED_RUN = experiment(NORMED, data=SOUNDS, weight_decay=0.5)
BATCH = POINTS.at(0)


@pytest.fixture(scope="module")
def update():
    """The step of ``RUN``, which takes nothing over."""
    return jax.jit(partial(train.update, RUN))


@pytest.fixture(scope="module")
def start():
    return train.init(RUN, BATCH)


def test_update_is_pure(update, start):
    before = leaves(start)
    one, other = update(start, BATCH), update(start, BATCH)
    assert_same(one, other)
    assert_same(start, before)
    assert not jax.make_jaxpr(partial(train.update, RUN))(start, BATCH).effects


def test_update_is_traced_once_and_takes_the_state_over(tmp_path):
    traced = []

    @dataclass(frozen=True)
    class Counted(tasks.Classification):
        def loss(self, logits, batch):
            traced.append(logits.shape)
            return super().loss(logits, batch)

    run = experiment(task=Counted(), checkpoint_every=3)
    folder = train.Workdir(tmp_path, run)
    folder.open(resume=False)
    step, state = train.compile_update(run), train.init(run, BATCH)
    taken = jax.tree.leaves(state)
    state, _ = train.fit(run, state, POINTS, step, workdir=folder, shown=False)
    other = train.init(run, BATCH, seed=7)
    train.fit(run, other, POINTS, step, shown=False)
    assert len(traced) == 1
    assert all(leaf.is_deleted() for leaf in taken)
    step(folder.restore(state), BATCH)
    assert len(traced) == 1, "a restored state has another type than a new one"


def test_state_is_a_plain_tree(start):
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(start))
    assert start.step.dtype == jnp.int32
    assert int(start.step) == 0


def test_a_seed_decides_the_arrays(start):
    assert_same(start, train.init(RUN, POINTS.at(5)))
    assert_same(train.init(RUN, BATCH, seed=3), train.init(experiment(seed=3), BATCH))
    other = leaves(train.init(RUN, BATCH, seed=3).params)
    same = [path for path, array in leaves(start.params).items() if np.array_equal(array, other[path])]
    assert same == ["head/bias", "hidden/bias"]


def test_dropout_draws_from_key_and_step(update, start):
    def loss(state):
        rngs = {"dropout": jax.random.fold_in(state.key, state.step)}
        logits, _ = Toy().apply({"params": state.params}, BATCH["input"], train=True, rngs=rngs)
        return RUN.task.loss(logits, BATCH)

    states = [
        start,
        start._replace(step=start.step + 1),
        start._replace(step=start.step + 2),
        start._replace(key=jax.random.key(1)),
    ]
    losses = [float(update(state, BATCH)[1]["loss"]) for state in states]
    np.testing.assert_allclose(losses, [loss(state) for state in states], rtol=1e-6)
    assert len(set(losses)) == len(losses)


def test_the_key_stays_and_the_step_counts(update, start):
    state, _ = update(start, BATCH)
    assert_same(state.key, start.key)
    assert int(state.step) == 1


def test_masked_examples_change_nothing(update, start):
    mask = jnp.arange(16) < 11
    garbage = jnp.where(mask[:, None], BATCH["input"], 1e3)
    one = update(start, BATCH | {"mask": mask})
    other = update(start, {"input": garbage, "label": jnp.where(mask, BATCH["label"], 2), "mask": mask})
    assert_same(one, other)
    assert float(one[1]["loss"]) != float(update(start, BATCH)[1]["loss"])


def test_evaluation_is_the_mean_over_real_examples(start):
    padded = POINTS.at(1) | {"mask": jnp.arange(16) < 5}
    garbage = padded | {"input": jnp.where(padded["mask"][:, None], padded["input"], 1e3)}
    found = train.evaluate(RUN, start, [BATCH, padded])
    assert found == train.evaluate(RUN, start, [BATCH, garbage])

    x = jnp.concatenate([BATCH["input"], padded["input"][:5]])
    labels = jnp.concatenate([BATCH["label"], padded["label"][:5]])
    logits, _ = Toy().apply({"params": start.params}, x, train=False)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    assert found["examples"] == 21
    assert found["loss"] == pytest.approx(float(losses.mean()), rel=1e-6)
    assert found["accuracy"] == pytest.approx(float((logits.argmax(-1) == labels).mean()))
    np.testing.assert_allclose(
        train.predict(RUN, start, [BATCH, garbage]), jax.nn.softmax(logits), rtol=1e-5, atol=1e-7
    )


def test_nothing_to_evaluate_is_an_error(start):
    with pytest.raises(ValueError, match="nothing to evaluate"):
        train.evaluate(RUN, start, [BATCH | {"mask": jnp.zeros(16, bool)}])


def test_metrics_of_a_step(update, start):
    _, metrics = update(start, BATCH)
    assert sorted(metrics) == ["accuracy", "grad_norm", "learning_rate", "loss"]
    assert all(value.shape == () and value.dtype == jnp.float32 for value in metrics.values())
    assert float(metrics["grad_norm"]) > 0


@pytest.fixture(scope="module")
def normed():
    """Two steps of a network with norms, at weight decay 0 and 0.5 (the first step's learning rate is 0)."""
    found = []
    for run in (experiment(NORMED, data=SOUNDS, weight_decay=0.0), NORMED_RUN):
        step, state = train.compile_update(run), train.init(run, SOUNDS.at(0))
        for index in range(2):
            before = leaves(state.params)
            state, metrics = step(state, SOUNDS.at(index))
        found.append((before, leaves(state.params), float(metrics["learning_rate"])))
    return found


def test_weight_decay_leaves_norms_and_biases_alone(normed):
    (_, plain, _), (before, decayed, rate) = normed
    for path, array in plain.items():
        if path.endswith("kernel"):
            assert rate > 0
            np.testing.assert_allclose(decayed[path], array - rate * 0.5 * before[path], atol=1e-7, err_msg=path)
            assert not np.array_equal(decayed[path], array)
        else:
            assert path.endswith(("scale", "bias"))
            np.testing.assert_array_equal(decayed[path], array, err_msg=path)


@pytest.mark.parametrize("model", [Toy(), NORMED], ids=lambda model: type(model).__name__)
def test_bfloat16_keeps_float32_parameters(model):
    points = POINTS if isinstance(model, Toy) else SOUNDS
    run = experiment(model, dtype="bfloat16")
    state, batch = train.init(run, points.at(0)), points.at(0)
    after, metrics = jax.eval_shape(partial(train.update, run), state, batch)
    for tree in (state, after):
        kept = [leaf.dtype for leaf in jax.tree.leaves((tree.params, tree.batch_stats, tree.opt_state))]
        assert set(map(str, kept)) == {"float32", "int32"}
    assert metrics["loss"].dtype == jnp.float32
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    _, features = jax.eval_shape(lambda v, x: run.model.apply(v, x, train=False), variables, batch["input"])
    assert {str(array.dtype) for array in features.values()} == {"bfloat16"}


@pytest.mark.parametrize(("optimizer", "clip"), [("adamw", 0.0), ("adamw", 0.1), ("sgd", 0.0)])
def test_optimizers_are_optaxs(start, optimizer, clip):
    run = experiment(optimizer=optimizer, clip_norm=clip, weight_decay=0.3 if optimizer == "adamw" else 0.0)
    rate = run.schedule()
    known = {
        "adamw": optax.adamw(rate, weight_decay=0.3, mask=lambda params: jax.tree.map(lambda p: p.ndim > 1, params)),
        "sgd": optax.sgd(rate, 0.9, nesterov=True),
    }[optimizer]
    known = optax.chain(optax.clip_by_global_norm(clip), known) if clip else known
    ours = run.transformation()
    states, params = [ours.init(start.params), known.init(start.params)], start.params
    for index in range(3):
        grads = jax.tree.map(lambda p, index=index: jnp.cos(p + index), params)
        (mine, mine_state), (theirs, theirs_state) = (
            each.update(grads, state, params) for each, state in zip((ours, known), states, strict=True)
        )
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-9), mine, theirs)
        states, params = [mine_state, theirs_state], optax.apply_updates(params, mine)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_small_network_learns(optimizer):
    run = experiment(optimizer=optimizer, steps=80, learning_rate=0.05, log_every=0)
    tests = [POINTS.at(1000 + index) for index in range(8)]
    state, logged = train.fit(
        run,
        train.init(run, BATCH),
        POINTS,
        train.compile_update(run),
        evaluate=lambda state: train.evaluate(run, state, tests),
        shown=False,
    )
    assert int(state.step) == 80
    assert logged[-1]["test_accuracy"] > 0.8
    assert logged[-1]["test_examples"] == 128
