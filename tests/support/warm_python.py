"""A Python whose processes begin with PyTorch, pandas and Snakemake imported, which takes longer than most jobs.

A server imports the libraries once, and forks for every process. `interpreter` is a program to be called as Python
is: it lends its terminal, folder and environment to such a process, and ends as the process does. gengap itself is
imported by each process, from the `PYTHONPATH` of its own.

A process has another parent than its caller. So what is to be signalled, and what a test of other versions runs, uses
the real Python; with ``GENGAP_TEST_COLD=1`` all do.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from typing import NoReturn

LIBRARIES = (
    "h5py",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_pdf",
    "pandas",
    "pydantic",
    "scipy.stats",
    "snakemake.cli",
    "snakemake.script",
    "torch",
    "torch.func",
    "torch._dynamo",  # PyTorch imports it for its first derivative
    "yaml",
)
_SERVERS: "list[subprocess.Popen[bytes]]" = []  # kept: a server ends when the pipe to it is closed
# Of the standard library alone, so that it begins at once. `{...}` is filled in below.
CALLER = """\
#!{python} -IS
import array, json, os, signal, socket, sys
if not (sys.argv[1:2] == ["-m"] or sys.argv[1:] and not sys.argv[1].startswith("-")):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
asked = json.dumps([sys.argv, os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(server, [len(asked).to_bytes(8, "big")], [0, 1, 2])
server.sendall(asked)
status = int(server.recv(100) or -signal.SIGKILL)
if status < 0:
    signal.signal(-status, signal.SIG_DFL) if -status != signal.SIGKILL else None
    os.kill(os.getpid(), -status)
sys.exit(status)
"""


@functools.cache
def interpreter() -> str:
    """The program to be called in place of Python; its server starts with the first use, and ends with this process."""
    if os.environ.get("GENGAP_TEST_COLD"):
        return sys.executable
    folder = Path(tempfile.mkdtemp(prefix="python-"))
    caller, address = folder / "python", str(folder / "socket")
    caller.write_text(CALLER.format(python=sys.executable, address=address))
    caller.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    server = subprocess.Popen(
        [sys.executable, __file__, address, str(caller)], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    _SERVERS.append(server)
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n"
    return str(caller)


def serve(address: str, caller: str) -> list[str] | None:
    """Fork for every call; in a process that is to run, give its arguments. The server ends when its stdin does."""
    for name in LIBRARIES:
        importlib.import_module(name)
    assert not any(name.split(".")[0] == "gengap" for name in sys.modules)
    gc.freeze()  # what a process does not touch, it need not copy
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that watch
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen(100)
        print("ready", flush=True)
        while listening in select.select([listening, sys.stdin], [], [])[0]:
            called, _ = listening.accept()
            with called:
                if os.fork() == 0:
                    listening.close()
                    return watch(called, caller)
    shutil.rmtree(Path(caller).parent)
    return None


def watch(called: socket.socket, caller: str) -> list[str]:
    """Fork the process and tell its exit status, or end it with its caller; in the process, give its arguments."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    length, descriptors, _, _ = socket.recv_fds(called, 8, 3)
    asked = b""
    while len(asked) < int.from_bytes(length, "big"):
        asked += called.recv(1 << 16)
    (_, *arguments), folder, environment = json.loads(asked)
    process = os.fork()
    if process == 0:
        called.close()
        become(folder, environment, descriptors, caller)
        return arguments
    for descriptor in descriptors:
        os.close(descriptor)
    ended = os.pidfd_open(process)
    if ended not in select.select([called, ended], [], [])[0]:
        os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    with contextlib.suppress(BrokenPipeError):
        called.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def become(folder: str, environment: dict[str, str], descriptors: list[int], caller: str) -> None:
    """Take the place of the caller."""
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[1:1] = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.executable = caller  # for the processes that this one starts


def run(arguments: list[str]) -> NoReturn:
    """As Python runs a module or a script and ends, but that it does not free every object, which takes a second."""
    status: object = 0
    try:
        execute(arguments)
    except SystemExit as end:
        status = end.code
    except BaseException:
        traceback.print_exc()
        status = 1
    if not isinstance(status, int | None):
        print(status, file=sys.stderr)
        status = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status or 0)


def execute(arguments: list[str]) -> None:
    """Run a module or a script."""
    option, *_ = arguments
    if option == "-m":
        _, module, *others = arguments
        sys.argv, sys.path[0] = [module, *others], str(Path.cwd())
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[0] = arguments, str(Path(option).resolve().parent)
        runpy.run_path(option, run_name="__main__")


if __name__ == "__main__":
    if (words := serve(*sys.argv[1:])) is not None:
        run(words)
