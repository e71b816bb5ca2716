"""Real Slurm daemons on this machine: slurmctld, slurmd and munged on loopback, all that they keep in one folder.

One node with more cores than the machine has and pretend GPUs, so that GPUs are what limits the jobs; partitions `cpu`
and `gpu`, as profiles/slurm names them. Memory is enforced by Slurm's own polling, since containers lack cgroups.
"""

import contextlib
import os
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol")
START_SECONDS = 20.0
STOP_SECONDS = 15.0
CONFIGURATION = """\
ClusterName=gengap
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={next_port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
LaunchParameters=disable_send_gids
ReturnToService=1
SchedulerParameters=bf_interval=1,batch_sched_delay=0,sched_interval=1,sched_min_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
MaxArraySize=10001
MaxJobCount=20000
MinJobAge=3600
KillWait=10
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory={memory} Gres=gpu:{gpus} State=UNKNOWN
PartitionName=cpu Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=ALL MaxTime=INFINITE State=UP
"""
# Jobs start srun without Slurm's variables, so without this it looks for the configuration in /etc.
SRUN = '#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {srun} "$@"\n'


def missing() -> str:
    """Why no daemons can be started here; empty if they can."""
    absent = [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]
    if absent:
        return f"Slurm is not installed (no {', '.join(absent)}): apt-get install slurm-wlm munge"
    return "" if os.geteuid() == 0 else "making pretend GPUs and running slurmd needs root"


@contextlib.contextmanager
def running(folder: Path, *, cores: int = 16, memory: int = 64_000, gpus: int = 2) -> Iterator[Mapping[str, str]]:
    """Start the daemons, and stop them and all their jobs at the end.

    Args:
        folder: Where everything goes; made new. Its path must be short: it holds a socket.
        cores: Cores that the node pretends to have.
        memory: MB of memory that it pretends to have.
        gpus: Pretend GPUs; Slurm gives each to one job at a time.

    Yields:
        Environment variables by which Slurm's commands find these daemons.
    """
    folder.mkdir(parents=True)
    environment = _configure(folder, cores, memory, gpus)
    try:
        _start(folder, environment)
        yield environment
    finally:
        subprocess.run(["scancel", "--user", str(os.geteuid())], env=environment, capture_output=True, timeout=30)
        _wait(lambda: not _ask(environment, "squeue", "--noheader"), "jobs to end")
        for name in ("slurmd.pid", "slurmctld.pid", "munge/pid"):
            _stop(folder / name)


def node() -> str:
    """Name of the one node."""
    return socket.gethostname().split(".")[0]


def _configure(folder: Path, cores: int, memory: int, gpus: int) -> dict[str, str]:
    for name in ("munge", "state", "spool", "dev", "bin"):
        (folder / name).mkdir()
    folder.chmod(0o755)
    (folder / "munge").chmod(0o711)
    key = folder / "munge/key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    for number in range(gpus):
        # Slurm wants character devices: these are /dev/null's.
        os.mknod(folder / f"dev/gpu{number}", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    port = _free_port()
    (folder / "slurm.conf").write_text(
        CONFIGURATION.format(
            host=node(), folder=folder, port=port, next_port=port + 1, cores=cores, memory=memory, gpus=gpus
        )
    )
    (folder / "gres.conf").write_text(f"NodeName={node()} Name=gpu File={folder}/dev/gpu[0-{gpus - 1}]\n")
    srun = folder / "bin/srun"
    srun.write_text(SRUN.format(folder=folder, srun=shutil.which("srun", path=_path())))
    srun.chmod(0o755)
    return os.environ | {"SLURM_CONF": f"{folder}/slurm.conf", "PATH": f"{folder}/bin:{_path()}"}


def _start(folder: Path, environment: Mapping[str, str]) -> None:
    munge = folder / "munge"
    subprocess.run(
        [
            *("munged", "--force", f"--key-file={munge}/key", f"--socket={munge}/socket", f"--pid-file={munge}/pid"),
            *(f"--log-file={munge}/log", f"--seed-file={munge}/seed"),
        ],
        env=environment,
        check=True,
    )
    munge.chmod(0o711)
    subprocess.run(["slurmctld", "-c"], env=environment, check=True)
    subprocess.run(["slurmd"], env=environment, check=True)
    _wait(lambda: _ask(environment, "sinfo", "--noheader", "--Format=StateLong").split()[:1] == ["idle"], "the node")


def _ask(environment: Mapping[str, str], *command: str) -> str:
    return subprocess.run(command, env=environment, capture_output=True, text=True).stdout.strip()


def _wait(ready, what: str) -> None:
    until = time.monotonic() + START_SECONDS
    while not ready():
        if time.monotonic() > until:
            raise TimeoutError(f"Slurm: waited {START_SECONDS:.0f} s for {what}")
        time.sleep(0.1)


def _stop(pid_file: Path) -> None:
    """End the daemon that wrote this file, and no other process."""
    try:
        pid = int(pid_file.read_text())
        os.kill(pid, 15)
        until = time.monotonic() + STOP_SECONDS
        while time.monotonic() < until:
            os.kill(pid, 0)
            time.sleep(0.1)
        os.kill(pid, 9)
    except (FileNotFoundError, ValueError, ProcessLookupError):
        pass


def _free_port() -> int:
    """A port that is free and whose successor is."""
    for _ in range(100):
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            port: int = one.getsockname()[1]
            with contextlib.suppress(OSError, OverflowError):
                other.bind(("127.0.0.1", port + 1))
                return port
    raise OSError("no two neighbouring ports are free")


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
