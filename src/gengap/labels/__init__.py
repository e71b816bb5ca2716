"""Label rules: each module has `select(settings, pool) -> Selection`; `label` stores it and `read` gives it back."""

from gengap.labels.labelling import label
from gengap.labels.pool import Teacher
from gengap.labels.reading import Digests, LabelledData, digest, read, read_digests

__all__ = ["Digests", "LabelledData", "Teacher", "digest", "label", "read", "read_digests"]
