"""What the parts of a user's own lack on this machine, of which a study is made."""

from collections.abc import Iterator

from gengap import registry
from gengap.registry import plugins
from gengap.studies.schema import Component
from gengap.studies.study import Study


def lacking(study: Study, where: str) -> list[str]:
    """Warnings of packages that parts of the study import and that are not here; another machine may have them.

    Args:
        study: The study.
        where: Its file.
    """
    return list(dict.fromkeys(_lacking(study, where)))


def _lacking(study: Study, where: str) -> Iterator[str]:
    for kind, name in dict.fromkeys((part.kind, part.name) for part in _parts(study)):
        entry = registry.check(kind, name)
        for line, package in plugins.missing_packages(entry.path) if entry.external else ():
            yield (
                f"{where}: the {kind} '{name}' imports '{package}' ({entry.path}, line {line}), which is not on this "
                "machine. Install it before a run."
            )


def _parts(study: Study) -> Iterator[Component]:
    yield from (*study.probes, *study.figures, *study.tables)
    sections = {id(section): section for cell in study.cells.values() for _, section in cell}
    yield from (section for section in sections.values() if isinstance(section, Component))
