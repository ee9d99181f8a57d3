"""The state of a run and the one pure step that changes it."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from convzoo.train.experiment import Experiment

Batch = dict[str, Any]
HEAD = "head"  # the layer that every network ends with


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
    """The state before the first step; ``example`` is any batch, only its shapes matter. The seed may be traced.

    Raises:
      ValueError: what ``experiment.start`` gives does not fit the model.
    """
    state = _init(experiment, example, jax.random.key(experiment.seed if seed is None else seed))
    if experiment.start is None:
        return state
    given = experiment.start.variables(experiment.model)
    if given is None:
        return state
    made = {"params": state.params, "batch_stats": state.batch_stats}
    found = {name: given.get(name, {}) for name in made}
    shapes, wanted = (jax.tree.map(jnp.shape, tree) for tree in (found, made))
    if shapes != wanted:
        raise ValueError(
            f"{experiment.start} gives variables of another network than {type(experiment.model).__name__}"
        )
    return state._replace(**jax.tree.map(lambda new, old: jnp.asarray(new, old.dtype), found, made))


@partial(jax.jit, static_argnums=0)
def _init(experiment: Experiment, example: Batch, key: jax.Array) -> State:
    args, named = inputs(example)
    variables = experiment.model.init(jax.random.fold_in(key, 2**32 - 1), *args, train=False, **named)
    params = variables["params"]
    opt_state = experiment.transformation().init(params)
    return State(jnp.zeros((), jnp.int32), params, variables.get("batch_stats", {}), opt_state, key)


def update(
    experiment: Experiment, state: State, batch: Batch, *, head_alone: bool = False
) -> tuple[State, dict[str, jax.Array]]:
    """One step: ``(state, batch) -> (state, metrics)``, pure. ``head_alone``: the rest stays as it is."""
    args, named = inputs(batch)
    kept = {name: part for name, part in state.params.items() if head_alone and name != HEAD}

    def loss_of(trained):
        (logits, _), new = experiment.model.apply(
            {"params": {**kept, **trained}, "batch_stats": state.batch_stats},
            *args,
            train=not head_alone,
            mutable=["batch_stats"],
            rngs={"dropout": jax.random.fold_in(state.key, state.step)},
            **named,
        )
        return experiment.task.loss(logits, batch), (logits, new.get("batch_stats", {}))

    trained = {name: part for name, part in state.params.items() if name not in kept}
    (loss, (logits, batch_stats)), grads = jax.value_and_grad(loss_of, has_aux=True)(trained)
    grads |= jax.tree.map(jnp.zeros_like, kept)
    updates, opt_state = experiment.transformation().update(grads, state.opt_state, state.params)
    updates |= jax.tree.map(jnp.zeros_like, kept)
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
    update serves any number of seeds. Where the head is trained alone at first, that step is another program."""
    whole = jax.jit(partial(update, experiment), donate_argnums=0)
    if not experiment.head_steps:
        return whole
    head = jax.jit(partial(update, experiment, head_alone=True), donate_argnums=0)
    return lambda state, batch: (head if int(state.step) < experiment.head_steps else whole)(state, batch)
