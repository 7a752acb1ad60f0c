#!/usr/bin/env python3
"""run.py: measure andiron and its peers, one after the other in turn, and write the table.

    run.py --andiron build/release/bin/andiron --peers build/bench [--quick] [--minutes 30] [--only WORD,WORD]
           [--add] [--models build/bench/models] [--json docs/performance.json] [--page docs/performance.md]

Each measurement is a process of its own; a row is measured in rounds, in each of which every engine has its turn. A
round in which the memory's rate changed by a fifth is made again, and the ratio is the median of the rounds' own. Rows
that do not fit into the minutes are left out and named. Models of random weights are made when needed and removed.
--only takes the rows whose group or title has one of the words; --add keeps the other rows of the JSON file."""
import argparse
import datetime
import json
import mmap
import os
import pathlib
import statistics
import sys
import time

import engines as engines_of
import make_model
import table
import work

FIGURES = (work.PROMPT, work.GENERATION, work.FIRST, work.PEAK)
LESS = (work.FIRST, work.PEAK)  # is better
STEADY = 1.2                    # within a round the memory's rate may change by so much


def read_from_disk(path):
    """Put a file that was just written into the page cache as a first run after a start of the machine finds it: read
    from the disk through a mapping that asks for large pages, as andiron's does. All engines gain by them."""
    with open(path, "rb") as f:
        os.fsync(f.fileno())
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        with mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as mapped:
            mapped.madvise(mmap.MADV_HUGEPAGE)
            mapped[::4096]


def model_path(row, folder):
    if isinstance(row.model, str):
        return engines_of.ROOT / "models" / row.model
    path = folder / ("%s.%s.gguf" % row.model)
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        make_model.write_model(path, *row.model)
        read_from_disk(path)
    return path


def settings_of(row, engine):
    """What is measured, and the peer's best way of doing it."""
    if engine == "andiron":
        return row.settings | ({"math": row.math} if row.math else {})
    return row.settings | work.best_way(row, engine)


def one_round(engines, row, model, failed):
    """What every engine makes of the row, by name, and the rates of memory before and after each; beside busy processes
    too, where the row wants it. An engine that fails is not asked again."""
    found, rates = {}, [engines.memory_rate()]
    for engine in engines.names:
        if engine in failed:
            continue
        run = engines.measure(engine, model, settings_of(row, engine), quiet=not row.busy)
        if run and row.busy:
            with engines_of.Spinners():
                beside = engines.measure(engine, model, settings_of(row, engine), quiet=False)
            run |= {f"{figure}_beside": (beside or {}).get(figure, 0) for figure in FIGURES}
        if run:
            found[engine] = run
        else:
            failed.add(engine)
        rates.append(engines.memory_rate())
    return found, rates


def measure_row(engines, row, model, n):
    """n rounds in which the memory's rate stayed; after twice as many those that there are, the steadiest first."""
    rounds, failed = [], set()
    for _ in range(2 * n):
        found, rates = one_round(engines, row, model, failed)
        change = max(rates) / min(rates)
        rounds.append((max(change, STEADY), len(rounds), found))
        if sum(r[0] == STEADY for r in rounds) == n:
            break
        if change > STEADY:
            print(f"   memory went from {min(rates) / 1e9:.0f} to {max(rates) / 1e9:.0f} GB/s: once more", flush=True)
    return [found for _, _, found in sorted(rounds, key=lambda r: r[:2])[:n]]


def median(values):
    values = [v for v in values if v]
    return statistics.median(values) if values else None


def values_of(row, figure, found):
    """A round's figure of each engine; beside busy processes: what is left of its quiet one."""
    if not row.busy:
        return {engine: run.get(figure) for engine, run in found.items()}
    return {engine: run[f"{figure}_beside"] / run[figure] for engine, run in found.items() if run.get(figure)}


def ratio_of(figure, values):
    """To the better peer."""
    peers, mine = [v for engine, v in values.items() if engine != "andiron" and v], values.get("andiron")
    if not peers or not mine:
        return None
    return min(peers) / mine if figure in LESS else mine / max(peers)


def figure_entry(row, figure, rounds):
    """One line of the table: medians and extremes by engine, the median of the rounds' ratios, and the target."""
    found = [values_of(row, figure, each) for each in rounds]
    engines = sorted({engine for values in found for engine in values}, key=list(engines_of.NAMES).index)
    by_engine = {e: [values[e] for values in found if values.get(e)] for e in engines}
    return {"group": row.group, "title": row.title, "figure": figure, "busy": row.busy,
            "values": {e: median(values) for e, values in by_engine.items()},
            "extremes": {e: [min(values), max(values)] for e, values in by_engine.items() if values},
            "ratio": median(ratio_of(figure, values) for values in found), "target": row.targets.get(figure)}


def roof_part(figure, runs, roofs):
    """Percents: of the memory's rate as each process found it, of the best rate of 8-bit dots, which stays."""
    if figure == work.GENERATION:
        return median(run.get("generation_roof_pct") for run in runs)
    if figure == work.PROMPT:
        return statistics.median(r["prompt_roof_pct"] * r["int8_ops_per_s"] / roofs["int8_ops_per_s"] for r in runs)
    return None


def entries_of(row, rounds, roofs):
    mine = [found["andiron"] for found in rounds if "andiron" in found]
    for run in mine:
        for roof in roofs:
            roofs[roof] = max(roofs[roof], run.get(roof, 0))
    entries = [figure_entry(row, figure, rounds) for figure in row.figures
               if any(run.get(figure) for found in rounds for run in found.values())]
    for entry in entries:
        entry["rounds"] = len(rounds)
        entry["roof"] = None if row.busy or not mine else roof_part(entry["figure"], mine, roofs)
    return entries


def measure_all(engines, arguments, result, save):
    words = arguments.only.lower().split(",")
    rows = [r for r in work.rows() if (r.quick or not arguments.quick)
            and any(word in f"{r.group} {r.title} ".lower() for word in words)]
    start = time.monotonic()
    for i, row in enumerate(rows):
        if time.monotonic() - start > arguments.minutes * 60:
            result["left_out"] += [f"{work.GROUPS[r.group]}: {r.title}" for r in rows[i:]]
            break
        model = model_path(row, arguments.models)
        load, share = os.getloadavg()[0], engines_of.free_share()
        n = arguments.rounds or (1 if arguments.quick else row.rounds)
        print(f"{row.group}: {row.title}  (load {load:.1f}, {100 * share:.0f} % of the cores free)", flush=True)
        engines_of.read_once(model)
        entries = entries_of(row, measure_row(engines, row, model, n), result["roofs"])
        for entry in entries:
            entry |= {"load": round(load, 2), "free_share": round(share, 3)}
            print("   " + table.plain_line(entry), flush=True)
        result["rows"] = [e for e in result["rows"] if (e["group"], e["title"]) != (row.group, row.title)] + entries
        save()
        if not isinstance(row.model, str) and not any(r.model == row.model for r in rows[i + 1:]):
            model.unlink()


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--andiron", type=pathlib.Path, default=engines_of.ROOT / "build/release/bin/andiron")
    parser.add_argument("--peers", type=pathlib.Path, default=engines_of.ROOT / "build/bench")
    parser.add_argument("--models", type=pathlib.Path, default=engines_of.ROOT / "build/bench/models")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--only", default="", metavar="WORDS")
    parser.add_argument("--rounds", type=int, default=0, help="of every row; default: as bench/work.py has it")
    parser.add_argument("--add", action="store_true")
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--page", type=pathlib.Path)
    for peer in ("llama", "ik"):
        parser.add_argument(f"--{peer}", help="the Python of its venv, where it is not below --peers")
    return parser.parse_args()


def main():
    arguments = parse()
    peers = {}
    for peer in ("llama", "ik"):
        python = pathlib.Path(getattr(arguments, peer) or arguments.peers / peer / "bin" / "python")
        peers[peer] = str(python) if python.exists() else None
        if not python.exists():
            print(f"run.py: {engines_of.NAMES[peer]} is not there; make bench-peers builds it", file=sys.stderr)
    engines = engines_of.Engines(arguments.andiron, peers)
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")
    result = {"date": now, "machine": engines_of.machine(engines), "engines": engines.names, "quick": arguments.quick,
              "roofs": {"read_bytes_per_s": 0.0, "int8_ops_per_s": 0.0, "f32_flops_per_s": 0.0}, "rows": [],
              "left_out": []}
    if arguments.add and arguments.json and arguments.json.exists():
        before = json.loads(arguments.json.read_text())
        result |= {"rows": before["rows"], "roofs": before["roofs"]}

    def save():
        order = {(r.group, r.title): i for i, r in enumerate(work.rows())}
        result["rows"].sort(key=lambda e: order.get((e["group"], e["title"]), len(order)))
        if arguments.json:
            arguments.json.write_text(json.dumps(result, indent=1) + "\n")
        if arguments.page:
            table.put_into(arguments.page, result)

    measure_all(engines, arguments, result, save)
    save()
    print(table.summary(result))


if __name__ == "__main__":
    main()
