"""engines.py - running one measurement of one engine in a process of its own, and what the machine is."""
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
SPIN = "import os,sys\nos.sched_setaffinity(0,{int(sys.argv[1])})\nwhile True:pass"
TIMEOUT = 900
PROBED = "SmolLM2-135M-Instruct.Q4_1.gguf"  # any model
NAMES = {"andiron": "andiron", "llama": "llama.cpp", "ik": "ik_llama.cpp"}


class Engines:
    """What is measured, by name: andiron's program, or the Python of a peer's venv."""

    def __init__(self, andiron, peers):
        self.andiron = pathlib.Path(andiron)
        self.peers = {name: python for name, python in peers.items() if python}
        self.names = ["andiron", *self.peers]
        realtime = shutil.which("chrt") and subprocess.run(["chrt", "-f", "10", "true"], capture_output=True)
        self.realtime = ["chrt", "-f", "10"] if realtime and realtime.returncode == 0 else []

    def command(self, engine, model, settings):
        if engine != "andiron":
            return [self.peers[engine], str(HERE / "peer.py"), engine, str(model), json.dumps(settings)]
        command = [str(self.andiron), "bench", str(model), "--json", "-r", "1"]
        for key, option in (("prompt", "-p"), ("generate", "-n"), ("depth", "--depth"), ("sequences", "--sequences"),
                            ("kv", "--kv-type"), ("math", "--math")):
            default = 0 if key in ("prompt", "generate") else None
            if settings.get(key, default) is not None:
                command += [option, str(settings.get(key, default))]
        return command

    def measure(self, engine, model, settings, quiet=True):
        """The figures as a dictionary, or None and a line on stderr if the engine cannot do it."""
        command = (self.realtime if quiet else []) + self.command(engine, model, settings)
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            print(f"  {NAMES[engine]}: not done in {TIMEOUT} s", file=sys.stderr)
            return None
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            print(f"  {NAMES[engine]}: {last}", file=sys.stderr)
            return None
        return json.loads(done.stdout.strip().splitlines()[-1])


    def memory_rate(self):
        """Bytes a second, as andiron's own probe sees the machine at this moment."""
        return (self.measure("andiron", ROOT / "models" / PROBED, {"generate": 1}) or {}).get("read_bytes_per_s") or 1.0


def read_once(path):
    """So that no engine has to wait for the disk."""
    with open(path, "rb") as f:
        while f.read(1 << 24):
            pass


class Spinners:
    """A process that never rests on each core, for the time of a `with`."""

    def __enter__(self):
        self.processes = [subprocess.Popen([sys.executable, "-c", SPIN, str(core)])
                          for core in sorted(os.sched_getaffinity(0))]
        time.sleep(0.2)

    def __exit__(self, *_):
        for process in self.processes:
            process.send_signal(signal.SIGKILL)
            process.wait()


def free_share(seconds=0.4):
    """The part of each core that an ordinary process gets at this moment, by spinning on all of them: 1 is a machine
    with nothing else to do."""
    spin = ("import os,sys,time\nos.sched_setaffinity(0,{int(sys.argv[1])})\nb,c=time.monotonic(),time.process_time()\n"
            f"while time.monotonic()-b<{seconds}:pass\nprint((time.process_time()-c)/(time.monotonic()-b))")
    cores = sorted(os.sched_getaffinity(0))
    spinning = [subprocess.Popen([sys.executable, "-S", "-c", spin, str(core)], stdout=subprocess.PIPE, text=True)
                for core in cores]
    return min(1.0, sum(float(process.communicate()[0]) for process in spinning) / len(cores))


def first_match(pattern, path):
    try:
        found = re.search(pattern, pathlib.Path(path).read_text(), re.M)
    except OSError:
        return None
    return found.group(1).strip() if found else None


def git(*arguments):
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def machine(engines):
    """What the figures depend on: no names, no paths."""
    memory = first_match(r"^MemTotal:\s+(\d+) kB", "/proc/meminfo")
    found = {
        "cpu": first_match(r"^model name\s*:\s*(.*)$", "/proc/cpuinfo") or platform.machine(),
        "model": first_match(r"^model\s*:\s*(.*)$", "/proc/cpuinfo"), "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(int(memory) / 2**20, 1) if memory else None,
        "system": f"{platform.system()} {platform.release()}",
        "level2_cache": first_match(r"(.*)", "/sys/devices/system/cpu/cpu0/cache/index2/size"),
        "level3_cache": first_match(r"(.*)", "/sys/devices/system/cpu/cpu0/cache/index3/size"),
        "virtual": "hypervisor" in (first_match(r"^flags\s*:\s*(.*)$", "/proc/cpuinfo") or ""),
        "realtime": bool(engines.realtime), "andiron": git("describe", "--always", "--dirty"),
    }
    return found
