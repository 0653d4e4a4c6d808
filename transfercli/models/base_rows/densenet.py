"""Base of DenseNet-161, which keras.applications lacks."""

from __future__ import annotations

from transfercli.models.base import Base
from transfercli.models.base_rows.timm_weights import timm_weights

ROWS: dict[str, Base] = {
    "densenet161": Base(
        "transfercli.models.networks.densenet:densenet",
        224,
        "torch",
        r"^(conv\d)",
        26_691_936,
        "DenseNet",
        source="Huang et al. 2017",
        settings={"name": "densenet161", "blocks": (6, 12, 36, 24), "growth": 48},
        **timm_weights("densenet161.tv_in1k", 0.774, interpolation="bicubic"),
    )
}
