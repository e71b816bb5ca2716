"""What pyproject.toml cannot say: the workflow lies at the top of the repository, and goes into the package."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

WORKFLOW = ("Snakefile", "rules", "workflow", "profiles", "config", "plugins", "dvc.yaml", ".dvc/plots")


class BuildPackage(build_py):
    """Copies the workflow to ``gengap/project``, where `gengap.installation` looks for it."""

    def run(self) -> None:
        """Build the package; an editable one reads the workflow where it lies."""
        super().run()
        if self.editable_mode:
            return
        project = Path(self.build_lib, "gengap", "project")
        shutil.rmtree(project, ignore_errors=True)
        for name in WORKFLOW:
            target = project / name
            target.parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if Path(name).is_dir() else shutil.copy2
            copy(name, target)


setup(cmdclass={"build_py": BuildPackage})
