"""Embedded data set of several labels per image: scenes of two or three handwritten digits.

The labels of a scene are the digits in it; a digit that is there twice is one label. Training, validation and test
scenes are made of different scans: of five scans of a digit, three are for training scenes, the fourth is for
validation scenes and the fifth for test scenes, as in the folders of single digits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

from PIL import Image

from transfercli.data.samples.digits import EVERY_FIFTH, PIXELS, SampleFile, Scan, png, scans

IMAGES = 1000  # scenes unless another number is given
FEWEST, MOST = 100, 50_000
_SPLITS = ("train", "train", "train", "validation", "test")  # of five scans of a digit, and of five scenes
_SMALLEST = 24  # pixels of a digit; the largest one fills its quarter of the scene
_CELLS = tuple(permutations(((0, 0), (0, PIXELS), (PIXELS, 0), (PIXELS, PIXELS)), 3))  # quarters for three digits
_CONFIG = """\
# Launch:  transfercli finetune config.yaml     (in this folder)
# Does:    finds the digits in scenes of two or three handwritten digits; an image has several labels.
name: scenes-from-scratch
task: multilabel
data:
  train: labels.csv
  columns: {label: labels}
  label_separator: ";"
  image_size: 64
model:
  base: small_cnn
  weights: none
  head: {pooling: max}  # one digit is enough for its label, wherever it lies
transfer:
  strategy: scratch
training:
  epochs: 20
"""


@dataclass(frozen=True, slots=True)
class DigitScenes:
    """Folder of scenes: images/*.png of 64x64 pixels, the table labels.csv and a config that trains on them.

    images: number of scenes; the first scenes of a larger number are those of a smaller one.
    """

    images: int = IMAGES

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(map(str, range(10)))

    def files(self) -> Iterator[SampleFile]:
        """Yield the scenes, their table and the config."""
        pools: dict[str, list[Scan]] = {split: [] for split in _SPLITS}
        for scan in scans():
            pools[_SPLITS[scan.number % EVERY_FIFTH]].append(scan)
        rows = ["path,labels,split"]
        for index in range(self.images):
            path, split = f"images/{index:05d}.png", _SPLITS[index % len(_SPLITS)]
            image, labels = _scene(index, pools[split])
            rows.append(f"{path},{';'.join(map(str, labels))},{split}")
            yield SampleFile(path, png(image), split)
        yield SampleFile("labels.csv", ("\n".join(rows) + "\n").encode())
        yield SampleFile("config.yaml", _CONFIG.encode())


def _scene(index: int, pool: Sequence[Scan]) -> tuple[Image.Image, list[int]]:
    """Return scene `index` with two or three scans of a pool, and the digits in it.

    Every choice is taken from a digest of the index: a generator of random numbers may change between versions.
    """
    draw = iter(hashlib.sha256(f"digits-scenes {index}".encode()).digest())
    scene = Image.new("L", (2 * PIXELS, 2 * PIXELS))
    cells = _CELLS[next(draw) % len(_CELLS)][: 2 + next(draw) % 2]
    digits = set()
    for x, y in cells:
        scan = pool[(next(draw) << 8 | next(draw)) % len(pool)]
        pixels = _SMALLEST + next(draw) % (PIXELS - _SMALLEST + 1)
        room = PIXELS - pixels + 1
        scene.paste(scan.image(pixels), (x + next(draw) % room, y + next(draw) % room))
        digits.add(scan.digit)
    return scene, sorted(digits)
