#!/usr/bin/env python3
"""compare.py [COMMIT]: the speed of this working tree's program beside that of COMMIT (default: HEAD~1).

Builds COMMIT in a work tree of its own below build/bench, then runs both programs in turn on SmolLM2 and on a 1.24 B
Q4_0 shape. Prints medians and ratios; fails if any ratio is below 0.93, which noise alone seldom explains."""
import os
import pathlib
import statistics
import subprocess
import sys

import engines as engines_of
import make_model
import work

ROUNDS, LEAST = 5, 0.93
# title, model, settings, figures
RUNS = (
    ("SmolLM2", work.SMOLLM2, {"prompt": 512, "generate": 64}, (work.PROMPT, work.GENERATION, work.FIRST)),
    ("SmolLM2, 8 sequences", work.SMOLLM2, {"generate": 32, "sequences": 8}, (work.GENERATION,)),
    ("SmolLM2, depth 2,048", work.SMOLLM2, {"generate": 32, "depth": 2048}, (work.GENERATION,)),
    ("1.24 B Q4_0", ("1b", "Q4_0"), {"prompt": 128, "generate": 24}, (work.PROMPT, work.GENERATION)),
)
FOLDER = engines_of.ROOT / "build" / "bench"


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"compare.py: {' '.join(map(str, command))}\n{done.stdout}{done.stderr}")


def build_commit(commit):
    """The program of `commit`, whose work tree stays for the next time."""
    tree, build = FOLDER / "previous", FOLDER / "previous-build"
    if (tree / ".git").exists():
        run("git", "-C", tree, "checkout", "--quiet", "--detach", "--force", commit)
    else:
        run("git", "-C", engines_of.ROOT, "worktree", "prune")
        run("git", "-C", engines_of.ROOT, "worktree", "add", "--quiet", "--detach", "--force", tree, commit)
    run("cmake", "-S", tree, "-B", build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DANDIRON_TESTS=OFF")
    run("ninja", "-C", build)
    return build / "bin" / "andiron"


def compare(programs, title, model, settings, figures):
    """False if a figure of the second program is below LEAST of the first's."""
    found = [[], []]
    for r in range(ROUNDS):
        for i in (0, 1) if r % 2 == 0 else (1, 0):
            figures_of_run = programs[i].measure("andiron", model, settings)
            if not figures_of_run:
                sys.exit(f"compare.py: {programs[i].andiron} cannot measure {title}")
            found[i].append(figures_of_run)
    good = True
    for figure in figures:
        old, new = (statistics.median(run[figure] for run in runs) for runs in found)
        ratio = old / new if figure == work.FIRST else new / old
        good &= ratio >= LEAST
        word = {work.PROMPT: "prompt", work.GENERATION: "generation", work.FIRST: "first token, s"}[figure]
        print(f"{title:22} {word:14} {old:10.4g} {new:10.4g} {ratio:8.3f}{'' if ratio >= LEAST else '  slower'}",
              flush=True)
    return good


def main():
    commit = subprocess.run(["git", "-C", str(engines_of.ROOT), "rev-parse", "--verify", "--quiet",
                             (sys.argv[1] if len(sys.argv) > 1 else "HEAD~1") + "^{commit}"],
                            capture_output=True, text=True).stdout.strip()
    if not commit or len(sys.argv) > 2:
        sys.exit(__doc__)
    FOLDER.mkdir(parents=True, exist_ok=True)
    old = build_commit(commit)
    new = pathlib.Path(os.environ.get("ANDIRON", engines_of.ROOT / "build" / "release" / "bin" / "andiron"))
    programs = [engines_of.Engines(program, {}) for program in (old, new)]
    print(f"{100 * engines_of.free_share():.0f} % of the cores are free")
    print(f"{'':22} {'':14} {commit[:10]:>10} {'now':>10} {'ratio':>8}")
    good = True
    for title, model, settings, figures in RUNS:
        path = engines_of.ROOT / "models" / model if isinstance(model, str) else FOLDER / ("%s.%s.gguf" % model)
        if not path.exists():
            make_model.write_model(path, *model)
        good &= compare(programs, title, path, settings, figures)
        if not isinstance(model, str):
            path.unlink()
    sys.exit(0 if good else "compare.py: slower than before; run it again on a quiet machine to be sure")


if __name__ == "__main__":
    main()
