"""Writes what the kernels compute in a build to a file; run by `test_library`."""

import os

import torch
from torch.func import grad, vmap

from gengap import models
from gengap.engine import evaluation, stack
from gengap.engine.cpu import operators
from gengap.engine.fused import passes
from gengap.engine.fused.program import program
from gengap.engine.graph.network_graph import shaped
from gengap.studies.settings import Model


def training():
    """A convolution of 9 channels and a BatchNorm, and their gradients."""
    generator = torch.Generator().manual_seed(0)
    x, weight = torch.randn(2, 48, 3, 7, 7, generator=generator), torch.randn(2, 9, 3, 3, 3, generator=generator)
    scale, shift = (torch.randn(2, 9, generator=generator) for _ in range(2))

    def loss(x, weight, scale, shift):
        y, mean, variance = operators.batch_norm(operators.conv2d(x, weight, None, 2, 1, 1), scale, shift, 1e-5)
        return (y * torch.linspace(-1, 1, y.numel()).view(y.shape)).sin().mean(), (y, mean, variance)

    gradients, outputs = vmap(grad(loss, argnums=(0, 1, 2, 3), has_aux=True))(x, weight, scale, shift)
    yield from (value.contiguous() for value in (*gradients, *outputs))


def passed():
    """Forward and backward pass of two networks with every kind of layer."""
    generator = torch.Generator().manual_seed(0)
    arch = stack.architecture(models.build(Model(name="lenet", batchnorm="before"), (3, 28, 28), 2))
    made = program(shaped(arch.training, (3, 28, 28)))
    weights = torch.randn(2, made.n_weights, generator=generator) / 10
    images = torch.randn(2, 48, 3, 28, 28, generator=generator)
    maps, statistics = passes.forward(made, weights, images)
    outputs = passes.outputs(made, maps)
    yield from (outputs.contiguous(), statistics)
    yield passes.backward(made, weights, images, maps, statistics, outputs.sin())


def evaluated():
    """Outputs and exact statistics of two networks."""
    generator = torch.Generator().manual_seed(0)
    arch = stack.architecture(models.build(Model(width=5), (3, 8, 8), 2))
    state = {
        name: torch.rand(2, *value.shape, generator=generator) - (0 if name.endswith("running_var") else 0.5)
        for name, value in arch.evaluation.state_dict().items()
    }
    images = torch.randn(150, 3, 8, 8, generator=generator)
    yield evaluation.all_outputs(arch, state, images, "running")
    exact, outputs = evaluation.training_outputs(arch, state, images, "exact")
    yield from (outputs, *(exact[name] for name in arch.buffers))


def write(build, path):
    """Compute all of it with a build, in a process that has loaded none."""
    os.environ["GENGAP_KERNELS"] = build
    assert operators.available()
    torch.save({str(number): value for number, value in enumerate([*training(), *passed(), *evaluated()])}, path)
