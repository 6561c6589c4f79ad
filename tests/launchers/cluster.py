"""A Slurm of one machine in a temporary folder, on loopback: munged, slurmctld and slurmd, ended by their pids."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.bench.recording import free_port

SBIN = "/usr/sbin"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "scancel", "squeue")
START_SECONDS = 60.0
DAEMONS = 3


def missing() -> str:
    """Why no Slurm can be started here; "" where one can."""
    lacking = [name for name in PROGRAMS if _program(name) is None]
    if lacking:
        return f"no {', '.join(lacking)} (apt-get install slurm-wlm munge): a real Slurm did not run"
    return "" if os.geteuid() == 0 else "slurmd runs as root only: a real Slurm did not run"


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:{SBIN}")


def _configuration(folder: Path, cpus: int) -> str:
    host = socket.gethostname().partition(".")[0]
    return f"""ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={free_port()}
SlurmdPort={free_port()}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1
MinJobAge=300
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=2000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


@contextmanager
def slurm(folder: Path, cpus: int = 2) -> Iterator[Mapping[str, str]]:
    """The environment in which `sbatch` speaks to a fresh Slurm whose one node is this machine."""
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    (folder / "slurm.conf").write_text(_configuration(folder, cpus))
    (folder / "cgroup.conf").write_text("CgroupAutomount=no\n")
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    environment = os.environ | {"SLURM_CONF": f"{folder}/slurm.conf"}
    files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    munge = [f"--{option}={folder}/munge.{name}" for option, name in files.items()]
    started = []
    try:
        started.append(_start(folder, environment, "munged", "--foreground", "--force", *munge))
        _await((folder / "munge.socket").exists, started, folder)
        started.append(_start(folder, environment, "slurmctld", "-D"))
        started.append(_start(folder, environment, "slurmd", "-D"))
        _await(lambda: "State=IDLE" in _ask(environment, "scontrol", "show", "node"), started, folder)
        yield environment
    finally:
        if len(started) == DAEMONS:  # a job's own processes would outlive them
            _ask(environment, "scancel", "--user=root")
            with contextlib.suppress(AssertionError):
                _await(lambda: not _ask(environment, "squeue", "--noheader").strip(), started, folder)
        for process in reversed(started):
            process.terminate()
        for process in reversed(started):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=20)
            process.kill()
            process.wait()


def _start(folder: Path, environment: Mapping[str, str], name: str, *words: str) -> subprocess.Popen[bytes]:
    program = _program(name)
    assert program is not None
    with (folder / f"{name}.out").open("wb") as out:
        return subprocess.Popen([program, *words], env=environment, stdout=out, stderr=out)


def _ask(environment: Mapping[str, str], *words: str) -> str:
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False).stdout


def _await(true, started, folder: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while not true():
        fallen = [process.args for process in started if process.poll() is not None]
        said = "\n".join(file.read_text(errors="replace") for file in folder.glob("*.out"))
        assert not fallen, f"{fallen}\n{said}"
        assert time.monotonic() < until, said
        time.sleep(0.2)
