"""Networks that the probes' benchmarks measure, and how their times are taken."""

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from gengap import losses, models
from gengap.engine import stack
from gengap.engine.objective import Objective
from gengap.studies.settings import Loss, Model

LOGISTIC = Loss(name="cross_entropy")  # No sample lies beyond a margin, so none can be left out.


class Case:
    """A network that has learned for a moment, in evaluation mode, and its data: noise that a linear teacher labels.

    Attributes:
        network: As PyTorch has it.
        objective: What our functions take.
        images: ``[N, 3, 8, 8]``.
        targets: ``[N]``.
        name: Its sizes, for the row.
    """

    def __init__(
        self,
        model: Model,
        samples: int,
        *,
        outputs: int = 1,
        loss: Loss = LOGISTIC,
        seed: int = 0,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        self.sample_losses = losses.sample_losses(loss)
        generator = torch.Generator().manual_seed(seed)
        images = torch.randn(samples, 3, 8, 8, generator=generator, dtype=torch.float64)
        scores = images.flatten(1) @ torch.randn(192, outputs, generator=generator, dtype=torch.float64)
        targets = scores.argmax(dim=1) if outputs > 1 else scores[:, 0].sign().long()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = models.build(model, (3, 8, 8), outputs).double()
        optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
        for at in range(300):
            batch = slice(at * 100 % samples, at * 100 % samples + 100)
            optimizer.zero_grad()
            self.mean_loss(network(images[batch]), targets[batch]).backward()
            optimizer.step()
        self.network: nn.Module = network.eval().to(dtype)
        self.images, self.targets = images.to(dtype), targets
        self.arch = stack.architecture(network)
        state = {name: value[None].clone() for name, value in network.state_dict().items() if value.is_floating_point()}
        self.objective = Objective(self.arch, state, self.images, self.targets, loss, through_batch=False)
        self.name = f"model={model.name},parameters={self.arch.n_parameters},outputs={outputs},samples={samples}"

    def mean_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """What both sides differentiate."""
        return self.sample_losses(outputs, targets).mean()


def per_minute(run: Callable[[], object]) -> Callable[[], float]:
    """How often a function would run in a minute of the processor's time."""

    def rate() -> float:
        started = time.process_time()
        run()
        return 60 / (time.process_time() - started)

    return rate
