"""Facts of networks and simulations, found without running them: whether they can be built, and how large they are.

PyTorch knows, and takes seconds to import, while the Snakefile is read for every job. So a process of its own is asked,
once for each kind of network, and what it says is kept.
"""

import hashlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from gengap import registry
from gengap.errors import UserError
from gengap.files import user_cache
from gengap.studies.settings import Labels, Loss, Model
from gengap.studies.simulation import Point
from gengap.studies.sizes import Sizes

MOST_KEPT = 10_000  # in the cache
MOST_ASKED = 200  # of more networks, the first and the last of every 200 are asked about


@dataclass(frozen=True)
class Facts:
    """What is known of a network; 0 where nothing is.

    Attributes:
        parameters: Weights and biases.
        outputs: Numbers that its layers put out for one image.
        batchnorm: The fewest numbers of one image over which a BatchNorm layer averages; 0 without BatchNorm.
        layers: Weights of each convolution and linear layer, without biases.
        relus: ReLUs that are modules of their own, before which noise can enter.
        error: Why it cannot be built; empty if it can.
        raw_files: Files that a draw reads and nobody downloads: path in the data root, and address.
    """

    parameters: int = 0
    outputs: int = 0
    batchnorm: int = 0
    layers: Sequence[int] = ()
    relus: int = 0
    error: str = ""
    raw_files: Sequence[Sequence[str]] = field(default_factory=list)  # as JSON reads it


@dataclass(frozen=True)
class Network:
    """What a network is built from."""

    model: Model
    loss: Loss
    image_shape: tuple[int, int, int]
    n_classes: int

    def asked(self) -> dict[str, Any]:
        """What the process with PyTorch is told, as plain data."""
        sections = {"model": self.model.model_dump(mode="json"), "loss": self.loss.model_dump(mode="json")}
        return {**sections, "image_shape": self.image_shape, "n_classes": self.n_classes}

    def parts(self) -> tuple[tuple[str, str], ...]:
        """Kinds and names of the parts that decide how it is built."""
        return ("model", self.model.name), ("loss", self.loss.name)


@dataclass(frozen=True)
class TeacherNetwork:
    """What the network of a label rule is built from."""

    labels: Labels
    image_shape: tuple[int, int, int]

    def asked(self) -> dict[str, Any]:
        """As of a `Network`."""
        return {"labels": self.labels.model_dump(mode="json"), "image_shape": self.image_shape}

    def parts(self) -> tuple[tuple[str, str], ...]:
        """As of a `Network`."""
        return (("labels", self.labels.name),)


@dataclass(frozen=True)
class Draw:
    """What a simulation draws at a point of its grid: its `parameters` are the numbers that one draw holds.

    Attributes:
        point: The settings.
        data: Of the dataset that its images are from; None without one.
    """

    point: Point
    data: Sizes | None

    def asked(self) -> dict[str, Any]:
        """As of a `Network`."""
        point = self.point.model_dump(mode="json", exclude={"seeds"})
        return {"point": point, "data": asdict(self.data) if self.data else None}

    def parts(self) -> tuple[tuple[str, str], ...]:
        """As of a `Network`."""
        return (("simulation", self.point.simulation),)


Built = Network | TeacherNetwork | Draw
N = TypeVar("N", bound=Built)
_ASKED = tuple(one.name for one in fields(Facts))
_CACHE = "networks.json"
_FORM = 2  # of the answers; another number after one of them changed its meaning


def facts(networks: Iterable[N], cache: Path | None = None, *, ask: bool = True) -> dict[N, Facts]:
    """What is known of networks.

    Args:
        networks: The networks.
        cache: The folder where what was found is kept, for other processes and projects; None: the user's cache folder.
        ask: Whether to find out what is not known yet, which takes seconds.

    Returns:
        Facts by network; without those that nobody asked about.

    Raises:
        UserError: If PyTorch cannot be asked.
    """
    keys = {network: _key(network) for network in dict.fromkeys(networks)}
    known = user_cache.read(_CACHE, cache)
    missing = [network for network, key in keys.items() if key not in known]
    if ask and missing:
        step = -(-len(missing) // MOST_ASKED)
        chosen = missing if step == 1 else [*missing[::step], missing[-1]]
        said = dict(zip(chosen, _ask(chosen), strict=True))
        # A user's own part may fail for what its code does not show, such as a package that is installed later.
        lasting = {keys[one]: facts for one, facts in said.items() if not (facts["error"] and _is_own(one))}
        user_cache.write(_CACHE, dict([*known.items(), *lasting.items()][-MOST_KEPT:]), cache)
        known |= {keys[network]: facts for network, facts in said.items()}
    return {network: Facts(**known[key]) for network, key in keys.items() if key in known}


def _key(network: Built) -> str:
    """A digest of the settings, of the code that builds the network, and of what is asked about it."""
    code = [registry.code(kind, name) or _code(registry.check(kind, name).path) for kind, name in network.parts()]
    text = json.dumps([network.asked(), *code, *_ASKED, _FORM], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _is_own(network: Built) -> bool:
    """Whether a part of it is a user's own."""
    return any(registry.check(kind, name).external for kind, name in network.parts())


_digests: dict[Path, str] = {}


def _code(path: Path) -> str:
    """Digest of the modules beside a part: it may import any of them."""
    if path.parent not in _digests:
        content = hashlib.sha256()
        for module in sorted(path.parent.glob("*.py")):
            content.update(module.read_bytes())
        _digests[path.parent] = content.hexdigest()
    return _digests[path.parent]


def _ask(networks: Sequence[Built]) -> list[dict[str, Any]]:
    """Facts of networks, as plain data."""
    asked = [network.asked() for network in networks]
    return [asdict(Facts(**one)) for one in json.loads(answer(json.dumps(asked)))]


def answer(asked: str) -> str:
    """Ask a process with PyTorch, which ends at once, and its memory with it.

    Raises:
        UserError: If it fails.
    """
    done = ask_process("gengap.models", asked)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise UserError(f"the networks of the studies cannot be checked: {said}. Run `make env` to renew PyTorch.")
    return done.stdout


def ask_process(module: str, asked: str) -> subprocess.CompletedProcess[str]:
    """Run a module of the package in a process of its own, with this on its standard input."""
    (python,) = shlex.split(sys.executable) if sys.executable.startswith("'") else (sys.executable,)
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return subprocess.run(
        [python, "-m", module],
        input=asked,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": ""},
    )
