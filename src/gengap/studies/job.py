"""One job of a study or a simulation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Job:
    """One job.

    Attributes:
        rule: The rule of Snakemake.
        inputs: Files that it reads, by the name that its script has for them: a path or a list of paths.
        outputs: Files that it writes, by name.
        params: What else its outputs depend on: settings, and versions of the numbers.
    """

    rule: str
    inputs: Mapping[str, Any]
    outputs: Mapping[str, str]
    params: Mapping[str, Any]

    def files(self) -> list[str]:
        """All files that it reads."""
        lists = ([one] if isinstance(one, str) else one for one in self.inputs.values())
        return [path for paths in lists for path in paths]
