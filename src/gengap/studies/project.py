"""All that a project has to build, checked as a whole: `gengap check` and the Snakefile ask here, and say the same."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gengap import layout, quantities
from gengap.errors import UserError
from gengap.files import store_access
from gengap.studies import feasibility, machine, own_parts
from gengap.studies.columns import check_columns
from gengap.studies.config import Config, check_config, data_root
from gengap.studies.consistency import check_study
from gengap.studies.names import REDUCED, study_names
from gengap.studies.paper import Paper, load_papers, reduced
from gengap.studies.published import check_published
from gengap.studies.reading import read_yaml
from gengap.studies.simulation import Simulation, load_simulations
from gengap.studies.study import Study, load_studies
from gengap.studies.validation import reduced_section


@dataclass(frozen=True)
class Project:
    """The studies, simulations and papers of the folder in which we are.

    Attributes:
        names: Of all studies and simulations, full and reduced.
        studies: Those studies that were read, by name.
        simulations: Those simulations that were read, by name.
        papers: Which of them belong together.
        warnings: What is allowed and hardly meant, by study.
        notices: What is wrong with parts that none of them uses.
        config: The workflow's configuration; None without a file of it.
    """

    names: Sequence[str]
    studies: Mapping[str, Study]
    simulations: Mapping[str, Simulation]
    papers: Mapping[str, Paper]
    warnings: Mapping[str, Sequence[str]]
    config: Config | None = None
    notices: Sequence[str] = ()

    @property
    def built(self) -> list[str]:
        """What the workflow builds where nothing is named: what its configuration says, or else everything."""
        if self.config is None:
            return list(self.targets)
        return _built(self.config)

    @property
    def store(self) -> Path:
        """The folder of finished networks."""
        return Path(self.config.store) if self.config else layout.STORE

    @property
    def targets(self) -> dict[str, Study | Simulation]:
        """The studies and simulations that were read, by name."""
        return {**self.studies, **self.simulations}

    def written_out(self, words: Iterable[str]) -> list[str]:
        """These words, each once, with its studies in a paper's place; with ``-reduced``, in their reduced settings."""
        return written_out(words, self.names, self.papers)

    def chosen(self, names: Iterable[str]) -> dict[str, Study]:
        """The studies of these names; a paper stands for its own, with ``-reduced`` for the reduced ones."""
        return {name: self.studies[name] for name in self.written_out(names) if name in self.studies}

    def check_machine(self, names: Iterable[str], *, here: bool = True) -> list[str]:
        """Refuse studies for which this machine has too little memory or disk, or lacks a file.

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
        names = self.written_out(names)
        studies = self.chosen(names)
        if here:
            simulations = [self.simulations[name] for name in names if name in self.simulations]
            machine.check_simulations(simulations)
            machine.check_raw_files(simulations, data_root())
            store_access.check(self.store, self.config.store_group if self.config else "")
        machine.check(studies, self.store, memory=here)
        return [*self.notices, *(warning for name in studies for warning in self.warnings[name])]


def load_project(
    config: Mapping[str, Any] | None = None, *, ask: bool = True, asked: Iterable[str] | None = None
) -> Project:
    """Read and check what is asked for, or every file.

    To read all networks of all studies takes long, and who runs one study need not wait for the others.

    Args:
        config: The workflow's configuration as Snakemake has it; None: that of the file, if there is one.
        ask: Whether PyTorch may be asked about networks that nobody asked about before, which takes seconds.
        asked: Names of studies, simulations and papers; ``all``: what the configuration names. With None, and where
            one is unknown, everything is read.

    Raises:
        UserError: If anything is wrong that can be known before data are prepared; the message names file, key and
            value.
    """
    written = read_yaml(layout.CONFIG) if layout.CONFIG.exists() else None
    of_studies = study_names(layout.STUDIES)
    every_simulation = load_simulations(layout.SIMULATIONS, of_studies)
    names = [*of_studies, *every_simulation]
    papers = load_papers(layout.PAPERS, names)
    checked = None
    if (content := written if config is None else config) is not None:
        checked = check_config(content, of_studies, every_simulation, layout.CONFIG)
    only = None if asked is None else _only(asked, names, papers, checked)
    studies = load_studies(layout.STUDIES, only)
    simulations = {name: one for name, one in every_simulation.items() if only is None or name in only}
    quantities.check_all()
    check_columns()
    of_published = check_published({**studies, **simulations}, layout.PUBLISHED)
    for name, study in studies.items():
        with reduced_section(path := feasibility.file_of(name), applied=study.reduced):
            check_study(study, path)
    files: dict[str, Study | Simulation]
    files = {str(layout.simulation_file(name.removesuffix(REDUCED))): one for name, one in simulations.items()}
    files |= {str(feasibility.file_of(name)): study for name, study in studies.items()}
    notices = own_parts.check(files, ask=ask)
    feasibility.check_draws(simulations, ask=ask)
    warnings = feasibility.check(studies, ask=ask)
    of_parts = {name: own_parts.lacking(study, str(feasibility.file_of(name))) for name, study in studies.items()}
    warnings = {name: [*found, *of_published.get(name, ()), *of_parts[name]] for name, found in warnings.items()}
    return Project(names, studies, simulations, papers, warnings, checked, notices)


def _built(config: Config) -> list[str]:
    return [*config.studies, *(name + REDUCED for name in config.reduced), *config.simulations]


def _something(built: list[str], names: Sequence[str]) -> list[str]:
    """What is built, if anything is."""
    if not built:
        full = ", ".join(name for name in names if not name.endswith(REDUCED))
        raise UserError(f"{layout.CONFIG}: studies: names nothing to build. Choose from: {full}.")
    return built


def _only(
    asked: Iterable[str], names: Sequence[str], papers: Mapping[str, Paper], config: Config | None
) -> set[str] | None:
    """The names to be read; None where a word is unknown or stands for everything."""
    only: set[str] = set()
    for word in asked:
        if word == "all" and config is not None:
            only.update(_something(_built(config), names))
        elif word in names or word.removesuffix(REDUCED) in papers:
            only.update(written_out([word], names, papers))
        else:
            return None
    return only


def written_out(words: Iterable[str], names: Collection[str], papers: Mapping[str, Paper]) -> list[str]:
    """These words, each once, with its studies in a paper's place; with ``-reduced``, in their reduced settings."""
    found: list[str] = []
    for word in words:
        paper = papers.get(word.removesuffix(REDUCED))
        if paper is None or word in names:
            found.append(word)
        else:
            found += reduced(paper, names) if word.endswith(REDUCED) else paper.studies
    return list(dict.fromkeys(found))
