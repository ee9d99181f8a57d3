"""ResNet-50 and ConvNeXt-T of Flax's own modules alone, as its users write them: peers for the benchmark.

[batch, height, width, 3] -> ([batch, classes], nothing): as networks of the zoo, without waypoints.

He et al. 2016, arXiv:1512.03385 (v1.5); Liu et al. 2022, arXiv:2201.03545.
"""

from flax import linen as nn
from jaxtyping import Array, Float


class FlaxResNet50(nn.Module):
    depths: tuple[int, ...] = (3, 4, 6, 3)
    num_classes: int = 1000

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width 3"], *, train: bool
    ) -> tuple[Float[Array, "batch classes"], dict]:
        def conv_norm(x: Array, features: int, window: int, stride: int = 1) -> Array:
            sides = [(window // 2, window // 2)] * 2
            x = nn.Conv(features, (window, window), (stride, stride), padding=sides, use_bias=False)(x)
            return nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)

        x = nn.relu(conv_norm(x, 64, 7, 2))
        x = nn.max_pool(x, (3, 3), (2, 2), [(1, 1)] * 2)  # pyright: ignore[reportArgumentType]
        for stage, depth in enumerate(self.depths):
            width = 64 * 2**stage
            for index in range(depth):
                stride = 2 if stage and not index else 1
                y = nn.relu(conv_norm(x, width, 1))
                y = nn.relu(conv_norm(y, width, 3, stride))
                y = conv_norm(y, 4 * width, 1)
                x = nn.relu((conv_norm(x, 4 * width, 1, stride) if not index else x) + y)
        return nn.Dense(self.num_classes)(x.mean((1, 2))), {}


class FlaxConvNeXtTiny(nn.Module):
    depths: tuple[int, ...] = (3, 3, 9, 3)
    widths: tuple[int, ...] = (96, 192, 384, 768)
    num_classes: int = 1000

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width 3"], *, train: bool
    ) -> tuple[Float[Array, "batch classes"], dict]:
        del train
        x = nn.LayerNorm()(nn.Conv(self.widths[0], (4, 4), (4, 4), padding="VALID")(x))
        for stage, (depth, width) in enumerate(zip(self.depths, self.widths, strict=True)):
            if stage:
                x = nn.Conv(width, (2, 2), (2, 2), padding="VALID")(nn.LayerNorm()(x))
            for index in range(depth):
                y = nn.Conv(width, (7, 7), padding=[(3, 3)] * 2, feature_group_count=width)(x)
                y = nn.gelu(nn.Dense(4 * width)(nn.LayerNorm()(y)), approximate=False)
                scale = self.param(f"scale{stage}_{index}", nn.initializers.constant(1e-6), (width,))
                x = x + nn.Dense(width)(y) * scale
        return nn.Dense(self.num_classes)(nn.LayerNorm()(x.mean((1, 2)))), {}


NETWORKS = {"resnet50": FlaxResNet50(), "convnext_tiny": FlaxConvNeXtTiny()}
