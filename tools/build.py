#!/usr/bin/env python3
"""build.py PRESET TARGET [-DNAME=VALUE ...]: configure build/PRESET where it must be, and build TARGET in it.

All it says goes to stderr: nothing where nothing is to be done, else a line that moves on a terminal and one line
elsewhere, and whatever the tools say that is no progress: warnings and errors."""
import pathlib
import re
import subprocess
import sys

PROGRESS = re.compile(r"\[(\d+)/(\d+)\] (.*)")
SILENT = re.compile(r"ninja: no work to do\.|-- .*")


def configure(preset, folder, flags):
    if flags or not (folder / "build.ninja").exists():
        run = subprocess.run(["cmake", "--preset", preset, *flags], stdout=subprocess.DEVNULL)
        if run.returncode:
            sys.exit(run.returncode)


def build(folder, target):
    terminal = sys.stderr.isatty()
    said, line_open = False, False
    command = ["cmake", "--build", str(folder), "--target", target]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace") as run:
        for line in run.stdout:
            line = line.rstrip("\n")
            step = PROGRESS.fullmatch(line)
            if step and step[3].startswith("Re-"):
                continue
            if step:
                if terminal:
                    print(f"\r\033[KBuilding {folder}: {step[1]} of {step[2]}", end="", file=sys.stderr, flush=True)
                    line_open = True
                elif not said:
                    print(f"Building {folder}", file=sys.stderr, flush=True)
                said = True
            elif not SILENT.fullmatch(line):
                print(("\n" if line_open else "") + line, file=sys.stderr, flush=True)
                line_open = False
    if line_open:
        print(file=sys.stderr)
    return run.returncode


def main():
    preset, target, *flags = sys.argv[1:]
    folder = pathlib.Path("build", preset)
    configure(preset, folder, flags)
    sys.exit(build(folder, target))


main()
