"""Architecture of a vision transformer, as data: importing this module is cheap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

EXPANSION = 4  # a block's hidden layer has so many more units than a token


@dataclass(frozen=True)
class Transformer:
    """Architecture of a vision transformer without its head.

    patch: side of a patch, in pixels. width: length of a token. depth: number of blocks. heads: of the attention.
    registers: number of tokens after the class token that stand for nothing in the image (Darcet et al. 2024; the
    distillation token of DeiT is one, too). class_token: the first token is none of a patch.
    positions: "learned" vectors that are added to the patches, or "rotary" (queries and keys are rotated by angles that
    follow from a patch's place; Su et al. 2024), in the version of DINOv3.
    pre_norm: a LayerNorm before the first block, and patches without a bias (CLIP).
    activation: of the hidden layers: GELU as defined ("gelu"), with its tanh approximation ("gelu_tanh"), or
    x * sigmoid(1.702 x) ("quick_gelu"). epsilon: of the LayerNorms.
    """

    patch: int
    width: int
    depth: int
    heads: int
    registers: int = 0
    class_token: bool = True
    positions: Literal["learned", "rotary"] = "learned"
    pre_norm: bool = False
    activation: Literal["gelu", "gelu_tanh", "quick_gelu"] = "gelu"
    epsilon: float = 1e-6

    @property
    def prefix_tokens(self) -> int:
        """Number of tokens before those of the patches."""
        return self.class_token + self.registers

    def parameters(self, size: int) -> int:
        """Return the number of weights of a network for square colour images of `size` pixels."""
        width, hidden = self.width, EXPANSION * self.width
        patches = self.patch**2 * 3 * width + (0 if self.pre_norm else width)
        positions = (size // self.patch) ** 2 * width if self.positions == "learned" else 0
        attention = 4 * width * (width + 1) - (width if self.positions == "rotary" else 0)
        block = attention + width * hidden + hidden + hidden * width + width + 4 * width
        norms = 2 * width * (1 + self.pre_norm)
        return patches + positions + self.prefix_tokens * width + self.depth * block + norms
