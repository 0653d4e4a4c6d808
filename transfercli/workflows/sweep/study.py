"""Study of a sweep: the trials so far in a storage of Optuna, and the next values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from transfercli.config.schema import SweepConfig
from transfercli.errors import UsageError

if TYPE_CHECKING:
    import optuna

DEFAULT_TRIALS = 20


def open_study(folder: Path, sweep_id: str, sweep: SweepConfig, seed: int, storage: str | None) -> optuna.Study:
    """Return the study of a sweep, which is created if it is new. Raises `UsageError` without Optuna."""
    try:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
    except ImportError as error:
        raise UsageError("sweep needs Optuna", "install it: pip install 'transfercli[sweep]'") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    where = storage or JournalStorage(JournalFileBackend(str(folder / "journal.log")))
    direction: Literal["minimize", "maximize"] = "minimize" if sweep.metric == "val_loss" else "maximize"
    return optuna.create_study(study_name=sweep_id, storage=where, direction=direction, load_if_exists=True)
