"""The tiny study before and after each of its stages, made once."""

import shutil
from collections.abc import Iterator

import fault_injection
import pytest
from study import Stages, Tiny


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tiny]:
    """The study before and after each stage."""
    if shutil.which("gcc") is None:
        pytest.skip("no C compiler")
    stages = Stages(fault_injection.build(tmp_path_factory.mktemp("library")))
    yield Tiny(tmp_path_factory.mktemp("tiny"), stages)
    stages.close()
