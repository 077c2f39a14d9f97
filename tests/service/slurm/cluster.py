"""A real SLURM of one node on loopback: munged, slurmctld and slurmd, started and stopped by their own process ids.

It needs root (munged runs as its own user, and a GPU is a device file) and Debian's packages. Files are in a folder of
its own; outside it only links in /etc/slurm are made, because steps of a job look for the configuration there whatever
the environment says. An installed cluster's files are never touched.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "sinfo", "scancel")
PACKAGES = "apt-get install slurmctld slurmd slurm-client munge"
SYSTEM = Path("/etc/slurm")
PATH = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
START_TIMEOUT = 60

CONFIGURATION = """\
ClusterName={name}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge/socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,bf_interval=2
GresTypes=gpu
ReturnToService=2
MinJobAge=900
KillWait=2
JobRequeue=1
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/completed.txt
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory_mb} Gres=gpu:{gpus} State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes={host} MaxTime=INFINITE State=UP
"""


def missing() -> str | None:
    """Return why no SLURM can be started here, None when one can."""
    absent = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
    if absent:
        return f"no SLURM here ({', '.join(absent)} not found): {PACKAGES}"
    if os.getuid() != 0:
        return "starting a SLURM needs root"
    if any((SYSTEM / name).exists() and not (SYSTEM / name).is_symlink() for name in ("slurm.conf", "gres.conf")):
        return f"{SYSTEM} holds the configuration of an installed SLURM, which stays as it is"
    try:
        with tempfile.TemporaryDirectory() as folder:
            _make_gpu(Path(folder) / "gpu0")
    except OSError as error:
        return f"no device file can be made here, as a container may forbid: {error}"
    return None


@dataclass
class Cluster:
    """A running SLURM."""

    folder: Path
    daemons: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def command(self, *arguments: str) -> str:
        """Run one of SLURM's commands and return what it prints."""
        return subprocess.run(arguments, capture_output=True, text=True, check=True, env=environment()).stdout

    def jobs(self) -> dict[str, tuple[str, str]]:
        """Return job id -> (state, comment, in which Snakemake writes the rule and its wildcards)."""
        rows = (line.split("|") for line in self.command("squeue", "-h", "-t", "all", "-o", "%i|%T|%k").splitlines())
        return {job: (state, comment) for job, state, comment in rows}

    def facts(self, job: str) -> dict[str, str]:
        """Return what SLURM knows of a job."""
        return dict(re.findall(r"(\w+)=(\S*)", self.command("scontrol", "show", "job", job)))

    def completed(self) -> list[dict[str, str]]:
        """Return the facts of every job that has ended, one entry per start of it."""
        log = self.folder / "completed.txt"
        return [dict(re.findall(r"(\w+)=(\S*)", line)) for line in log.read_text().splitlines()] if log.exists() else []

    def stop(self) -> None:
        """End every job, the daemons by their own process ids, and take the links away."""
        subprocess.run(["scancel", "--user=root", "--signal=KILL", "--full"], check=False, env=environment())
        for process in Path("/proc").glob("[0-9]*"):  # what hung when its time was over may have left its job
            with suppress(OSError):
                if f"SLURM_CLUSTER_NAME={self.folder.name}\0".encode() in (process / "environ").read_bytes():
                    os.kill(int(process.name), signal.SIGKILL)
        for daemon in reversed(self.daemons):
            daemon.terminate()
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        for name in ("slurm.conf", "gres.conf"):
            if (SYSTEM / name).is_symlink() and (SYSTEM / name).readlink() == self.folder / name:
                (SYSTEM / name).unlink()
        shutil.rmtree(self.folder, ignore_errors=True)


def environment() -> dict[str, str]:
    """Return the environment of SLURM's commands."""
    return {**os.environ, "PATH": PATH}


def start(*, cpus: int, gpus: int, memory_mb: int) -> Cluster:
    """Start a cluster whose one node pretends to have so many CPUs, GPUs (links to nowhere) and so much memory."""
    folder = Path(tempfile.mkdtemp(prefix="uprung-slurm-"))
    folder.chmod(0o755)  # munged, another user, has its own folder in here
    cluster = Cluster(folder)
    try:
        _configure(folder, cpus=cpus, gpus=gpus, memory_mb=memory_mb)
        for command in _daemons(folder):
            _start(cluster, command)
        _wait_for(cluster, lambda: "idle" in cluster.command("sinfo", "-h", "-o", "%T"))
    except BaseException:
        cluster.stop()
        raise
    return cluster


def _configure(folder: Path, *, cpus: int, gpus: int, memory_mb: int) -> None:
    for name in ("munge", "state", "spool"):
        (folder / name).mkdir(mode=0o755)
    (folder / "munge/key").write_bytes(os.urandom(1024))
    (folder / "munge/key").chmod(0o400)
    for path in (folder / "munge", folder / "munge/key"):
        shutil.chown(path, "munge", "munge")
    for number in range(gpus):
        _make_gpu(folder / f"gpu{number}")
    host = socket.gethostname().split(".")[0]
    port, node_port = _free_ports()
    values = {"name": folder.name, "host": host, "folder": folder, "port": port, "node_port": node_port}
    text = CONFIGURATION.format(**values, cpus=cpus, gpus=gpus, memory_mb=memory_mb)
    (folder / "slurm.conf").write_text(text)
    (folder / "gres.conf").write_text(f"NodeName={host} Name=gpu File={folder}/gpu[0-{gpus - 1}]\n")
    SYSTEM.mkdir(exist_ok=True)
    for name in ("slurm.conf", "gres.conf"):
        (SYSTEM / name).unlink(missing_ok=True)  # a link that an interrupted test left; `missing` refuses files
        (SYSTEM / name).symlink_to(folder / name)


def _make_gpu(path: Path) -> None:
    """Make what SLURM takes for a GPU: a device file, here /dev/null under a numbered name."""
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))


def _daemons(folder: Path) -> list[list[str]]:
    munge = folder / "munge"
    own = [f"--{name}-file={munge}/{name}" for name in ("key", "pid", "log", "seed")]
    munged = ["munged", "--foreground", f"--socket={munge}/socket", "--num-threads=2", *own]
    return [
        ["runuser", "-u", "munge", "--", *munged],
        ["slurmctld", "-D", "-i", "-L", str(folder / "slurmctld.log")],
        ["slurmd", "-D", "-L", str(folder / "slurmd.log")],
    ]


def _start(cluster: Cluster, command: list[str]) -> None:
    with (cluster.folder / f"daemon{len(cluster.daemons)}.log").open("wb") as log:
        daemon = subprocess.Popen(command, env=environment(), stdout=log, stderr=subprocess.STDOUT)
    cluster.daemons.append(daemon)
    if command[0] == "runuser":
        _wait_for(cluster, (cluster.folder / "munge/socket").exists)


def _wait_for(cluster: Cluster, ready: Callable[[], bool]) -> None:
    end = time.monotonic() + START_TIMEOUT
    while True:
        for daemon in cluster.daemons:
            if daemon.poll() is not None:
                logs = [path.read_text(errors="replace") for path in cluster.folder.glob("*.log")]
                raise RuntimeError(f"{daemon.args[0]} ended with {daemon.returncode}\n{''.join(logs)[-4000:]}")
        try:
            if ready():
                return
        except subprocess.CalledProcessError:
            pass
        if time.monotonic() > end:
            raise RuntimeError(f"SLURM did not start within {START_TIMEOUT} s")
        time.sleep(0.2)


def _free_ports() -> tuple[int, int]:
    with socket.socket() as a, socket.socket() as b:
        a.bind(("127.0.0.1", 0))
        b.bind(("127.0.0.1", 0))
        return a.getsockname()[1], b.getsockname()[1]
