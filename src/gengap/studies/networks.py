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
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
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
    raw_files: Sequence[Sequence[str]] = ()


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
_FORM = 2  # of the answers; another number after one of them changed its meaning


def facts(networks: Iterable[N], cache: Path | None = None, *, ask: bool = True) -> dict[N, Facts]:
    """What is known of networks.

    Args:
        networks: The networks.
        cache: Where what was found is kept, for other processes and projects; None: in the user's cache folder.
        ask: Whether to find out what is not known yet, which takes seconds.

    Returns:
        Facts by network; without those that nobody asked about.

    Raises:
        UserError: If PyTorch cannot be asked.
    """
    keys = {network: _key(network) for network in dict.fromkeys(networks)}
    cache = cache or _usual_cache()
    known = _read(cache) if cache else {}
    missing = [network for network, key in keys.items() if key not in known]
    if ask and missing:
        step = -(-len(missing) // MOST_ASKED)
        chosen = missing if step == 1 else [*missing[::step], missing[-1]]
        known |= dict(zip((keys[network] for network in chosen), _ask(chosen), strict=True))
        if cache:
            _write(cache, known)
    return {network: Facts(**known[key]) for network, key in keys.items() if key in known}


def _key(network: Built) -> str:
    """A digest of the settings, of the code that builds the network, and of what is asked about it."""
    code = [_code(registry.check(kind, name).path) for kind, name in network.parts()]
    text = json.dumps([network.asked(), *code, *_ASKED, _FORM], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


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
    (python,) = shlex.split(sys.executable) if sys.executable.startswith("'") else (sys.executable,)
    path = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run(
        [python, "-m", "gengap.models"],
        input=asked,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": ""},
    )
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise UserError(f"the networks of the studies cannot be checked: {said}. Run `make env` to renew PyTorch.")
    return done.stdout


def _usual_cache() -> Path | None:
    try:
        return user_cache.folder() / "networks.json"
    except UserError:
        return None  # of a user without a home


def _read(cache: Path) -> dict[str, Mapping[str, Any]]:
    try:
        known: dict[str, Mapping[str, Any]] = json.loads(cache.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _write(cache: Path, known: Mapping[str, Mapping[str, Any]]) -> None:
    """Keep what was found; where it cannot be written, it is asked for again."""
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=cache.parent, prefix=f".{cache.name}.", suffix=".part")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(dict(list(known.items())[-MOST_KEPT:]), file)
        Path(temporary).replace(cache)
    except OSError:
        return
