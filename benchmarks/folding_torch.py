"""ResNet50 training steps in PyTorch eager, for benchmarks/folding.py.

Usage: python benchmarks/folding_torch.py SIDE BATCH

Makes a training step for every line on stdin and prints a line after it. Needs torch (2.13.0), which is not a
dependency of this project. All layers train, BatchNorm in inference mode, SGD with momentum, float32, channels-last:
the fastest eager setting.
"""

from __future__ import annotations

import sys

import torch  # type: ignore[import-not-found]
from torch import nn

# Inner channels, number of blocks, stride of the first block.
STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))


class Block(nn.Module):
    """Bottleneck block with a projection shortcut if the channels change (He et al. 2016)."""

    def __init__(self, channels: int, middle: int, stride: int) -> None:
        super().__init__()
        out = 4 * middle
        self.body = nn.Sequential(
            nn.Conv2d(channels, middle, 1, stride),
            nn.BatchNorm2d(middle),
            nn.ReLU(inplace=True),
            nn.Conv2d(middle, middle, 3, padding=1),
            nn.BatchNorm2d(middle),
            nn.ReLU(inplace=True),
            nn.Conv2d(middle, out, 1),
            nn.BatchNorm2d(out),
        )
        self.shortcut: nn.Module = nn.Identity()
        if channels != out:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, out, 1, stride), nn.BatchNorm2d(out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.relu(self.body(x) + self.shortcut(x), inplace=True)


def resnet50(classes: int) -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 7, 2, 3), nn.BatchNorm2d(64), nn.ReLU(inplace=True)]
    layers.append(nn.MaxPool2d(3, 2, 1))
    channels = 64
    for middle, blocks, stride in STAGES:
        for index in range(blocks):
            layers.append(Block(channels, middle, stride if index == 0 else 1))
            channels = 4 * middle
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


def main() -> None:
    side, batch = int(sys.argv[1]), int(sys.argv[2])
    torch.manual_seed(0)
    model = resnet50(5).to(memory_format=torch.channels_last).eval()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-5, momentum=0.9)
    x = torch.rand(batch, 3, side, side).to(memory_format=torch.channels_last)
    y = torch.arange(batch) % 5
    for _request in sys.stdin:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        print("done", flush=True)


if __name__ == "__main__":
    main()
