"""He's rule, then layers of equal gradient: Song (2019), figure 4.1 and appendix B.

With BatchNorm after a layer, c W_l in place of W_l leaves the network the same function (up to BatchNorm's eps),
divides the gradient norm g_l of that layer by c and leaves every other layer's as it is. So ``W_l <- W_l g_l / t``
gives every such layer the gradient norm t at once; what changes is the effective step, about lr / ||W_l||^2. The thesis
names neither t nor the data; the rules are the choices of t, from the hidden layers' own norms or the output layer's:

* ``geo``, ``max``, ``min``: their geometric mean, their largest, their smallest;
* ``out``: the norm of the output layer, which has no BatchNorm after it and stays as it is;
* ``geo+gamma``: as ``geo``, and the BatchNorm scales that the output layer reads are changed until its norm is t too.
  This does change the function.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gengap.errors import UserError
from gengap.inits import Drawn, State, he
from gengap.logs import log
from gengap.studies.settings import Init

PARTS = {
    "balanced:geo": {
        "summary": (
            "As `he`, then hidden layers rescaled to equal gradients, their geometric mean: with "
            "BatchNorm after each, the same function (Song 2019)."
        ),
    },
    "balanced:out": {
        "summary": "As `balanced:geo`, to the gradient of the output layer.",
    },
    "balanced:max": {
        "summary": "As `balanced:geo`, to their largest gradient.",
    },
    "balanced:min": {
        "summary": "As `balanced:geo`, to their smallest gradient.",
    },
    "balanced:geo+gamma": {
        "summary": (
            "As `balanced:geo`, and the output layer's gradient too, through the scales of the BatchNorm before it."
        ),
    },
}

REPEATS = 3  # one would do, were it not for BatchNorm's eps: it left ratios of up to 1.12 at width 4
ITERATIONS = 20  # of `geo+gamma`
_WORST = 1.05  # ratio of gradient norms beyond which it warns
_TARGETS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "geo": lambda hidden, _: hidden.log().mean().exp(),
    "out": lambda _, output: output,
    "max": lambda hidden, _: hidden.max(),
    "min": lambda hidden, _: hidden.min(),
}


def initialise(network: nn.Module, settings: Init, generator: torch.Generator) -> None:
    """The draws of `he`, number by number: cells of one seed are pairs."""
    he.initialise(network, Init(name="he"), generator)


def adjust(drawn: Drawn) -> State:
    """Rescale the weights of one drawn network.

    A layer without a gradient, which nothing can balance, stays as it was drawn, enters no target, and is warned of;
    so is a network whose layers' norms still differ by more than 5 % in the end.

    Args:
        drawn: The network, and the gradient of its training loss.

    Returns:
        Its new state.

    Raises:
        UserError: If a hidden layer has no BatchNorm after it, whose rescaling would change the function.
    """
    name = drawn.init.name
    rule, _, with_gamma = name.partition(":")[2].partition("+")
    output = drawn.layers[-1]
    for layer in drawn.layers[:-1]:
        if layer not in drawn.scale_free:
            raise _impossible(drawn, f"of its layer '{layer}' depends on the scale of its weights")
    if with_gamma and not drawn.output_norms:
        raise _impossible(drawn, "layer's input does not come from BatchNorm layers only")

    norms = _norms(drawn, drawn.state)
    alive = [layer for layer in drawn.layers if torch.isfinite(norms[layer]) and norms[layer] > 0]
    hidden = [layer for layer in alive if layer != output]
    if lost := [layer for layer in drawn.layers if layer not in alive]:
        log.warning("init '%s', seed %d: no gradient in %s, left as drawn", name, drawn.seed, ", ".join(lost))
    if not hidden or output not in alive:
        return drawn.state
    target = _TARGETS[rule](torch.stack([norms[layer] for layer in hidden]), norms[output])
    balanced, state = alive if with_gamma or rule == "out" else hidden, drawn.state
    for _ in range(ITERATIONS if with_gamma else REPEATS):
        for layer in hidden:
            state = _rescaled(state, layer, norms[layer] / target, drawn.scale_free[layer])
        if with_gamma:
            # The output's norm goes with gamma^k, k from 1 (small outputs) to 2 (large): the root converges for both.
            for norm in drawn.output_norms:
                state = _rescaled(state, norm, (target / norms[output]).sqrt())
        norms = _norms(drawn, state)
    after = torch.stack([norms[layer] for layer in balanced])
    if not after.max() / after.min() < _WORST:
        worst = (after.max() / after.min()).item()
        log.warning("init '%s', seed %d: the gradients' ratio is still %.3g", name, drawn.seed, worst)
    return state


def _norms(drawn: Drawn, state: State) -> dict[str, Tensor]:
    """Gradient norm of each layer's weights; biases and BatchNorm's parameters are left out."""
    gradient = drawn.gradient(state)
    return {layer: gradient[f"{layer}.weight"].norm() for layer in drawn.layers}


def _rescaled(state: State, name: str, factor: Tensor, norms: tuple[str, ...] = ()) -> State:
    """The state with a layer's weight (of a BatchNorm: its scale) times a factor.

    The running variances of the BatchNorms that normalise the layer follow, so that the network is the same function
    in evaluation mode too.
    """
    changed = {f"{name}.weight": state[f"{name}.weight"] * factor}
    changed |= {f"{norm}.running_var": state[f"{norm}.running_var"] * factor.square() for norm in norms}
    return {**state, **changed}


def _impossible(drawn: Drawn, why: str) -> UserError:
    return UserError(
        f"init.name: '{drawn.init.name}' needs BatchNorm after every hidden layer of model '{drawn.model}', but the "
        f"output {why}. Set model.batchnorm to before or after where the model has it, or choose another init or model."
    )
