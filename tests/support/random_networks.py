"""Networks of random layers, wired at random, in which maps have several readers; random weights for any network."""

import functools
import random

import torch
from torch import nn

from gengap.engine import stack

SHAPE = (3, 11, 8)
KINDS = ("conv", "conv", "conv", "norm", "norm", "relu", "max", "mean", "add", "pad", "every")


class RandomNetwork(nn.Module):
    """Up to twelve layers, each of which reads the map before it or an earlier one; every map is read."""

    def __init__(self, seed):
        super().__init__()
        self.draw, self.plan, self.layers = random.Random(seed), [], nn.ModuleList()
        torch.manual_seed(seed)
        maps = [torch.randn(2, *SHAPE)]
        for _ in range(self.draw.randint(3, 12)):
            place = self.draw.choice([len(maps) - 1, self.draw.randrange(len(maps))])
            # Norms of norms, and of constant channels, would multiply rounding.
            normalised = place > 0 and isinstance(self.plan[place - 1][0], nn.BatchNorm2d)
            can_norm = not normalised and maps[place].var(dim=(0, 2, 3)).min() > 0.01
            kind = self.draw.choice(KINDS)
            layer = self.layer(kind if can_norm or kind != "norm" else "relu", maps[place])
            alike = [other for other, map_ in enumerate(maps) if map_.shape == maps[place].shape]
            reads = (place, self.draw.choice(alike)) if layer is torch.add else (place,)
            self.plan.append((layer, reads))
            if isinstance(layer, nn.Module):
                self.layers.append(layer)
            maps.append(layer(*(maps[read] for read in reads)))
        read = {place for _, reads in self.plan for place in reads}
        self.ends = [place for place in range(1, len(maps)) if place not in read]
        self.heads = nn.ModuleList(nn.Linear(maps[end][0].numel(), 3) for end in self.ends)

    def layer(self, kind, map_):
        _, channels, height, width = map_.shape
        least, number = min(height, width), self.draw.randint(1, 3)
        if kind == "conv":
            padding = self.draw.randint(0, number // 2)
            size = min(number, least + 2 * padding)
            options = {"stride": self.draw.randint(1, 2), "padding": padding, "bias": self.draw.random() < 0.5}
            return nn.Conv2d(channels, self.draw.randint(1, 20), size, **options)
        if kind == "norm":
            return nn.BatchNorm2d(channels)
        if kind in ("max", "mean"):
            pool = nn.MaxPool2d if kind == "max" else nn.AvgPool2d
            return pool(min(number, least), self.draw.randint(1, 2))
        if kind == "pad":
            return lambda x: nn.functional.pad(x, (0, 0, 0, 0, number // 2, number - number // 2))
        if kind == "every":
            return lambda x: x[:, :, :: number + 1, :: number + 1]
        return torch.add if kind == "add" else nn.ReLU()

    def forward(self, x):
        maps, layers = [x], iter(self.layers)
        for layer, reads in self.plan:
            # By its name among the modules, so that copies of the network run copies of the layer.
            call = next(layers) if isinstance(layer, nn.Module) else layer
            maps.append(call(*(maps[read] for read in reads)))
        outputs = [head(maps[end].flatten(1)) for end, head in zip(self.ends, self.heads, strict=True)]
        return functools.reduce(torch.add, outputs)


def random_pack(network, shape, n_images, count=3):
    """A stack of states in which every tensor is random, and images far from mean 0, in float64."""
    generator = torch.Generator().manual_seed(0)
    arch = stack.architecture(network)
    state = {
        name: torch.randn(count, *value.shape, generator=generator, dtype=torch.float64) * 0.3
        for name, value in arch.evaluation.state_dict().items()
    }
    state = {name: value.square() + 0.1 if name.endswith("running_var") else value for name, value in state.items()}
    return arch, state, torch.randn(n_images, *shape, generator=generator, dtype=torch.float64) + 2


def single(state):
    return {name: value.float() for name, value in state.items()}
