"""planetoid: Cora, Citeseer and Pubmed in the Planetoid split, one example a set: its whole graph.

    tfds.builder("planetoid/cora", data_dir=convzoo.data.folder())

The files are those that ``convzoo.data.planetoid`` reads, ``NAME.npz`` or ``ind.NAME.*`` in ``planetoid/`` in the data
folder; they are downloaded there if they are missing.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from convzoo.data import planetoid

SETS = {"cora": 7, "citeseer": 6, "pubmed": 3}  # and their classes


class Planetoid(tfds.core.GeneratorBasedBuilder):
    """Citation networks."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=name, description=f"The graph {name}.") for name in SETS]

    def _info(self):
        def whole(*shape: int | None, dtype: Any = np.int32) -> tfds.features.Tensor:
            return tfds.features.Tensor(shape=shape, dtype=dtype, encoding="bytes")

        return tfds.core.DatasetInfo(
            builder=self,
            description="A citation network whose nodes are to be classified; features as CSR, edges both ways.",
            homepage="https://arxiv.org/abs/1603.08861",
            features=tfds.features.FeaturesDict(
                {
                    "indptr": whole(None),
                    "columns": whole(None),
                    "values": whole(None, dtype=np.float32),
                    "width": tfds.features.Scalar(dtype=np.int32),
                    "label": whole(None),
                    "edges": whole(2, None),
                    "train": whole(None),
                    "val": whole(None),
                    "test": whole(None),
                }
            ),
        )

    def _split_generators(self, dl_manager):
        assert self.builder_config
        name = self.builder_config.name
        return {"full": self._generate_examples(name, planetoid.read(name))}

    def _generate_examples(self, name: str, found: planetoid.NodeSet) -> Iterator[tuple[str, dict[str, Any]]]:
        splits = {name: index.astype(np.int32) for name, index in found.splits.items()}
        arrays = {name: value for name, value in found._asdict().items() if name != "splits"}
        yield name, arrays | splits
