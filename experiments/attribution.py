"""Which attribution to believe: mean areas of deletion and insertion over photographs, and the seconds an image takes.

    python -m experiments.attribution FOLDER [--photographs 20] [--model efficientnet_lite0] [--sanity 1]

FOLDER holds photographs of what the network knows; the likeliest class of each is explained. Less deletion and more
insertion are better (Petsiuk et al. 2018, arXiv:1806.07421). The standard errors are over photographs; "better" counts
those on which a method beats a random order of pixels. "--sanity N" also tells how the maps of N photographs follow the
weights, which are ruined from the head down (Adebayo et al. 2018, arXiv:1810.03292).
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from convzoo.apps import classify
from convzoo.data import images
from convzoo.explain import faithfulness

POINTS = 28


def random_order(model: Any, variables: Any, x: Any, target: Any) -> jax.Array:
    """A map that knows nothing."""
    return jax.random.uniform(jax.random.key(int(target[0])), x.shape[:-1])


METHODS = {"random order": random_order, **faithfulness.METHODS}


def measured(found: classify.Classifier, photographs: Sequence[Any]) -> dict[str, np.ndarray]:
    """{method: [photographs, (deletion, insertion, seconds)]}; a first run, which compiles, is not timed."""
    rows: dict[str, list[list[float]]] = {name: [] for name in METHODS}
    for x in photographs:
        given = found.model, found.variables, x, likeliest(found, x)
        for name, method in METHODS.items():
            if not rows[name]:
                jax.block_until_ready(method(*given))
            start = time.perf_counter()
            pointed = jax.block_until_ready(method(*given))
            seconds = time.perf_counter() - start
            curves = faithfulness.curves(*given, pointed, steps=POINTS)
            rows[name].append([float(curves.deletion_area[0]), float(curves.insertion_area[0]), seconds])
    return {name: np.array(each) for name, each in rows.items()}


def likeliest(found: classify.Classifier, x: Any) -> jax.Array:
    return jnp.argmax(classify.probabilities(found.model)(found.variables, x), axis=-1)


def table(measures: dict[str, np.ndarray]) -> str:
    """The means and standard errors, in lines."""
    count = len(measures["random order"])
    lines = [f"{'':22}{'deletion':>16}{'better':>8}{'insertion':>17}{'better':>8}{'seconds':>9}"]
    for name, each in measures.items():
        mean, error = each.mean(axis=0), each.std(axis=0, ddof=1) / count**0.5 if count > 1 else 0 * each[0]
        apart = each - measures["random order"]
        less, more = int((apart[:, 0] < 0).sum()), int((apart[:, 1] > 0).sum())
        areas = (f"{mean[i]:9.3f} ± {error[i]:.3f}{wins:8}" for i, wins in ((0, less), (1, more)))
        lines.append(f"{name:22}{' '.join(areas)}{np.median(each[:, 2]):9.2f}")
    return "\n".join(lines)


def sanity(found: classify.Classifier, photographs: Sequence[Any]) -> str:
    """The mean rank correlation of each method's maps with those for ruined weights, by how far down they are."""
    lines = []
    for name, method in faithfulness.METHODS.items():
        rows = [faithfulness.sanity(method, found.model, found.variables, x, likeliest(found, x)) for x in photographs]
        lines += [] if lines else [" " * 22 + "".join(f"{part:>8}" for part in rows[0])]
        means = (float(np.mean([row[part] for row in rows])) for part in rows[0])
        lines.append(f"{name:22}" + "".join(f"{mean:8.2f}" for mean in means))
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photographs", type=int, default=20, help="how many, evenly from the folder (20)")
    parser.add_argument("--model", default=classify.DEFAULT)
    parser.add_argument("--weights")
    parser.add_argument("--sanity", type=int, default=0, help="photographs for the check by ruined weights (0)")
    options = parser.parse_args(arguments)
    files = images.in_folder(options.folder)
    if not files:
        parser.error(f"{options.folder} holds no photographs")
    found = classify.classifier(options.model, options.weights)
    chosen = [files[i] for i in np.unique(np.linspace(0, len(files) - 1, options.photographs).astype(int))]
    photographs = [jnp.asarray(images.prepared(file, found.recipe))[None] for file in chosen]
    print(f"{options.model}, {len(photographs)} photographs of {options.folder.name}", flush=True)
    print(table(measured(found, photographs)), flush=True)
    if options.sanity:
        print(sanity(found, photographs[: options.sanity]))


if __name__ == "__main__":
    main()
