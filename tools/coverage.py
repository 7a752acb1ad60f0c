#!/usr/bin/env python3
"""coverage.py BUILD: lines that the tests of BUILD (preset coverage) ran, by room, and where most are left."""
import collections
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def reports(build):
    """What gcov says of every object that ran."""
    data = [str(p.resolve()) for p in build.rglob("*.gcda")]
    if not data:
        sys.exit(f"coverage.py: nothing in {build} has run")
    gcov = os.environ.get("GCOV", "gcov")
    out = subprocess.run([gcov, "--json-format", "--stdout", *data], check=True, capture_output=True, cwd=build).stdout
    return (json.loads(line) for line in out.splitlines() if line.strip())


def lines_by_file(build):
    """{file under src/ or apps/: {line: times}}; a file compiled more than once counts as one."""
    files = collections.defaultdict(collections.Counter)
    for report in reports(build):
        for entry in report["files"]:
            path = pathlib.Path(report["current_working_directory"], entry["file"]).resolve()
            if path.is_relative_to(ROOT / "src") or path.is_relative_to(ROOT / "apps"):
                for line in entry["lines"]:
                    files[path.relative_to(ROOT)][line["line_number"]] += line["count"]
    return files


def main():
    files = lines_by_file(pathlib.Path(sys.argv[1]))
    rooms = collections.defaultdict(lambda: [0, 0])
    left = []
    for path, lines in files.items():
        ran = sum(1 for times in lines.values() if times)
        room = rooms["/".join(path.parts[:2])]
        room[0] += ran
        room[1] += len(lines)
        left.append((len(lines) - ran, len(lines), path))
    rooms["all"] = [sum(r[0] for r in rooms.values()), sum(r[1] for r in rooms.values())]
    for name, (ran, n) in sorted(rooms.items(), key=lambda item: (item[0] == "all", item[0])):
        print(f"{name:14} {100 * ran / n:5.1f} %  {ran:6} of {n} lines")
    print("most lines left:")
    for n, of, path in sorted(left, reverse=True)[:10]:
        print(f"  {n:4} of {of:4}  {path}")


main()
