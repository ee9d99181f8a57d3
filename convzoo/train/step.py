"""The state of a run and the one pure step that changes it."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from convzoo.train.experiment import Experiment

Batch = dict[str, Any]


class State(NamedTuple):
    """Everything a run needs to go on, as a plain pytree. ``key`` never changes: step ``n`` draws from
    ``fold_in(key, n)``, so a resumed run draws what an unbroken one would have."""

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: Any
    key: jax.Array


def inputs(batch: Batch) -> tuple[tuple[Any], dict[str, Any]]:
    """What a model is given of a batch: the input, and what says where it is padding."""
    return (batch["input"],), {name: batch[name] for name in ("length", "node_mask") if name in batch}


def init(experiment: Experiment, example: Batch, *, seed: int | jax.Array | None = None) -> State:
    """The state before the first step; ``example`` is any batch, only its shapes matter. The seed may be traced."""
    return _init(experiment, example, jax.random.key(experiment.seed if seed is None else seed))


@partial(jax.jit, static_argnums=0)
def _init(experiment: Experiment, example: Batch, key: jax.Array) -> State:
    args, named = inputs(example)
    variables = experiment.model.init(jax.random.fold_in(key, 2**32 - 1), *args, train=False, **named)
    params = variables["params"]
    opt_state = experiment.transformation().init(params)
    return State(jnp.zeros((), jnp.int32), params, variables.get("batch_stats", {}), opt_state, key)


def update(experiment: Experiment, state: State, batch: Batch) -> tuple[State, dict[str, jax.Array]]:
    """One step: ``(state, batch) -> (state, metrics)``, pure."""
    args, named = inputs(batch)

    def loss_of(params):
        (logits, _), new = experiment.model.apply(
            {"params": params, "batch_stats": state.batch_stats},
            *args,
            train=True,
            mutable=["batch_stats"],
            rngs={"dropout": jax.random.fold_in(state.key, state.step)},
            **named,
        )
        return experiment.task.loss(logits, batch), (logits, new.get("batch_stats", {}))

    (loss, (logits, batch_stats)), grads = jax.value_and_grad(loss_of, has_aux=True)(state.params)
    updates, opt_state = experiment.transformation().update(grads, state.opt_state, state.params)
    metrics = {
        "loss": loss,
        **experiment.task.metrics(logits, batch),
        "grad_norm": optax.tree.norm(grads),
        "learning_rate": jnp.asarray(experiment.schedule()(state.step), jnp.float32),
    }
    params = optax.apply_updates(state.params, updates)
    return State(state.step + 1, params, batch_stats, opt_state, state.key), metrics


def compile_update(experiment: Experiment) -> Callable[[State, Batch], tuple[State, dict[str, jax.Array]]]:
    """``update`` of one experiment, jitted once; the old state is donated. The seed lives in the state, so one compiled
    update serves any number of seeds."""
    return jax.jit(partial(update, experiment), donate_argnums=0)
