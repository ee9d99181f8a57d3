"""How alike layers are, of one network or of several, by linear centred kernel alignment (CKA).

    linear_cka(features["stage2"], others["stage2"])                  # 0 unrelated, 1 the same up to a rotation
    cka_matrix(list(features.values()), list(others.values()))        # every layer with every one

Both see the same examples in the same order; channels, sizes and networks may differ.
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from convzoo.core.shapes import wide


def linear_cka(
    x: Float[Array, "examples *features"], y: Float[Array, "examples *others"], *, unbiased: bool = True
) -> Float[Array, ""]:
    """Linear centred kernel alignment: how alike two layers arrange the same examples, whatever their channels.

    Kornblith et al. 2019, arXiv:1905.00414, in whichever form is cheaper: by features or by examples. The unbiased
    estimate (Song et al. 2012; Nguyen et al. 2020, arXiv:2010.15327) is near 0 for unrelated layers also where features
    outnumber examples, and can fall below it.

    Raises:
      ValueError: numbers of examples differ, or are below 4 (below 2 for the biased one).
    """
    check_examples(x, y, unbiased)
    x, y = centred(x), centred(y)
    own = partial(hsic, unbiased=unbiased)
    return own(x, y) / jnp.sqrt(own(x, x) * own(y, y))


def cka_matrix(xs: Sequence[Array], ys: Sequence[Array], *, unbiased: bool = True) -> Float[Array, "first second"]:
    """``linear_cka`` of every layer in ``xs`` with every one in ``ys``, each ``[examples, ...]``.

    Raises:
      ValueError: as ``linear_cka``.
    """
    for layer in (*xs, *ys):
        check_examples(xs[0], layer, unbiased)
    return aligned(jnp.stack([gram(x) for x in xs]), jnp.stack([gram(y) for y in ys]), unbiased)


def check_examples(x: Array, y: Array, unbiased: bool) -> None:
    least = 4 if unbiased else 2
    if len(x) != len(y) or len(x) < least:
        raise ValueError(f"layers of {len(x)} and {len(y)} examples; they must be the same ones, at least {least}")


def centred(x: Array) -> Array:
    flat = wide(x).reshape(len(x), -1)
    return flat - flat.mean(0)


def hsic(x: Array, y: Array, unbiased: bool) -> Array:
    """The Hilbert-Schmidt independence criterion of centred features."""
    by_features = x.shape[1] * y.shape[1] <= len(x) * (x.shape[1] + y.shape[1])
    inner = jnp.sum((x.T @ y) ** 2) if by_features else jnp.sum((x @ x.T) * (y @ y.T))
    return criterion(inner, jnp.sum(x * x, 1), jnp.sum(y * y, 1), unbiased)


def criterion(
    inner: Array, x: Float[Array, "*first examples"], y: Float[Array, "*second examples"], unbiased: bool
) -> Array:
    """HSIC from the product of two centred Gram matrices and their diagonals. The unbiased one leaves the diagonals
    out; what is left of a row then sums to minus its diagonal."""
    n = x.shape[-1]
    if not unbiased:
        return inner / (n - 1) ** 2
    both = jnp.sum(x * y, -1)
    return (inner - both + x.sum(-1) * y.sum(-1) / ((n - 1) * (n - 2)) - 2 * both / (n - 2)) / (n * (n - 3))


@jax.jit
def gram(x: Float[Array, "examples *features"]) -> Float[Array, "examples examples"]:
    """The centred Gram matrix, scaled to a mean diagonal of 1 (CKA does not change, and nothing overflows)."""
    x = centred(x)
    found = x @ x.T
    return found / jnp.maximum(jnp.trace(found) / len(x), jnp.finfo(found.dtype).tiny)


@partial(jax.jit, static_argnums=2)
def aligned(first: Float[Array, "first n n"], second: Float[Array, "second n n"], unbiased: bool) -> Array:
    """CKA of Gram matrices."""

    def every(k: Array, m: Array) -> Array:
        inner = jnp.einsum("aij,bij->ab", k, m)
        diagonals = (jnp.diagonal(each, axis1=1, axis2=2) for each in (k, m))
        return criterion(inner, next(diagonals)[:, None], next(diagonals)[None], unbiased)

    own = [jnp.diagonal(every(each, each)) for each in (first, second)]
    return every(first, second) / jnp.sqrt(own[0][:, None] * own[1])
