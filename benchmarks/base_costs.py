"""Multiply-adds of one image in every base, at its published size: writes `transfercli/models/base_costs.py`.

Usage: python -m benchmarks.base_costs [--all]

Figures that are there already are kept, unless `--all` computes them again; figures of removed bases are dropped. Each
base is built with random weights, which takes from a second to half a minute.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import keras

from transfercli.models import base_costs
from transfercli.models.bases import BASES
from transfercli.models.surgery import multiplications

HEADER = '''"""Multiply-adds of the bases, for `bases list`; written by `python -m benchmarks.base_costs`."""

from __future__ import annotations

# Of the convolutions and matrix products for one colour image of the base's own size, without a head.
MULTIPLY_ADDS: dict[str, int] = {
'''


def multiply_adds(name: str) -> int:
    """Return the multiply-adds of one colour image of the base's own size."""
    row = BASES[name]
    count = round(multiplications(row.build((row.size, row.size, 3))))
    keras.backend.clear_session()  # frees the network
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--all", action="store_true", help="compute the figures that are there already as well")
    known = {} if parser.parse_args().all else base_costs.MULTIPLY_ADDS
    figures = {name: count for name, count in known.items() if name in BASES}
    for name in sorted(set(BASES) - set(figures)):
        figures[name] = multiply_adds(name)
        print(f"{name:<28}{figures[name] / 1e9:>10.3f} G", flush=True)
        write(figures)  # after each, so that nothing is lost if it is stopped
    write(figures)


def write(figures: dict[str, int]) -> None:
    """Write the module with the figures, in the order of the names."""
    lines = [f'    "{name}": {figures[name]:_},\n' for name in sorted(figures)]
    Path(base_costs.__file__).write_text(f"{HEADER}{''.join(lines)}}}\n")


if __name__ == "__main__":
    main()
