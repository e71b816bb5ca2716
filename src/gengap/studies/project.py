"""All that a project has to build, checked as a whole: `gengap check` and the Snakefile ask here, and say the same."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gengap import layout, quantities
from gengap.errors import UserError
from gengap.studies import feasibility, machine
from gengap.studies.columns import check_columns
from gengap.studies.config import Config, check_config
from gengap.studies.consistency import check_study
from gengap.studies.names import REDUCED
from gengap.studies.paper import Paper, load_papers, reduced
from gengap.studies.published import check_published
from gengap.studies.reading import read_yaml
from gengap.studies.simulation import Simulation, load_simulations
from gengap.studies.study import Study, load_studies


@dataclass(frozen=True)
class Project:
    """The studies, simulations and papers of the folder in which we are.

    Attributes:
        studies: Studies by name, full and reduced.
        simulations: Simulations by name, full and reduced.
        papers: Which of them belong together.
        warnings: What is allowed and hardly meant, by study.
        config: The workflow's configuration; None without a file of it.
    """

    studies: Mapping[str, Study]
    simulations: Mapping[str, Simulation]
    papers: Mapping[str, Paper]
    warnings: Mapping[str, Sequence[str]]
    config: Config | None = None

    @property
    def built(self) -> list[str]:
        """What the workflow builds where nothing is named: what its configuration says, or else everything."""
        if self.config is None:
            return list(self.targets)
        return [*self.config.studies, *(name + REDUCED for name in self.config.reduced), *self.config.simulations]

    @property
    def store(self) -> Path:
        """The folder of finished networks."""
        return Path(self.config.store) if self.config else layout.STORE

    @property
    def targets(self) -> dict[str, Study | Simulation]:
        """Studies and simulations by name."""
        return {**self.studies, **self.simulations}

    def chosen(self, names: Iterable[str]) -> dict[str, Study]:
        """The studies of these names; a paper stands for its own, with ``-reduced`` for the reduced ones."""
        found: list[str] = []
        for name in names:
            paper = self.papers.get(name.removesuffix(REDUCED))
            if paper is None or name in self.targets:
                found.append(name)
            else:
                found += reduced(paper, self.targets) if name.endswith(REDUCED) else paper.studies
        return {name: self.studies[name] for name in dict.fromkeys(found) if name in self.studies}

    def check_machine(self, names: Iterable[str], *, here: bool = True) -> list[str]:
        """Refuse studies for which this machine has too little memory or disk.

        Args:
            names: Of the studies and papers to be built.
            here: Whether their jobs run on this machine.

        Returns:
            The warnings of these studies.

        Raises:
            UserError: It names what is needed at least and what there is.
        """
        if here and self.config and self.config.device == "cuda" and not machine.has_nvidia_gpu():
            raise UserError(
                f"{layout.CONFIG}: device: cuda is asked for, and this machine has no NVIDIA GPU. Write auto or cpu."
            )
        names = list(names)
        studies = self.chosen(names)
        if here:
            machine.check_simulations(self.simulations[name] for name in names if name in self.simulations)
        machine.check(studies, self.store, memory=here)
        return [warning for name in studies for warning in self.warnings[name]]


def load_project(config: Mapping[str, Any] | None = None, *, ask: bool = True) -> Project:
    """Read and check every file of ``config``.

    Args:
        config: The workflow's configuration as Snakemake has it; None: that of the file, if there is one.
        ask: Whether PyTorch may be asked about networks that nobody asked about before, which takes seconds.

    Raises:
        UserError: If anything is wrong that can be known before data are prepared; the message names file, key and
            value.
    """
    written = read_yaml(layout.CONFIG) if layout.CONFIG.exists() else None
    studies = load_studies(layout.STUDIES)
    simulations = load_simulations(layout.SIMULATIONS, studies)
    targets = {**studies, **simulations}
    papers = load_papers(layout.PAPERS, targets)
    checked = None
    if (content := written if config is None else config) is not None:
        checked = check_config(content, studies, simulations, layout.CONFIG)
    quantities.check_all()
    check_columns()
    of_published = check_published(targets, layout.PUBLISHED)
    for name, study in studies.items():
        check_study(study, feasibility.file_of(name))
    feasibility.check_draws(simulations, ask=ask)
    warnings = feasibility.check(studies, ask=ask)
    warnings = {name: [*found, *of_published.get(name, ())] for name, found in warnings.items()}
    return Project(studies, simulations, papers, warnings, checked)
