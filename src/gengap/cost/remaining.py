"""What a pack's jobs still have to do: which networks are to be trained, which checkpoints to be measured.

Snakemake decides which jobs run. Of their work, what the pack's files and the store hold is kept: the jobs themselves
ask the same functions.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from gengap import labels, probes, training
from gengap.engine import weights
from gengap.labels import Digests
from gengap.probes.checkpoints import Checkpoints, planned_epochs
from gengap.probes.identity import identities
from gengap.probes.results import Checkpoint
from gengap.studies.identity import measured_epochs
from gengap.studies.jobs import Plan
from gengap.studies.settings import Cell
from gengap.studies.study import Probe
from gengap.training import cell_store


@dataclass(frozen=True)
class Pack:
    """A pack, and what is there of it.

    Attributes:
        plan: The plan of jobs.
        study: Its study.
        name: Its name.
        store: Finished cells and measurements of all studies.
        data: Digests of its labelled data; None if they are made first, so that all of it counts as remaining.
    """

    plan: Plan
    study: str
    name: str
    store: Path
    data: Digests | None

    @functools.cached_property
    def cells(self) -> Mapping[str, Cell]:
        """Settings by name."""
        return {name: self.plan.studies[self.study].cells[name] for name in self.plan.packs[self.study][self.name]}

    @functools.cached_property
    def to_train(self) -> list[str]:
        """The cells that are to be trained; at most, if the data are not there yet."""
        if self.data is None:
            return list(self.cells)
        return training.outstanding(self.cells, self.data, self._weights, self._history, self.store)

    def to_measure(self, key: str) -> list[Checkpoint]:
        """The checkpoints that a probe is to measure; at most, if the data are not there yet or cells stop early.

        Args:
            key: Of the probe; see `gengap.studies.packing.probe_keys`.
        """
        job, probe = self.plan.probe(self.study, self.name, key), self.plan.probes(self.study)[key]
        wanted = [
            (name, epoch) for name, saved in self._saved.items() for epoch in measured_epochs(probe, sorted(saved))
        ]
        if self.data is None:
            return wanted
        known = identities(probe, self.cells, self.data, self._digests)
        return probes.outstanding(wanted, known, Path(job.outputs["measured"]), self.store)

    def checkpoints(self, probe: Probe) -> int:
        """How many checkpoints a probe's file holds in the end."""
        return sum(len(measured_epochs(probe, sorted(saved))) for saved in self._saved.values())

    @property
    def _weights(self) -> Path:
        return Path(self.plan.train(self.study, self.name).outputs["weights"])

    @property
    def _history(self) -> Path:
        return Path(self.plan.train(self.study, self.name).outputs["history"])

    @functools.cached_property
    def _trained(self) -> tuple[dict[str, list[float]], dict[str, str]]:
        """Of the cells that are trained: the saved epochs, and the digest of the weights."""
        if self.data is None:
            return {}, {}
        known = training.identities_of(self.cells, self.data)
        here = training.in_own_files(known, self._weights, self._history)  # by the names that they have there
        saved: dict[str, list[float]] = {}
        digests: dict[str, str] = {}
        if here:
            own = {there: self.cells[name] for name, there in here.items()}
            checkpoints = Checkpoints(self._weights, own, torch.device("cpu"))
            found = checkpoints.digests()
            saved = {name: list(checkpoints.saved_epochs(there)) for name, there in here.items()}
            digests = {name: found[there] for name, there in here.items()}
        for name in self.cells:
            if name not in here and name not in self.to_train:
                stored = cell_store.get(self.store, known[name], name, self.cells[name])
                if stored is not None:
                    saved[name], digests[name] = list(stored.checkpoints), weights.digest(stored.checkpoints)
        return saved, digests

    @property
    def _digests(self) -> dict[str, str]:
        return self._trained[1]

    @functools.cached_property
    def _saved(self) -> dict[str, list[float]]:
        trained = self._trained[0]
        return {name: trained.get(name) or planned_epochs(cell) for name, cell in self.cells.items()}


def pack(plan: Plan, study: str, name: str, store: Path, *, data_are_made: bool) -> Pack:
    """A pack, and what is there of it.

    Args:
        plan: The plan of jobs.
        study: Its study.
        name: Its name.
        store: Finished cells and measurements of all studies.
        data_are_made: Whether its labelled data are made before it is trained.
    """
    labelled = Path(plan.train(study, name).inputs["labelled"])
    known = None if data_are_made or not labelled.exists() else labels.read_digests(labelled)
    return Pack(plan, study, name, store, known)
