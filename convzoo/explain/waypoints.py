"""A network opened at one of its waypoints: run up to there, change what passes, run on.

No model is changed and none has to help. ``apply`` is traced to a program, the waypoint is the variable of it that is
given out as that feature, and the program is cut behind the equation that computes this variable: everything after it
feels what is put in its place. It works on all that JAX can trace (pictures, sounds, bytes, graphs), inside jit, grad
and vmap.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple, cast

import jax
from jax.extend import core as jaxpr
from jaxtyping import Array, Shaped

from convzoo.nn import Model

Answer = tuple[Array, "OrderedDict[str, Array]"]  # what a model gives: its output and its features
HEAD = "head"  # in ``first_uses``: what only the output is computed from


class Opened(NamedTuple):
    """``value``: what the waypoint holds. ``onward``: (output, features) of the rest of the network on such a value."""

    value: Shaped[Array, "..."]
    onward: Callable[[Any], Answer]


class Program(NamedTuple):
    """A forward pass as equations, its inputs the leaves of (variables, x), and the structure of its answer."""

    closed: jaxpr.ClosedJaxpr
    structure: Any

    def ends(self) -> tuple[Any, "OrderedDict[str, Any]"]:
        """The variables that hold the output and each waypoint, in forward order."""
        return jax.tree.unflatten(self.structure, self.closed.jaxpr.outvars)

    def waypoints(self) -> list[str]:
        """Those on which the output depends, in forward order."""
        output, features = self.ends()
        needed = needs(self.closed.jaxpr, [output])
        return [name for name, end in features.items() if is_variable(end) and end in needed]


def answer(model: Model, variables: Any, x: Any) -> Answer:
    """The forward pass in evaluation."""
    return cast(Answer, model.apply(variables, x, train=False))


def answer_shape(model: Model, variables: Any, x: Any) -> Any:
    """The shapes and dtypes of the answer; nothing is computed."""
    return jax.eval_shape(partial(answer, model), variables, x)


def traced(model: Model, variables: Any, x: Any) -> Program:
    """The forward pass in evaluation, as equations."""
    closed, shape = jax.make_jaxpr(partial(answer, model), return_shape=True)(variables, x)
    return Program(closed, jax.tree.structure(shape))


def opened(model: Model, variables: Any, x: Any, waypoint: str) -> Opened:
    """``x`` brought to a waypoint, and the way on from there.

    Gradients of ``onward`` are those of the output with respect to the waypoint's value; nothing before is derived.

    Raises:
      ValueError: there is no such waypoint, or the output does not depend on it; the message names those that are on
        the way.
    """
    program = traced(model, variables, x)
    whole, features, there = program.closed.jaxpr, program.ends()[1], program.waypoints()
    if waypoint not in there:
        why = "the output does not depend on" if waypoint in features else "it has no waypoint"
        raise ValueError(f"{type(model).__name__}: {why} {waypoint!r}; on the way are {', '.join(there)}")
    variable = features[waypoint]
    cut = next((i for i, equation in enumerate(whole.eqns, 1) if variable in equation.outvars), 0)
    before, after = whole.eqns[:cut], whole.eqns[cut:]
    used = [each for equation in after for each in equation.invars] + list(whole.outvars)
    later = {variable, *(out for equation in after for out in equation.outvars)}
    kept = list(dict.fromkeys(each for each in used if is_variable(each) and each not in later))
    first = whole.replace(eqns=before, outvars=[variable, *kept])
    second = whole.replace(eqns=after, invars=[variable, *kept], constvars=[])
    value, *rest = run(first, program.closed.consts, *jax.tree.leaves((variables, x)))

    def onward(value: Any) -> Answer:
        return jax.tree.unflatten(program.structure, run(second, (), value, *rest))

    return Opened(value, onward)


def perturbed(model: Model, variables: Any, waypoint: str) -> Callable[[Any, Any], Answer]:
    """(x, delta) -> (output, features) of the network with ``delta`` added to a waypoint; errors as ``opened``."""

    def apply(x: Any, delta: Any) -> Answer:
        value, onward = opened(model, variables, x, waypoint)
        return onward(value + delta)

    return apply


def first_uses(model: Model, variables: Any, x: Any) -> Any:
    """For each array of ``variables`` the first waypoint that is computed from it, ``HEAD`` where only the output is.

    An array from which nothing is computed has "".
    """
    program = traced(model, variables, x)
    output, features = program.ends()
    leaves, structure = jax.tree.flatten(variables)
    names = [""] * len(leaves)
    for name, end in [*features.items(), (HEAD, output)]:
        needed = needs(program.closed.jaxpr, [end])
        arrays = program.closed.jaxpr.invars[: len(leaves)]
        names = [old or (name if array in needed else "") for old, array in zip(names, arrays, strict=True)]
    return jax.tree.unflatten(structure, names)


def needs(program: jaxpr.Jaxpr, ends: Iterable[Any]) -> set[Any]:
    """The variables of a program from which ``ends`` are computed, themselves among them."""
    found = set(filter(is_variable, ends))
    for equation in reversed(program.eqns):
        if not found.isdisjoint(equation.outvars):
            found.update(filter(is_variable, equation.invars))
    return found


def is_variable(atom: Any) -> bool:
    return not isinstance(atom, jaxpr.Literal)


def run(program: jaxpr.Jaxpr, constants: Any, *arguments: Any) -> list[Any]:
    return jaxpr.jaxpr_as_fun(jaxpr.ClosedJaxpr(program, constants))(*arguments)
