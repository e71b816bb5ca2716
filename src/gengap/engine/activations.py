"""The outputs of the layers of a stack, captured as a function of its state.

*Post-activation outputs* are the outputs of every ReLU, in order of execution, and the network's own output (the
logits) at the end. In a residual network the ReLU after the sum counts: the next block reads what it passes on.
A network with linear activations has an `nn.Identity` in the place of each ReLU, with a name that ends on
``identity``.
"""

import functools
from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, nn
from torch.func import functional_call, vmap

from gengap.engine.groups import groups
from gengap.engine.stack import State, concatenate

OUTPUT = "output"


def activation_names(network: nn.Module) -> tuple[str, ...]:
    """Names of the activation modules of a network, in the order in which it declares them.

    These are its `nn.ReLU` modules, and `nn.Identity` modules whose name ends on ``identity``.
    """
    return tuple(
        name
        for name, layer in network.named_modules()
        if isinstance(layer, nn.ReLU) or (isinstance(layer, nn.Identity) and name.endswith("identity"))
    )


def activations(
    network: nn.Module, state: State, images: Tensor, names: Sequence[str] | None = None
) -> dict[str, Tensor]:
    """Outputs of the named modules for all networks of a stack.

    Args:
        network: One of the modules of an `Architecture`; it carries no hook before or after the call.
        state: Stacked state ``[K, ...]``.
        images: ``[N, C, H, W]``, one call.
        names: Modules to capture, any of `network.named_modules()`; by default all activations. The network's
            output is always there, under `OUTPUT`.

    Returns:
        In order of execution, ``[K, N, ...]`` each: ``[K, N, channels, height, width]`` after a convolution,
        ``[K, N, units]`` after a linear layer.

    Raises:
        ValueError: If a name is unknown, or its module does not run exactly once in a forward pass.
    """
    if names is None:
        names = activation_names(network)
    call = vmap(functools.partial(activations_of_one, network, names), in_dims=(0, None))
    parts = [call(part, images) for part in groups(state, images, len(images))]
    return concatenate(parts)


def activations_of_one(
    network: nn.Module, names: Sequence[str], state: Mapping[str, Tensor], images: Tensor
) -> dict[str, Tensor]:
    """The same for ONE network, to be mapped or differentiated by `torch.func`.

    Args:
        network: One of the modules of an `Architecture`.
        names: Modules to capture, beside the network's output.
        state: The state of one network.
        images: ``[N, C, H, W]``.

    Returns:
        In order of execution, ``[N, ...]`` each; the network's output last, under `OUTPUT`.

    Raises:
        ValueError: As in `activations`.
    """
    captured: dict[str, Tensor] = {}
    output = visit(network, names, state, images, captured.__setitem__)
    # The last layer is often called `output` itself; either way it is the network's output that stands last.
    captured.pop(OUTPUT, None)
    captured[OUTPUT] = output
    return captured


def visit(
    network: nn.Module,
    names: Sequence[str],
    state: Mapping[str, Tensor],
    images: Tensor,
    visitor: Callable[[str, Tensor], None],
) -> Tensor:
    """Run ONE network and show its modules' outputs as they come, so that no two need to be in memory at once.

    Args:
        network: One of the modules of an `Architecture`.
        names: Modules whose outputs are shown.
        state: The state of one network.
        images: ``[N, C, H, W]``.
        visitor: Called with a module's name and its output, in order of execution.

    Returns:
        The network's output ``[N, n_outputs]``.

    Raises:
        ValueError: As in `activations`.
    """
    modules = dict(network.named_modules())
    if unknown := [name for name in names if name not in modules]:
        raise ValueError(f"the network has no module '{unknown[0]}'. It has: {', '.join(filter(None, modules))}")
    visited: set[str] = set()

    def show(name: str, _module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if name in visited:
            raise ValueError(
                f"the module '{name}' runs more than once, so it has no single output. Use one module per place"
            )
        visited.add(name)
        visitor(name, output)

    handles = [modules[name].register_forward_hook(functools.partial(show, name)) for name in dict.fromkeys(names)]
    try:
        output: Tensor = functional_call(network, dict(state), (images,))
    finally:
        for handle in handles:
            handle.remove()
    if silent := [name for name in names if name not in visited]:
        raise ValueError(f"the module '{silent[0]}' does not run in a forward pass, so it has no output to capture")
    return output
