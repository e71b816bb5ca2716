"""Images: one module per dataset, each with `read(settings, root) -> Raw`; `prepare` makes the stored file of any."""

from gengap.datasets.preparing import prepare
from gengap.datasets.raw import Raw

__all__ = ["Raw", "prepare"]
