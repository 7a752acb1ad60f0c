#!/usr/bin/env python3
"""peers.py FOLDER: build both peers from their sources on PyPI for this very CPU, each into a venv below FOLDER.

Takes some minutes a core. What is built already is left alone."""
import os
import pathlib
import subprocess
import sys

# name: package, version, the options of its build
PEERS = {
    "llama": ("llama-cpp-python", "0.3.36", "-DGGML_NATIVE=ON -DLLAVA_BUILD=OFF"),
    "ik": ("ik-llama-cpp-python", "0.1.5", "-DGGML_NATIVE=ON -DGGML_IQK_FA_ALL_QUANTS=OFF"),
}


def python_of(folder, name):
    return pathlib.Path(folder) / name / "bin" / "python"


def build(folder, name):
    package, version, options = PEERS[name]
    python, done = python_of(folder, name), pathlib.Path(folder) / name / f"built-{version}"
    if done.exists():
        return
    print(f"building {package} {version}; this takes some minutes", flush=True)
    subprocess.run([sys.executable, "-m", "venv", str(python.parent.parent)], check=True)
    environment = os.environ | {"CMAKE_ARGS": options, "CMAKE_BUILD_PARALLEL_LEVEL": str(os.cpu_count())}
    log = pathlib.Path(folder) / f"{name}.log"
    with open(log, "w") as output:
        command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-cache-dir", "--no-binary",
                   package, f"{package}=={version}"]
        installed = subprocess.run(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
    if installed.returncode:
        sys.exit(f"peers.py: {package} {version} could not be built; see {log}")
    done.touch()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    pathlib.Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    for peer in PEERS:
        build(sys.argv[1], peer)
