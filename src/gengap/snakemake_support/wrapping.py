"""Putting our own behaviour around a method of Snakemake's, once per process."""

import functools
from collections.abc import Callable
from typing import Any

Wrapper = Callable[[Callable[..., Any]], Callable[..., Any]]


def wrap(owner: type, name: str, wrapper: Wrapper) -> None:
    """Replace a method by what `wrapper` makes of it, unless it has been already: a Snakefile may be read twice.

    Args:
        owner: The class.
        name: Of the method.
        wrapper: Takes the method and returns the one that calls it.
    """
    original = getattr(owner, name)
    wrappers = getattr(original, "gengap_wrappers", ())
    if wrapper not in wrappers:
        wrapped = functools.wraps(original)(wrapper(original))
        wrapped.gengap_wrappers = (*wrappers, wrapper)  # type: ignore[attr-defined]
        setattr(owner, name, wrapped)
