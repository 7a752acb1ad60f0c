#!/usr/bin/env python3
"""peers.py FOLDER: build both peers from their sources on PyPI for this very CPU, each into a venv below FOLDER.

Takes some minutes a core. What is built already is left alone."""
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile

# name: package, version, the options of its build
PEERS = {
    "llama": ("llama-cpp-python", "0.3.36", "-DGGML_NATIVE=ON -DLLAVA_BUILD=OFF"),
    "ik": ("ik-llama-cpp-python", "0.1.5", "-DGGML_NATIVE=ON -DGGML_IQK_FA_ALL_QUANTS=OFF"),
}

# Files that a package's archive lacks and its build asks for.
MISSING = {"ik": {"vendor/ik_llama.cpp/common/cmake/build-info-gen-cpp.cmake":
                  "set(BUILD_NUMBER 0)\nconfigure_file(common/build-info.cpp.in common/build-info.cpp)\n"}}


def compilers():
    """llama.cpp's tiles of AMX end with an illegal instruction when GCC 12 has compiled them: its ldtilecfg drops most
    of the configuration. Clang's does not."""
    flags = pathlib.Path("/proc/cpuinfo").read_text() if sys.platform == "linux" else ""
    clang = next((c for c in ("clang-16", "clang") if shutil.which(c)), None)
    if "amx_tile" not in flags or not clang:
        return {}
    return {"CC": clang, "CXX": clang.replace("clang", "clang++")}


def python_of(folder, name):
    return pathlib.Path(folder) / name / "bin" / "python"


def unpacked(folder, missing):
    """The one archive of the folder, in a folder of its own."""
    with tarfile.open(next(pathlib.Path(folder).glob("*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    root = next(p for p in pathlib.Path(folder).iterdir() if p.is_dir())
    for name, text in missing.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return str(root)


def build(folder, name):
    package, version, options = PEERS[name]
    python, done = python_of(folder, name), pathlib.Path(folder) / name / f"built-{version}"
    if done.exists():
        return
    print(f"building {package} {version}; this takes some minutes", flush=True)
    subprocess.run([sys.executable, "-m", "venv", str(python.parent.parent)], check=True)
    environment = os.environ | {"CMAKE_ARGS": options, "CMAKE_BUILD_PARALLEL_LEVEL": str(os.cpu_count())}
    if name == "llama":
        environment |= compilers()
    log = pathlib.Path(folder) / f"{name}.log"
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-cache-dir"]
    with open(log, "w") as output, tempfile.TemporaryDirectory() as sources:
        run = lambda command: not subprocess.run(command, env=environment, stdout=output,
                                                 stderr=subprocess.STDOUT).returncode
        built = run([*pip, "download", "--no-deps", "--no-binary", package, "-d", sources, f"{package}=={version}"])
        built = built and run([*pip, "install", unpacked(sources, MISSING.get(name, {}))])
    if not built:
        sys.exit(f"peers.py: {package} {version} could not be built; see {log}")
    done.touch()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    pathlib.Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    for peer in PEERS:
        build(sys.argv[1], peer)
