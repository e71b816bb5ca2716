"""What the tables say of a registered name."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One registered name.

    Attributes:
        module: The module that implements it; imported only when it is used.
        summary: One sentence for the reference page.
        options: The settings beside ``name`` that it reads; setting any other is an error.
        batchnorm: Of a probe, the BatchNorm modes in which it means something.
        teacher: Of a label rule, whether a network labels; of a loss or a probe, whether it needs one that did.
        images: Of a dataset, train and test images, channels, height and width, classes; empty: its settings say.
        simulation: Of a figure, the simulation that it shows; empty: it shows networks.
        references: Of a table, whether it compares with published numbers.
        mem_mb: Of a simulation, the memory that one job asks for.
    """

    module: str
    summary: str
    options: tuple[str, ...] = ()
    batchnorm: tuple[str, ...] = ("running", "batch", "exact")
    teacher: bool = False
    images: tuple[int, ...] = ()
    simulation: str = ""
    mem_mb: int = 2000
    references: bool = False
