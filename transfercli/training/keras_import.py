"""Import of Keras with its own defaults, whatever the user's `keras.json` and environment say.

That file and some variables change the number format, the order of an image's axes and even the number of epochs of
every program that uses Keras. A run depends on its config only, so they are not read; nor is the file written.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from transfercli.errors import UsageError
from transfercli.io.subprocesses import KERAS_VARIABLES, NO_KERAS_HOME

DEFAULT = "tensorflow"
# Values of KERAS_BACKEND, the name of each library and the command that installs it.
BACKENDS = {"tensorflow": "TensorFlow", "jax": "JAX"}
INSTALL = {"tensorflow": "pip install tensorflow", "jax": "pip install 'transfercli[jax]'"}


def backend_name() -> str:
    """Return the backend of this process, also before Keras is imported."""
    return os.environ.get("KERAS_BACKEND") or DEFAULT


def check_backend() -> None:
    """Raise `UsageError` if KERAS_BACKEND names no backend that this program supports, or one that is missing."""
    name = backend_name()
    if name not in BACKENDS:
        raise UsageError(
            f"KERAS_BACKEND is {name!r}; this program works with {' and '.join(BACKENDS)}",
            "unset the variable, or set it to one of them",
        )
    if find_spec(name) is not None:
        return
    others = [other for other in BACKENDS if other != name and find_spec(other) is not None]
    default = ", the default backend," if name == DEFAULT else f" (KERAS_BACKEND is {name!r})"
    raise UsageError(
        f"{BACKENDS[name]}{default} is not installed",
        " or ".join([f"set KERAS_BACKEND={other}, which is installed," for other in others] + [INSTALL[name]]),
    )


def import_keras() -> ModuleType:
    """Import Keras. Raises `UsageError` if its backend cannot be used."""
    check_backend()
    if "keras" in sys.modules:
        return sys.modules["keras"]
    home = os.environ.get("KERAS_HOME") or str(Path("~/.keras").expanduser())
    with _defaults():
        import keras
    from transfercli.models.keras_internals import set_keras_home, use_no_tensorflow

    set_keras_home(home)
    if keras.backend.backend() != "tensorflow":
        use_no_tensorflow()  # its import takes seconds, and a GPU's memory
    return keras


@contextmanager
def _defaults() -> Iterator[None]:
    """Hide `keras.json` and the `KERAS_VARIABLES` from Keras."""
    hidden = {name: os.environ.pop(name) for name in ("KERAS_HOME", *KERAS_VARIABLES) if name in os.environ}
    os.environ["KERAS_HOME"] = NO_KERAS_HOME
    try:
        yield
    finally:
        del os.environ["KERAS_HOME"]
        os.environ.update(hidden)
