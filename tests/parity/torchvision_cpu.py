"""Lets torchvision, and timm which imports it, load beside a torch built for the CPU.

torchvision's wheel carries operators linked to CUDA. Beside a CPU torch they do not load, and importing torchvision
fails when it describes two of them (nms and qnms) to the compiler. Declaring their schemas first is enough: ``load``
does, and every parity test gets torch's world from it.
"""

import sys
from types import ModuleType

from convzoo import extras

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
KEPT = []  # a torch library forgets its operators when it is collected


def load(name: str) -> ModuleType:
    """Imports ``name`` ("torchvision", "timm", ...).

    Raises:
      MissingExtra: torch or it is not installed.
    """
    torch = extras.need("torch", extra="parity")
    if torch.version.cuda is None and not KEPT:
        library = torch.library.Library("torchvision", "FRAGMENT")
        for schema in SCHEMAS:
            library.define(schema)
        KEPT.append(library)
    if name == "torchcrepe":  # imports torchaudio, whose wheel carries CUDA operators too, to read files with
        sys.modules.setdefault("torchaudio", ModuleType("torchaudio"))
    return extras.need(name, extra="parity")
