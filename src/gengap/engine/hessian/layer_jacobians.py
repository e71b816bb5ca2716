"""A network that shows the inputs of its layers, and how they depend on the weights of the layers before."""

import copy
import functools

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp, vmap

from gengap.engine.layers.convolution_matrix import convolution_matrix
from gengap.engine.stack import Architecture, State


class LayerJacobians:
    """An architecture in evaluation mode that shows the inputs of its layers and lets their outputs be shifted.

    Attributes:
        network: The module.
        layers: Every layer that has parameters of its own, by name.
        offsets: Where each layer's parameters lie among all, ``[n]``.
        later: For every layer that is called, the layers whose inputs depend on its parameters, once
            `find_later_layers` was called.
    """

    def __init__(self, arch: Architecture) -> None:
        self.network = copy.deepcopy(arch.evaluation)
        self.layers: dict[str, nn.Module] = {}
        self.offsets: dict[str, Tensor] = {}
        self.later: dict[str, list[str]] = {}
        sizes = [arch.evaluation.get_parameter(name).numel() for name in arch.parameters]
        ranges = torch.arange(sum(sizes)).split(sizes)
        for name, own in zip(arch.parameters, ranges, strict=True):
            layer = name.rpartition(".")[0]
            self.layers[layer] = self.network.get_submodule(layer)
            self.offsets[layer] = torch.cat([self.offsets[layer], own]) if layer in self.offsets else own
        self.inputs: State = {}
        self.shifts: State = {}
        self.matrices: State = {}
        self.constant: set[str] = set()
        for name, module in self.layers.items():
            module.register_forward_hook(functools.partial(self._seen, name))
            if isinstance(module, nn.Conv2d):
                module.forward = functools.partial(self._convolve, name, module)  # type: ignore[method-assign]

    def _seen(self, name: str, _: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        self.inputs[name] = inputs[0]
        return output + self.shifts[name] if name in self.shifts else output

    def _convolve(self, name: str, module: nn.Conv2d, x: Tensor) -> Tensor:
        """A convolution, as a product with a matrix where its weights are constant and its image is small.

        PyTorch's float64 convolution on a processor is some ten times slower than a matrix product of its size.
        """
        if name not in self.constant or name not in self.matrices:
            convolved: Tensor = nn.Conv2d.forward(module, x)
            return convolved
        matrix = self.matrices[name]
        output: Tensor = (x.flatten(1) @ matrix.flatten(1)).unflatten(1, matrix.shape[1:])
        return output if module.bias is None else output + module.bias[:, None, None]

    def _find_matrices(self, network: State, inputs: State) -> None:
        for name, x in inputs.items():
            module = self.layers[name]
            # The matrix takes height x width multiplications where the convolution takes those of its kernel.
            if isinstance(module, nn.Conv2d) and x[0, 0].numel() <= 8 * module.weight[0, 0].numel():
                self.matrices[name] = convolution_matrix(module, tuple(x.shape[1:]), network[f"{name}.weight"])

    def run(self, network: State, shifts: State, x: Tensor) -> tuple[State, Tensor]:
        """Inputs of the layers in the order of their calls, and the outputs ``[n, n_outputs]``."""
        self.inputs, self.shifts = {}, shifts
        outputs: Tensor = functional_call(self.network, network, (x,))
        inputs, self.inputs, self.shifts = self.inputs, {}, {}
        return inputs, outputs

    def own(self, network: State, layer: str) -> State:
        """A layer's own parameters by their names in the network."""
        return {f"{layer}.{name}": network[f"{layer}.{name}"] for name, _ in self.layers[layer].named_parameters()}

    def find_later_layers(self, network: State, x: Tensor) -> None:
        """Find which layers' inputs depend on which layers' weights, from autograd's graph."""
        leaves = {layer: self.own(network, layer) for layer in self.layers}
        flat = {name: value.clone().requires_grad_() for own in leaves.values() for name, value in own.items()}
        inputs, _ = self.run({**network, **flat}, {}, x)
        self._find_matrices(network, inputs)
        self.later = {layer: [] for layer in inputs}
        for later, value in inputs.items():
            if value.requires_grad:
                gradients = torch.autograd.grad(value.sum(), list(flat.values()), retain_graph=True, allow_unused=True)
                used = {name for name, gradient in zip(flat, gradients, strict=True) if gradient is not None}
                for layer in inputs:
                    if used & set(leaves[layer]):
                        self.later[layer].append(later)

    def deltas(self, network: State, x: Tensor, slope: Tensor) -> State:
        """Derivative of the sum of losses with respect to every layer's output, ``[n, ...]``."""

        def linearised(shifts: State) -> Tensor:
            return (self.run(network, shifts, x)[1] * slope).sum()

        def outputs_of(layer: str, inputs: State) -> Tensor:
            result: Tensor = functional_call(self.layers[layer], self._renamed(network, layer), (inputs[layer],))
            return result

        inputs, _ = self.run(network, {}, x)
        result: State = grad(linearised)({layer: torch.zeros_like(outputs_of(layer, inputs)) for layer in inputs})
        return result

    def mixed(self, network: State, layer: str, x: Tensor, delta: Tensor) -> Tensor:
        """d^2 <delta, h> / dtheta dx of one layer, ``[parameters of the layer, n, ...]``.

        The derivative with respect to x is linear in theta, so its values at the unit vectors are its derivative.
        """
        own = self._renamed(network, layer)
        names = [name for name, _ in self.layers[layer].named_parameters()]

        def pulled_back(parameters: State) -> Tensor:
            def paired(inputs: Tensor) -> Tensor:
                output: Tensor = functional_call(self.layers[layer], {**own, **parameters}, (inputs,))
                return (output * delta).sum()

            result: Tensor = grad(paired)(x)
            return result

        result: Tensor = vmap(pulled_back)(_units({name: own[name] for name in names}))
        return result

    def derivatives(self, network: State, layer: str, later: list[str], x: Tensor) -> tuple[State, Tensor]:
        """Derivatives of later layers' inputs and of the outputs by one layer's parameters, ``[p, n, ...]``."""
        own = self.own(network, layer)

        def forward(parameters: State) -> tuple[State, Tensor]:
            inputs, outputs = self.run({**network, **parameters}, {}, x)
            return {name: inputs[name] for name in later}, outputs

        self.constant = set(self.matrices) - {layer}
        try:
            result: tuple[State, Tensor] = vmap(lambda unit: jvp(forward, (own,), (unit,))[1])(_units(own))
        finally:
            self.constant = set()
        return result

    def _renamed(self, network: State, layer: str) -> State:
        """A layer's parameters and buffers by the layer's own names."""
        return {
            name: network[f"{layer}.{name}"] for name in self.layers[layer].state_dict() if f"{layer}.{name}" in network
        }


def _units(parameters: State) -> State:
    """All unit vectors of a parameter space, ``[size, ...]`` by name."""
    sizes = [value.numel() for value in parameters.values()]
    like = next(iter(parameters.values()))
    parts = torch.eye(sum(sizes), dtype=like.dtype, device=like.device).split(sizes, dim=1)
    return {name: part.reshape(-1, *value.shape) for (name, value), part in zip(parameters.items(), parts, strict=True)}
