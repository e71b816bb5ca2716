"""A Python whose processes begin with PyTorch, pandas and Snakemake imported, which takes longer than most jobs.

A server imports the libraries once, and forks for every process. A *caller*, a small program that is called as Python
is, lends its terminal, folder and environment to such a process, passes signals on, and ends as the process does.
gengap itself is imported by each process, so that an edit counts from the next one on.

This file is also run as a script, the server, and so imports nothing of gengap.
"""

import atexit
import contextlib
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
from collections.abc import Mapping
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
PASSED_ON = (signal.SIGINT, signal.SIGTERM)
_LONGEST = 300  # characters of a line of an error that are shown
_SERVERS: list["subprocess.Popen[bytes]"] = []  # kept: a server ends when the pipe to it is closed
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
for number in {passed_on}:
    signal.signal(number, lambda number, _: server.send(bytes([number])))
status = int(server.recv(100) or -signal.SIGKILL)
if status < 0:
    signal.signal(-status, signal.SIG_DFL) if -status != signal.SIGKILL else None
    os.kill(os.getpid(), -status)
sys.exit(status)
"""


def start(python: str, environment: Mapping[str, str], *, nested: bool = False) -> Path:
    """Start a server, and wait until it has imported the libraries; it ends with this process.

    Args:
        python: The interpreter.
        environment: Of the server: what libraries read when they are imported, such as the number of threads. What
            else a process reads is its caller's.
        nested: Whether what a process starts by `sys.executable` begins with the libraries as well.

    Returns:
        The caller, an executable file.

    Raises:
        KeyboardInterrupt: If a signal ends the server before it is ready: this process was told to end too.
        OSError: If the server cannot be started or ends at once.
    """
    folder = Path(tempfile.mkdtemp(prefix="python-"))
    caller, address = folder / "python", str(folder / "socket")
    numbers = tuple(map(int, PASSED_ON))
    caller.write_text(CALLER.format(python=python, address=address, passed_on=numbers))
    caller.chmod(0o755)
    server = subprocess.Popen(
        [python, __file__, address, str(caller) if nested else python],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    _SERVERS.append(server)
    assert server.stdout is not None
    if server.stdout.readline() != b"ready\n":
        if -(status := server.wait()) in PASSED_ON:
            raise KeyboardInterrupt
        raise OSError(f"{python}: the process that imports libraries for jobs ended with status {status}")
    return caller


def serve(address: str, python: str) -> list[str] | None:
    """Fork for every call; in a process that is to run, give its arguments. The server ends when its stdin does.

    Args:
        address: Where it listens.
        python: `sys.executable` of the processes.
    """
    for number in PASSED_ON:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)  # a run that is told to end begins no job
    for name in LIBRARIES:
        importlib.import_module(name)
    for number in PASSED_ON:
        signal.signal(number, signal.SIG_IGN)  # callers pass them on; without callers, the end of stdin ends it
    assert not any(name.split(".")[0] == "gengap" for name in sys.modules)
    gc.freeze()  # what a process does not touch, it need not copy
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that watch
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen(100)
        print("ready", flush=True)
        while listening.fileno() in select.select([listening.fileno(), sys.stdin.fileno()], [], [])[0]:
            called, _ = listening.accept()
            with called:
                if os.fork() == 0:
                    listening.close()
                    return watch(called, python)
    shutil.rmtree(Path(address).parent)
    return None


def watch(called: socket.socket, python: str) -> list[str]:
    """Fork the process and tell its exit status, or end it with its caller; in the process, give its arguments."""
    os.setpgid(0, 0)  # so that a signal to the caller's group comes once, by the caller
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    length, descriptors, _, _ = socket.recv_fds(called, 8, 3)
    asked = b""
    while len(asked) < int.from_bytes(length, "big"):
        asked += called.recv(1 << 16)
    called_as: list[str]
    called_as, folder, environment = json.loads(asked)
    # What is passed on before the process can answer it waits there, though the server ignores it.
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    process = os.fork()
    if process == 0:
        called.close()
        become(folder, environment, descriptors, python)
        return called_as[1:]
    for descriptor in descriptors:
        os.close(descriptor)
    ended = os.pidfd_open(process)
    while ended not in select.select([called.fileno(), ended], [], [])[0]:
        for number in called.recv(100) or [signal.SIGKILL]:  # nothing: the caller is gone
            os.kill(process, number)
    _, status = os.waitpid(process, 0)
    with contextlib.suppress(BrokenPipeError):
        called.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def become(folder: str, environment: dict[str, str], descriptors: list[int], python: str) -> None:
    """Take the place of the caller."""
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # read from the environment again
    sys.path[1:1] = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.executable = python  # for the processes that this one starts
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)


def run(arguments: list[str]) -> NoReturn:
    """As Python runs a module or a script and ends, but that it does not free every object, which takes a second.

    Of an error, the long lines are cut: Snakemake puts a line of thousands of characters in front of every script.
    """
    status: object = 0
    try:
        execute(arguments)
    except SystemExit as end:
        status = end.code
    except BaseException:
        told = "".join(traceback.format_exception(*sys.exc_info()))
        for line in told.splitlines():
            print(line if len(line) <= _LONGEST else f"{line[:_LONGEST]} ...", file=sys.stderr)
        status = 1
    if not isinstance(status, int | None):
        print(status, file=sys.stderr)
        status = 1
    threading._shutdown()  # type: ignore[attr-defined]
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
    sys.path[0] = ""  # not this folder; a process puts its script's here
    if (words := serve(*sys.argv[1:])) is not None:
        run(words)
    os._exit(0)  # some libraries complain when Python frees their objects
