"""One seed, spawned into independent streams, so that no source of randomness disturbs another."""

import numpy as np

INIT, ORDER, NOISE, PROBE, AUGMENTATION, DROPOUT, CURVATURE, SIMULATION, STREAM, LABELS, SUBSPACE = range(11)


def stream(seed: int, purpose: int, *path: int) -> np.random.Generator:
    """A generator that depends only on the seed, the purpose and the path.

    Args:
        seed: A cell's seed, or a dataset's.
        purpose: One of `INIT`, `ORDER`, `NOISE`, `PROBE`, `AUGMENTATION`, `DROPOUT`, `SIMULATION`, `STREAM`,
            `LABELS`, `SUBSPACE`.
        path: Further coordinates, e.g. the epoch: the order of epoch e needs no earlier epoch.
    """
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(purpose, *path))))


def torch_seed(seed: int, purpose: int, *path: int) -> int:
    """A seed for `torch.Generator.manual_seed`, from the same streams."""
    return int(stream(seed, purpose, *path).integers(2**63))
