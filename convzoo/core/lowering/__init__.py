"""How a convolution is computed: two primitives closed under differentiation, a third that adds what follows, and a
table of ways for each platform.

``primitives`` defines what is computed and its derivatives, ``finish`` what may follow, ``native``, ``dense``,
``depthwise`` and ``grouped`` the ways to compute it; ``choice`` picks our own kernels where they can be built, else one
by shape from ``ways.json``, measured by ``python -m experiments.bench_conv --sweep``.
"""

from convzoo.core.lowering.choice import WAYS as WAYS
from convzoo.core.lowering.choice import force as force
from convzoo.core.lowering.finish import Finish as Finish
from convzoo.core.lowering.primitives import conv as conv
from convzoo.core.lowering.primitives import conv_p as conv_p
from convzoo.core.lowering.primitives import conv_then as conv_then
from convzoo.core.lowering.primitives import input_grad as input_grad
from convzoo.core.lowering.primitives import kernel_grad as kernel_grad
from convzoo.core.lowering.primitives import kernel_grad_p as kernel_grad_p
from convzoo.core.lowering.windows import flip as flip
