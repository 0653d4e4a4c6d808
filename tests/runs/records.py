"""Records of runs with all keys that a valid one has."""

from __future__ import annotations

from typing import Any

COMPLETED: dict[str, Any] = {
    "status": "completed",
    "command": "transfercli finetune c.yaml",
    "config_folder": "../../..",
    "versions": {},
    "data": {"fingerprint": "f", "images": {}},
    "best_epoch": 1,
    "metrics": {"val_accuracy": 1.0, "val_loss": 0},
    "seconds": {"total": 1.5},
    "cache": {},
}
