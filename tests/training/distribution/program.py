"""The program as a test starts it in several processes: in another number format, or with faults.

TEST_FLOATX: Keras's number format. TEST_WRONG_ROWS: every process gives Keras the first rows of a batch.
"""

import os

from transfercli.__main__ import main
from transfercli.training.keras_import import import_keras

if floatx := os.environ.get("TEST_FLOATX"):
    import_keras().config.set_floatx(floatx)

if os.environ.get("TEST_WRONG_ROWS"):
    from transfercli.training.distribution import batches
    from transfercli.training.distribution.processes import processes

    batches.own_rows = lambda count, _: slice(0, count // processes().count)

main()
