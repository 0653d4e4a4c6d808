"""`python -m tests.reliability.kills random COUNT` or `calls`: the figures of docs/reliability.md, as JSON.

random: kills at random moments. calls: a kill before every call that reaches the disk, and within every write.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.reliability.trials import calls_of, check_kills_at_calls, check_random_kills, write_world
from tests.reliability.zygote import Zygote


def main() -> None:
    from transfercli.data.samples import write_sample

    what, seed = sys.argv[1], 0
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        folder = Path(name)
        write_sample("digits", folder / "digits")
        write_world(folder, folder / "digits")
        started = time.monotonic()
        with Zygote(folder) as zygote:
            if what == "random":
                count = int(sys.argv[2])
                found = check_random_kills(zygote, "one", count, random.Random(seed))
            else:
                calls = calls_of(zygote, "one")
                count = len(calls) + sum(kind == "write" for kind, _ in calls)
                found = check_kills_at_calls(zygote, "one", enumerate((kind for kind, _ in calls), start=1))
        told = {"kills": count, "seconds": round(time.monotonic() - started), "complaints": found}
        sys.stdout.write(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()
