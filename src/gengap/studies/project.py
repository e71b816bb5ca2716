"""All that a project has to build, checked as a whole: `gengap check` and the Snakefile ask here, and say the same."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gengap import layout, quantities
from gengap.studies.paper import Paper, load_papers
from gengap.studies.reading import read_yaml
from gengap.studies.simulation import Simulation, load_simulations
from gengap.studies.study import Study, check_config, check_published, load_studies


@dataclass(frozen=True)
class Project:
    """The studies, simulations and papers of the folder in which we are.

    Attributes:
        studies: Studies by name, full and reduced.
        simulations: Simulations by name, full and reduced.
        papers: Which of them belong together.
    """

    studies: Mapping[str, Study]
    simulations: Mapping[str, Simulation]
    papers: Mapping[str, Paper]

    @property
    def targets(self) -> dict[str, Study | Simulation]:
        """Studies and simulations by name."""
        return {**self.studies, **self.simulations}


def load_project(config: Mapping[str, Any] | None = None) -> Project:
    """Read and check every file of ``config``.

    Args:
        config: The workflow's configuration as Snakemake has it; None: that of the file, if there is one.

    Raises:
        UserError: If anything is wrong that can be known before data are prepared; the message names file, key and
            value.
    """
    written = read_yaml(layout.CONFIG) if layout.CONFIG.exists() else None
    studies = load_studies(layout.STUDIES)
    simulations = load_simulations(layout.SIMULATIONS, studies)
    targets = {**studies, **simulations}
    papers = load_papers(layout.PAPERS, targets)
    if (content := written if config is None else config) is not None:
        check_config(content, studies, simulations, layout.CONFIG)
    check_published(targets, layout.PUBLISHED)
    quantities.check_all()
    return Project(studies, simulations, papers)
