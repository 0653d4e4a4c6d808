"""Table of bases: every network that a classifier can be built on, by the name that a config gives.

The rows are in `base_rows/`. Importing them is cheap: a row names its builder, and Keras is imported when it is called.
"""

from __future__ import annotations

from transfercli.models.base import Base
from transfercli.models.base_rows import (
    densenet,
    efficientnet,
    keras_applications,
    mobilenet,
    resnet,
    small_cnn,
    vgg,
    vision_transformer,
)

BASES: dict[str, Base] = {
    **keras_applications.FIRST,
    **resnet.RESNET18,
    **small_cnn.ROWS,
    **keras_applications.ROWS,
    **resnet.ROWS,
    **vgg.ROWS,
    **densenet.ROWS,
    **vision_transformer.ROWS,
    **efficientnet.ROWS,
    **mobilenet.ROWS,
}
