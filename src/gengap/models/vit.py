"""A small vision transformer (Dosovitskiy et al. 2021, arXiv:2010.11929), pre-normalised, without dropout.

`width` is that of the embedding; the hidden layer of each block has four times as many units, as in the paper. It is
made of convolution, linear layers, LayerNorm and GELU, so that inits, layers and probes see what they see elsewhere.
Papers start it with the init `xavier`.
"""

import math

import torch
from torch import Tensor, nn

from gengap.errors import UserError
from gengap.studies.settings import Model

PART = {
    "summary": "Vision transformer of `depth` blocks with a class token (Dosovitskiy et al. 2021).",
    "reads": ("depth",),
    "options": {
        "patch": {"type": "int", "default": 4, "ge": 1, "meaning": "Height and width of a patch [pixels]."},
        "heads": {
            "type": "int",
            "default": None,
            "ge": 1,
            "meaning": "Attention heads of a block; null: one per 16 units of the width, at least one.",
        },
    },
}

DEPTH = 6  # where the study says nothing
EXPANSION = 4  # units of a block's hidden layer, over the width
EPS = 1e-6  # of LayerNorm, as in the authors' code
POSITION_STD = 0.02  # of what the class token and the positions start from, as in the authors' code


class Tokens(nn.Module):
    """A class token before the patches, and an embedding of every position added to them."""

    def __init__(self, n_patches: int, width: int) -> None:
        super().__init__()
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.zeros(1, n_patches + 1, width))

    def draw_parameters(self, generator: torch.Generator) -> None:
        """The class token 0, positions normal; called by `gengap.inits.initialise`."""
        nn.init.zeros_(self.class_token)
        nn.init.normal_(self.positions, std=POSITION_STD, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, T, width]`` to ``[N, 1 + T, width]``."""
        return torch.cat([self.class_token.expand(x.shape[0], -1, -1), x], dim=1) + self.positions


class Attention(nn.Module):
    """Self-attention of several heads, in elementary operations: sums in one fixed order, and all derivatives."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.head_width = heads, width // heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, T, width]`` to the same shape."""
        parts = self.query_key_value(x).unflatten(2, (3, self.heads, self.head_width)).permute(2, 0, 3, 1, 4)
        query, key, value = parts[0], parts[1], parts[2]  # [N, heads, T, head_width]
        weights = (query @ key.transpose(2, 3) / math.sqrt(self.head_width)).softmax(dim=3)
        output: Tensor = self.output((weights @ value).transpose(1, 2).flatten(2))
        return output


class Block(nn.Module):
    """y = x + attention(LN(x)); then y + linear(GELU(linear(LN(y))))."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln1 = nn.LayerNorm(width, eps=EPS)
        self.attention = Attention(width, heads)
        self.ln2 = nn.LayerNorm(width, eps=EPS)
        self.linear1 = nn.Linear(width, EXPANSION * width)
        self.gelu = nn.GELU()
        self.linear2 = nn.Linear(EXPANSION * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, T, width]`` to the same shape."""
        y = x + self.attention(self.ln1(x))
        output: Tensor = y + self.linear2(self.gelu(self.linear1(self.ln2(y))))
        return output


class VisionTransformer(nn.Module):
    """Patches, each embedded by one convolution; tokens; blocks; LayerNorm and a linear layer on the class token."""

    def __init__(
        self, width: int, depth: int, heads: int, patch: int, image_shape: tuple[int, int, int], n_outputs: int
    ):
        super().__init__()
        channels, height, image_width = image_shape
        self.embedding = nn.Conv2d(channels, width, patch, stride=patch)
        self.tokens = Tokens((height // patch) * (image_width // patch), width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(depth)))
        self.ln = nn.LayerNorm(width, eps=EPS)
        self.output = nn.Linear(width, n_outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map images ``[N, C, H, W]`` to outputs ``[N, n_outputs]``."""
        tokens = self.blocks(self.tokens(self.embedding(x).flatten(2).transpose(1, 2)))
        output: Tensor = self.output(self.ln(tokens[:, 0]))
        return output


def build(settings: Model, image_shape: tuple[int, int, int], n_outputs: int) -> nn.Module:
    """Build the network; see `gengap.models.build`. `depth` counts the blocks.

    Raises:
        UserError: If patches do not fill the images, or the heads do not divide the width.
    """
    width, patch = settings.width, settings.patch
    heads = settings.heads or max(1, width // 16)
    _, height, image_width = image_shape
    if height % patch or image_width % patch:
        raise UserError(
            f"model.patch: patches of {patch} x {patch} pixels do not fill images of {height} x {image_width}. Choose "
            "a number that divides both sides, or another dataset.image_size."
        )
    if width % heads:
        raise UserError(
            f"model.heads: {heads} heads do not divide a width of {width}. Set model.heads to a number that does, or "
            "change model.width."
        )
    return VisionTransformer(width, settings.depth or DEPTH, heads, patch, image_shape, n_outputs)
