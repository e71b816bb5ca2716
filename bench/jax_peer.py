"""Song's network trained in packs by JAX, as an expert writes it for a processor: the peer of `bench.cpu`.

Samples come last in memory, so that every product is of a matrix made from the weights with one of as many columns as
samples. Two forms of a 3 x 3 convolution, of which the better one is taken for each width:

* rows: maps are ``[H, W C, N]``. The kernel is expanded once per step to ``[W' C', 3, W C]``; a row of the output is
  one product with three adjacent rows of the input, and those outside the map are dropped. The shortcut's 1 x 1 kernel
  is more rows of the same matrix. Nothing is copied; most of the matrix is zeros, which only a narrow network affords.
* slices: maps are ``[C, H, W, N]``. The nine shifted maps are joined to ``[9 C, H' W' N]``, for one product.

BatchNorm's sums are products with a vector of ones, and its derivative is written out. Steps are mapped over networks
by `vmap`, run by `scan`, compiled by `jit`, and given their own state back.
"""

import functools
import multiprocessing
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from bench import peers
from bench.processes import side_by_side

Array = Any  # jax.Array, of which a trace has another class
State = dict[str, Array]
Convolve = Callable[[Array, Array, "Array | None", int], tuple[Array, "Array | None"]]

MOMENTUM, LR, EPS, RUNNING = 0.9, 0.01, 1e-5, 0.1
NARROW = 16  # up to this width, rows; above it, slices


def form_of(width: int) -> str:
    """The better form for a width."""
    return "rows" if width <= NARROW else "slices"


def convolve_rows(x: Array, kernel: Array, shortcut: Array | None, stride: int) -> tuple[Array, Array | None]:
    """Convolve ``[H, W, C, N]`` with a padded 3 x 3 kernel, and with a 1 x 1 kernel if there is one.

    Args:
        x: The map.
        kernel: ``[C', C, 3, 3]``.
        shortcut: ``[C', C]``.
        stride: Of both.
    """
    height, width, channels, samples = x.shape
    placed = np.zeros((3, width // stride, width))  # which input column meets which column of the kernel
    for column, tap in np.ndindex(width // stride, 3):
        if 0 <= (read := column * stride + tap - 1) < width:
            placed[tap, column, read] = 1
    one = jnp.asarray(placed, x.dtype)
    matrix = jnp.einsum("oiyx,xvw->voywi", kernel, one).reshape(-1, 3, width * channels)
    if shortcut is not None:
        more = jnp.einsum("oi,vw->vowi", shortcut, one[1]).reshape(-1, 1, width * channels)
        matrix = jnp.concatenate([matrix, jnp.pad(more, ((0, 0), (1, 1), (0, 0)))])
    rows = x.reshape(height, width * channels, samples)
    made = []
    for at in range(0, height, stride):
        first, last = max(at - 1, 0), min(at + 2, height)
        part = matrix[:, first - at + 1 : last - at + 1].reshape(len(matrix), -1)
        made.append(part @ rows[first:last].reshape(-1, samples))
    both = jnp.stack(made)  # [H', W' C', N], or twice as many rows
    shape = (len(made), width // stride, len(kernel), samples)
    count = shape[1] * shape[2]
    return both[:, :count].reshape(shape), None if shortcut is None else both[:, count:].reshape(shape)


def convolve_slices(x: Array, kernel: Array, shortcut: Array | None, stride: int) -> tuple[Array, Array | None]:
    """The same of ``[C, H, W, N]``."""
    channels, height, width, _ = x.shape
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    taps = [padded[:, y : y + height : stride, z : z + width : stride] for y in range(3) for z in range(3)]
    shape = (len(kernel), *taps[0].shape[1:])
    joined = jnp.concatenate([tap.reshape(channels, -1) for tap in taps])
    y = (kernel.transpose(0, 2, 3, 1).reshape(len(kernel), -1) @ joined).reshape(shape)
    return y, None if shortcut is None else (shortcut @ taps[4].reshape(channels, -1)).reshape(shape)


def _over(x: Array, axis: int) -> Array:
    """Sums of a map over all but its channels: over samples by a product with ones, then over pixels."""
    sums = x @ jnp.ones(x.shape[-1], x.dtype)
    return sums.sum(tuple(other for other in range(sums.ndim) if other != axis))


def _spread(values: Array, x: Array, axis: int) -> Array:
    """One value per channel, shaped so that it multiplies a map."""
    return values.reshape([-1 if other == axis else 1 for other in range(x.ndim)])


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def batch_norm(x: Array, weight: Array, bias: Array, axis: int) -> tuple[Array, Array, Array]:
    """Normalise a map by its own statistics; also returns the mean and the biased variance of every channel."""
    return _batch_norm(x, weight, bias, axis)[0]


def _batch_norm(x: Array, weight: Array, bias: Array, axis: int) -> Any:
    count = x.size // x.shape[axis]
    mean = _over(x, axis) / count
    centred = x - _spread(mean, x, axis)
    var = _over(centred * centred, axis) / count
    rate = 1 / jnp.sqrt(var + EPS)
    y = centred * _spread(rate * weight, x, axis) + _spread(bias, x, axis)
    return (y, mean, var), (centred, rate, weight)


def _batch_norm_backward(axis: int, kept: tuple[Array, Array, Array], given: tuple[Array, Array, Array]) -> Any:
    """Ioffe and Szegedy (2015), section 3; mean and variance are not differentiated."""
    centred, rate, weight = kept
    gradient, count = given[0], centred.size // centred.shape[axis]
    bias, along = _over(gradient, axis), _over(gradient * centred, axis)
    of_x = gradient - _spread(bias / count, centred, axis) - centred * _spread(along * rate**2 / count, centred, axis)
    return of_x * _spread(rate * weight, centred, axis), along * rate, bias


batch_norm.defvjp(_batch_norm, _batch_norm_backward)


def loss_and_buffers(parameters: State, buffers: State, x: Array, labels: Array, form: str) -> tuple[Array, State]:
    """The mean squared hinge loss of ONE network, and its running statistics after the batch.

    Args:
        parameters: By PyTorch's names.
        buffers: By PyTorch's names.
        x: ``[H, W, C, N]`` in form rows, ``[C, H, W, N]`` in form slices.
        labels: -1 and +1, ``[N]``.
        form: ``rows`` or ``slices``.
    """
    convolve: Convolve = convolve_rows if form == "rows" else convolve_slices
    axis = 2 if form == "rows" else 0
    after = {}

    def normalised(name: str, y: Array, axis: int) -> Array:
        y, mean, var = batch_norm(y, parameters[f"{name}.weight"], parameters[f"{name}.bias"], axis)
        count = y.size // y.shape[axis]
        for kind, value in (("running_mean", mean), ("running_var", var * count / (count - 1))):
            old = buffers[f"{name}.{kind}"]
            after[f"{name}.{kind}"] = old + RUNNING * (jax.lax.stop_gradient(value) - old)
        return y

    for block in ("block1", "block2"):
        names = [f"{block}.{layer}" for layer in ("conv1", "conv2", "shortcut")]
        kernels = [parameters[f"{name}.weight"] for name in names]
        biases = [parameters[f"{name}.bias"] for name in names]
        y, short = convolve(x, kernels[0], kernels[2][:, :, 0, 0], 2)
        y = jax.nn.relu(normalised(f"{block}.bn1", y + _spread(biases[0], y, axis), axis))
        y, _ = convolve(y, kernels[1], None, 1)
        y = normalised(f"{block}.bn2", y + _spread(biases[1], y, axis), axis)
        x = jax.nn.relu(y + normalised(f"{block}.shortcut_bn", short + _spread(biases[2], short, axis), axis))
    weight = parameters["hidden.linear.weight"]  # of features in PyTorch's order, channels first
    if form == "rows":
        rows, columns, channels, _ = x.shape
        weight = weight.reshape(-1, channels, rows, columns).transpose(0, 2, 3, 1).reshape(len(weight), -1)
    y = weight @ x.reshape(-1, x.shape[-1]) + parameters["hidden.linear.bias"][:, None]
    y = jax.nn.relu(normalised("hidden.bn", y, 0))
    outputs = parameters["output.weight"] @ y + parameters["output.bias"][:, None]
    return jnp.square(jnp.maximum(1 - labels * outputs[0], 0)).mean(), after


Networks = tuple[State, State, State]  # parameters, buffers and momentum, each ``[K, ...]``


def trainer(form: str, image_shape: tuple[int, int, int]) -> Callable[[Networks, Array, Array, Array], Any]:
    """The training of a pack: from networks, images ``[M, C H W]``, labels ``[M]`` and the samples of every step.

    Args:
        form: ``rows`` or ``slices``.
        image_shape: ``(channels, height, width)``; images are stored in the form's own order, see `arranged`.

    Returns:
        A compiled function; samples are ``[steps, K, B]``. It gives the networks and their losses ``[steps, K]``.
    """
    channels, height, width = image_shape
    shape = (height, width, channels) if form == "rows" else image_shape
    gradient = jax.value_and_grad(functools.partial(loss_and_buffers, form=form), has_aux=True)

    def of_one(networks: Networks, images: Array, labels: Array, samples: Array) -> tuple[Networks, Array]:
        parameters, buffers, momentum = networks
        (loss, buffers), slope = gradient(parameters, buffers, images[samples].T.reshape(*shape, -1), labels[samples])
        momentum = {name: MOMENTUM * momentum[name] + slope[name] for name in slope}
        return ({name: parameters[name] - LR * momentum[name] for name in slope}, buffers, momentum), loss

    step = jax.vmap(of_one, in_axes=(0, None, None, 0))

    def train(networks: Networks, images: Array, labels: Array, samples: Array) -> Any:
        return jax.lax.scan(lambda before, one: step(before, images, labels, one), networks, samples)

    return jax.jit(train, donate_argnums=0)


def arranged(images: NDArray[Any], form: str) -> NDArray[Any]:
    """Images ``[M, C, H, W]`` as `trainer` takes them."""
    ordered = images.transpose(0, 2, 3, 1) if form == "rows" else images
    return np.ascontiguousarray(ordered.reshape(len(images), -1))


def pack_loop(width: int, batch_size: int, n_steps: int, pack: int) -> Callable[[], float]:
    """Train a pack of Song's networks for `n_steps` steps in one call; returns network-samples per second."""
    images, labels = (value.numpy() for value in peers.data(batch_size * n_steps))
    form, generator = form_of(width), np.random.default_rng(0)
    state = {name: value.numpy() for name, value in peers.network(width, "cpu").state_dict().items() if value.dim()}
    stacked = {name: jnp.asarray(np.stack([value] * pack)) for name, value in state.items()}
    buffers = {name: value for name, value in stacked.items() if "running" in name}
    parameters = {name: value for name, value in stacked.items() if name not in buffers}
    networks = parameters, buffers, {name: jnp.zeros_like(value) for name, value in parameters.items()}
    resident = jnp.asarray(arranged(images, form)), jnp.asarray(labels)
    train = trainer(form, (images.shape[1], images.shape[2], images.shape[3]))

    def run() -> float:
        nonlocal networks
        begin = time.perf_counter()
        orders = np.stack([generator.permutation(len(images)) for _ in range(pack)])
        samples = orders.reshape(pack, n_steps, batch_size).transpose(1, 0, 2)
        networks, losses = train(networks, *resident, jnp.asarray(samples, jnp.int32))
        losses.block_until_ready()
        return pack * batch_size * n_steps / (time.perf_counter() - begin)

    return run


def packs_side_by_side(
    width: int, batch_size: int, n_steps: int, pack: int, processes: int
) -> AbstractContextManager[Callable[[], float]]:
    """One pack per core, each in its own process with one thread, as ours are run."""
    cores = multiprocessing.get_context("spawn").Queue()
    for core in sorted(os.sched_getaffinity(0))[:processes]:
        cores.put(core)
    samples = pack * batch_size * n_steps
    given = (cores, width, batch_size, n_steps, pack)
    return side_by_side(_run_prepared, processes=processes, samples=samples, prepare=_prepare, given=given)


_prepared: list[Callable[[], float]] = []


def _prepare(cores: Any, width: int, batch_size: int, n_steps: int, pack: int) -> None:
    os.sched_setaffinity(0, {cores.get()})  # XLA takes a thread per core that it may use
    _prepared.append(pack_loop(width, batch_size, n_steps, pack))
    _prepared[0]()


def _run_prepared() -> float:
    return _prepared[0]()
