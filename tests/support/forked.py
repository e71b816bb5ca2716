"""Processes that begin with what they need imported: one server forks them for all tests of a worker.

A server imports what the last caller before its start asked for, so all ask here. It has loaded no kernels.
"""

import multiprocessing

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "gengap.training",
        "gengap.probes",
        "gengap.probes.distance",
        "gengap.labels",
        "torch._inductor.compile_fx",  # and what PyTorch imports for its first derivative
    ]
)
