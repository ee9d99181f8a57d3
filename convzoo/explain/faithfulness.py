"""Whether a map tells what the network looks at: hide what it points to, and see; ruin the weights, and see.

``METHODS`` has every attribution under one signature: (model, variables, x, target) -> map [batch, *space].
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from convzoo import core
from convzoo.explain import attribution, waypoints
from convzoo.explain.attribution import Input, Target, of_class
from convzoo.explain.occlusion import mixed, occlusion
from convzoo.nn import Model

Method = Callable[[Model, Any, Any, Any], Array]
METHODS: dict[str, Method] = {
    "saliency": attribution.saliency,
    "SmoothGrad": attribution.smoothgrad,
    "integrated gradients": lambda *given: attribution.integrated_gradients(*given).values.sum(axis=-1),
    "Grad-CAM": lambda *given: attribution.grad_cam(*given).map,
    "Grad-CAM++": lambda *given: attribution.grad_cam_plus_plus(*given).map,
    "occlusion": occlusion,
}


class Curves(NamedTuple):
    """Probabilities of a class as places go (deletion) and come (insertion), those that a map points to first.

    ``shares`` of places that went or came, 0 to 1; the areas below the curves are in the same order as the examples.
    A faithful map has a small area of deletion and a large one of insertion.
    """

    shares: Float[Array, "points"]
    deletion: Float[Array, "batch points"]
    insertion: Float[Array, "batch points"]
    deletion_area: Float[Array, "batch"]
    insertion_area: Float[Array, "batch"]


def curves(
    model: Model, variables: Any, x: Input, target: Target, pointed: Float[Array | np.ndarray, "batch *space"], *,
    steps: int = 32, deleted: Any = 0.0, start: Any = None, chunk: int = 8,
) -> Curves:  # fmt: skip
    """Deletion and insertion (Petsiuk et al. 2018, arXiv:1806.07421).

    Args:
      pointed: the map; places on which it is the same go in a random order.
      deleted: what replaces places that went, of a shape that broadcasts to that of ``x``.
      start: what places come into; None: ``blurred(x)``.
      chunk: how many of the ``steps + 1`` points are tried at once, which bounds the memory.
    """
    return _curves(model, steps, chunk, variables, x, target, pointed, deleted, blurred(x) if start is None else start)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _curves(model, steps, chunk, variables, x, target, pointed, deleted, start) -> Curves:
    place = ranks_of(pointed)
    shares = jnp.linspace(0, 1, steps + 1, dtype=x.dtype)

    def mask(index: Array) -> Array:
        return place < shares[index] * place[0].size

    def chance(output: Array, target: Array) -> Array:
        return of_class(jax.nn.softmax(output), target)

    start = jnp.broadcast_to(jnp.asarray(start, x.dtype), x.shape)
    gone, came = (
        mixed(model, variables, under, over, target, mask, steps + 1, chunk, chance)
        for under, over in ((x, deleted), (start, x))
    )
    return Curves(shares, gone, came, *(jnp.trapezoid(each, shares, axis=1) for each in (gone, came)))


def ranks_of(pointed: Array) -> Int[Array, "batch *space"]:
    """The position of each place in the order of falling values; equal ones in a random order, always the same."""
    flat = pointed.reshape(len(pointed), -1)
    random = jnp.broadcast_to(jax.random.permutation(jax.random.key(0), flat.shape[1]), flat.shape)
    return jnp.argsort(jnp.lexsort((random, -flat))).reshape(pointed.shape)


def blurred(x: Input, sigma: float | None = None) -> Float[Array, "batch *space channels"]:
    """``x`` smoothed by a Gaussian along every axis, its edges repeated.

    Args:
      sigma: in places; None: a twentieth of the longest axis (Petsiuk et al.: 5 of 224, cut after 5 places).
    """
    sigma = max(x.shape[1:-1]) / 20 if sigma is None else sigma
    reach = int(np.ceil(3 * sigma))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    for axis in range(1, x.ndim - 1):
        edges = [(reach, reach) if each == axis else (0, 0) for each in range(x.ndim)]
        window = [len(weights) if each == axis else 1 for each in range(1, x.ndim - 1)]
        kernel = jnp.tile(jnp.reshape(jnp.asarray(weights / weights.sum(), x.dtype), (*window, 1, 1)), x.shape[-1])
        x = core.conv(jnp.pad(x, edges, "edge"), kernel, groups=x.shape[-1], padding="VALID")
    return jnp.asarray(x)


# --- ruined weights -------------------------------------------------------------------------------------------------


def cascade(model: Model, variables: Any, x: Any, seed: int = 0) -> Iterator[tuple[str, Any]]:
    """The variables ruined from the head down: ("head", ...), then what leads to the last waypoint as well, and so on.

    Each array keeps its values, in a random order: so its scale survives, where Adebayo et al. 2018
    (arXiv:1810.03292) draw anew. Waypoints before which there is nothing to ruin are left out.
    """
    uses = waypoints.first_uses(model, variables, x)
    generator = np.random.default_rng(seed)
    shuffled = jax.tree.map(lambda array: generator.permutation(np.ravel(array)).reshape(np.shape(array)), variables)
    order = [*waypoints.answer_shape(model, variables, x)[1], waypoints.HEAD]
    gone: set[str] = set()
    for name in reversed([name for name in order if name in jax.tree.leaves(uses)]):
        gone.add(name)
        yield name, jax.tree.map(lambda use, old, new: new if use in gone else old, uses, variables, shuffled)


def sanity(
    method: Callable[[Model, Any, Any, Any], Array],
    model: Model,
    variables: Any,
    x: Input,
    target: Target,
    seed: int = 0,
) -> dict[str, Float[Array, "batch"]]:
    """The rank correlation of a method's maps with those it draws for the network ``cascade`` ruins, by how far down.

    A map that explains the network falls to about 0; one that merely finds edges stays near 1.
    """
    before = method(model, variables, x, target)
    return {
        name: rank_correlation(before, method(model, ruined, x, target))
        for name, ruined in cascade(model, variables, x, seed)
    }


def rank_correlation(one: Array, other: Array) -> Float[Array, "batch"]:
    """Spearman's, of two maps [batch, *space]; 0 where one of them is the same everywhere."""
    one, other = (jax.scipy.stats.rankdata(each.reshape(len(each), -1), axis=1) for each in (one, other))
    one, other = (each - each.mean(axis=1, keepdims=True) for each in (one, other))
    size = jnp.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))
    return jnp.where(size > 0, (one * other).sum(axis=1) / jnp.where(size > 0, size, 1), 0.0)
