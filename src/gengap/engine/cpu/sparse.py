"""Perceptrons with pruned weights, computed with the weights that are left alone: sparse matrices in compressed rows.

The kernels of `kernels/sparse.cpp` take every weight that is left to 64 samples at once, so that a network of which a
tenth is left takes about a tenth of the time.
"""

import itertools
import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from gengap.engine.cpu import operators
from gengap.engine.stack import Architecture, State

_SAMPLES = 64  # of a block, at most: with AVX-512 their sums stay in registers
_MAPS = 2**23  # numbers, of all networks in evaluation together
_LEAST_PRUNED = 0.5  # share of weights; with more left, ordinary products are faster


class Perceptron(NamedTuple):
    """Linear layers with biases, and ReLUs between them.

    Attributes:
        layers: Their names.
        widths: Numbers of an image, and units of every layer.
    """

    layers: tuple[str, ...]
    widths: tuple[int, ...]

    @property
    def n_biases(self) -> int:
        """Of one network."""
        return sum(self.widths[1:])

    @property
    def weights(self) -> tuple[str, ...]:
        """Names of all weights."""
        return tuple(f"{layer}.weight" for layer in self.layers)

    @property
    def biases(self) -> tuple[str, ...]:
        """Names of all biases."""
        return tuple(f"{layer}.bias" for layer in self.layers)


class Sparsity(NamedTuple):
    """Where the weights that are left are in each of K networks.

    Networks with fewer weights than others have places that hold none; so there are `n_weights` in each.

    Attributes:
        places: In all weights of a network, one after another, int64 ``[K, n_weights]``; after the last of them where
            a place holds none.
        columns: What each weight reads of the map before, int32 ``[K, n_weights]``.
        starts: Place where each row of each layer starts, and where the last ends, int32 ``[K, n_biases + 1]``.
    """

    places: Tensor
    columns: Tensor
    starts: Tensor


def perceptron(arch: Architecture) -> Perceptron | None:
    """The network as a perceptron of ReLUs; None if it is none."""
    network = arch.training
    if type(network) is not nn.Sequential:  # others may do more than one layer after the other
        return None
    every = [(name, module) for name, module in network.named_modules(remove_duplicate=False) if name]
    named = [(name, module) for name, module in every if not isinstance(module, nn.Identity)]
    kinds = [type(module) for _, module in named]
    layers = [(name, module) for name, module in named if isinstance(module, nn.Linear)]
    if len({id(layer) for _, layer in layers}) < len(layers):
        return None
    if kinds != [nn.Flatten, *[nn.Linear, nn.ReLU] * (len(layers) - 1), nn.Linear]:
        return None
    if any(layer.bias is None for _, layer in layers) or named[0][1].start_dim != 1 or named[0][1].end_dim != -1:
        return None
    widths = (layers[0][1].in_features, *(layer.out_features for _, layer in layers))
    return Perceptron(tuple(name for name, _ in layers), widths)


def sparsity(network: Perceptron, left: State) -> Sparsity:
    """Where weights are left.

    Args:
        network: Whose they are.
        left: For every weight a tensor ``[K, outputs, inputs]`` that is not 0 where it is left.
    """
    alive = torch.cat([left[name].flatten(1) for name in network.weights], dim=1) != 0
    size = alive.shape[1]
    places = pad_sequence([one.nonzero()[:, 0] for one in alive], batch_first=True, padding_value=size)
    rows = torch.cat([left[name].ne(0).sum(dim=2) for name in network.weights], dim=1)
    starts = nn.functional.pad(rows.cumsum(dim=1), (1, 0)).int()
    of_layers = [torch.arange(read).repeat(units) for read, units in itertools.pairwise(network.widths)]
    columns = torch.cat([*of_layers, torch.zeros(1, dtype=torch.int64)])[places].int()
    return Sparsity(places, columns, starts)


def gathered(network: Perceptron, where: Sparsity, tensors: State) -> Tensor:
    """What is left of a tensor for every weight, ``[K, n_weights]``; 0 in places that hold none."""
    dense = torch.cat([tensors[name].flatten(1) for name in network.weights], dim=1)
    return nn.functional.pad(dense, (0, 1)).gather(1, where.places)


def scattered(network: Perceptron, where: Sparsity, left: Tensor) -> State:
    """A tensor for every weight, 0 where it is pruned, of what is left ``[K, n_weights]``."""
    sizes = [units * read for read, units in itertools.pairwise(network.widths)]
    dense = left.new_zeros(len(left), sum(sizes) + 1).scatter_(1, where.places, left)
    parts = dense[:, :-1].split(sizes, dim=1)
    shapes = [(units, read) for read, units in itertools.pairwise(network.widths)]
    return {name: part.unflatten(1, shape) for name, part, shape in zip(network.weights, parts, shapes, strict=True)}


def joined_biases(network: Perceptron, tensors: State) -> Tensor:
    """A number for every bias, ``[K, n_biases]``."""
    return torch.cat([tensors[name] for name in network.biases], dim=1)


def gather_blocks(images: Tensor, samples: Tensor) -> Tensor:
    """Every network's own images in blocks, ``[K, blocks, widths[0], samples]``, filled up with its first.

    Args:
        images: ``[N, C, H, W]``.
        samples: Which of them, int64 ``[K, B]``.
    """
    n_networks, batch_size = samples.shape
    block = min(_SAMPLES, math.ceil(batch_size / operators.SAMPLES) * operators.SAMPLES)
    filled = torch.cat([samples, samples[:, :1].expand(-1, -batch_size % block)], dim=1)
    pixels = images.flatten(1)[:, :, None, None]
    batches: Tensor = torch.ops.gengap.gather(filled.view(-1, block), pixels)
    return batches.view(n_networks, -1, pixels.shape[1], block)


def outputs_of(network: Perceptron, maps: Tensor) -> Tensor:
    """The outputs among the maps of `forward`, ``[K, samples of all blocks, n_outputs]``."""
    return maps[:, :, -network.widths[-1] :].transpose(2, 3).flatten(1, 2)


def forward(network: Perceptron, where: Sparsity, weights: Tensor, biases: Tensor, blocks: Tensor) -> Tensor:
    """The maps of all layers, ``[K, blocks, n_biases, samples]``, of which the last rows are the outputs.

    Args:
        network: The network.
        where: Its weights' places.
        weights: As `gathered` gives them.
        biases: As `joined_biases` does.
        blocks: Images with the samples of a block last, ``[K, blocks, widths[0], samples]``, or with 1 for K.
    """
    arguments = blocks, weights, biases, where.columns, where.starts, network.widths
    maps: Tensor = torch.ops.gengap.sparse_forward(*arguments)
    return maps


def backward(
    network: Perceptron,
    where: Sparsity,
    weights: Tensor,
    biases: Tensor,
    blocks: Tensor,
    maps: Tensor,
    output_gradients: Tensor,
) -> tuple[Tensor, Tensor]:
    """The gradients of weights and biases, in the places of these.

    Args:
        network: As of `forward`, like all that it took.
        where: The same.
        weights: The same.
        biases: The same.
        blocks: The same.
        maps: What it returned.
        output_gradients: ``[K, samples, n_outputs]``, of the first samples; those of the others are 0.
    """
    *_, n_blocks, _, block = blocks.shape
    padded = nn.functional.pad(output_gradients, (0, 0, 0, n_blocks * block - output_gradients.shape[1]))
    by_blocks = padded.unflatten(1, (n_blocks, block)).transpose(2, 3)
    arguments = by_blocks, blocks, maps, weights, biases, where.columns, where.starts, network.widths
    found: tuple[Tensor, Tensor] = torch.ops.gengap.sparse_backward(*arguments)
    return found


def mostly_pruned(arch: Architecture, state: State, images: Tensor) -> Tensor:
    """Which networks `outputs` computes faster than ordinary products do, bool ``[K]``.

    Args:
        arch: Their architecture.
        state: Their stacked state.
        images: What they would be computed on.
    """
    n_networks = len(next(iter(state.values())))
    network = perceptron(arch)
    if network is None or not operators.supports(images):
        return torch.zeros(n_networks, dtype=torch.bool)
    left = torch.stack([state[name].count_nonzero(dim=(1, 2)) for name in network.weights]).sum(dim=0)
    return left <= (1 - _LEAST_PRUNED) * sum(state[name].shape[1:].numel() for name in network.weights)


def outputs(arch: Architecture, state: State, images: Tensor) -> Tensor:
    """Outputs of every network on every image.

    Args:
        arch: Their architecture.
        state: Of networks of which `mostly_pruned` is true.
        images: ``[N, C, H, W]``.

    Returns:
        ``[K, N, n_outputs]``.
    """
    network = perceptron(arch)
    assert network is not None
    where = sparsity(network, state)
    weights, biases = gathered(network, where, state), joined_biases(network, state)
    of_block = len(weights) * network.n_biases * _SAMPLES  # numbers of maps
    parts = []
    for some in images.flatten(1).split(_SAMPLES * max(1, _MAPS // of_block)):
        padded = nn.functional.pad(some, (0, 0, 0, -len(some) % _SAMPLES))
        blocks = padded.view(1, -1, _SAMPLES, padded.shape[1]).transpose(2, 3).contiguous()
        parts.append(outputs_of(network, forward(network, where, weights, biases, blocks))[:, : len(some)])
    return torch.cat(parts, dim=1)
