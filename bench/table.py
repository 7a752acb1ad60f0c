#!/usr/bin/env python3
"""table.py JSON PAGE: put the table of a JSON file that run.py wrote between the markers of a page."""
import json
import pathlib
import sys

import work
from engines import NAMES

BEGIN, END = "<!-- table: written by bench/run.py -->", "<!-- end of table -->"
WORDS = {work.PROMPT: "prompt", work.GENERATION: "generation", work.FIRST: "s", work.PEAK: "MiB"}
DASH = "-"


def shown(entry, value):
    if value is None:
        return DASH
    if entry["busy"]:
        return f"{100 * value:.0f} %"
    if entry["figure"] == work.FIRST:
        return f"{value:.3f}"
    if entry["figure"] == work.PEAK:
        return f"{value / work.MIB:.1f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def verdict(entry):
    """(the target in words, True, False or None where nothing can be said)."""
    target, mine = entry["target"], entry["values"].get("andiron")
    if not target:
        return "", None
    if mine is None:
        return words_of(target, entry), False
    if "most" in target:
        return words_of(target, entry), mine <= target["most"]
    if "kept" in target:
        return words_of(target, entry), mine >= target["kept"]
    ratio = entry["ratio"]
    ok = ratio >= target["ratio"] if ratio else None
    if "roof" in target:
        ok = bool(ok or ok is None) and (entry.get("roof") or 0) >= 100 * target["roof"]
    return words_of(target, entry), ok


def words_of(target, entry):
    if "most" in target:
        return f"at most {shown(entry, target['most'])}"
    if "kept" in target:
        return f"{100 * target['kept']:.0f} %"
    roof = f", {100 * target['roof']:.0f} % of roof" if "roof" in target else ""
    return f"{target['ratio']:.1f} x{roof}"


def cells(entry, engines):
    words, ok = verdict(entry)
    part = entry.get("roof")
    ratio = f"{entry['ratio']:.2f} x" if entry["ratio"] else DASH
    unit = WORDS[entry["figure"]]
    name = f"{entry['title']}, {unit}" if unit not in ("s", "MiB") else f"{entry['title']} ({unit})"
    return [name, *(shown(entry, entry["values"].get(e)) for e in engines), ratio,
            f"{part:.0f} %" if part else "", words, {True: "hit", False: "**miss**", None: ""}[ok]]


def plain_line(entry):
    values = "  ".join(f"{NAMES[e]} {shown(entry, v)}" for e, v in entry["values"].items())
    return f"{WORDS[entry['figure']]:>10}: {values}" + (f"  ratio {entry['ratio']:.2f}" if entry["ratio"] else "")


def markdown(result):
    roofs, machine, engines = result["roofs"], result["machine"], result["engines"]
    lines = [
        f"Measured on {result['date']}, andiron {machine['andiron']}: {machine['cpu']} (model {machine['model']}), "
        f"{machine['cores']} cores{' of a virtual machine' if machine['virtual'] else ''}, "
        f"{machine['memory_gib']} GiB, "
        f"caches {machine['level2_cache']} and {machine['level3_cache']}, {machine['system']}"
        f"{', real-time priority' if machine['realtime'] else ''}. Best roofs seen in the run: memory reads "
        f"{roofs['read_bytes_per_s'] / 1e9:.1f} GB/s, int8 dots {roofs['int8_ops_per_s'] / 1e9:.0f} G operations/s, "
        "f32 "
        f"{roofs['f32_flops_per_s'] / 1e9:.0f} GFLOP/s. Tokens a second unless another unit is named; medians.", ""]
    loads = [row["free_share"] for row in result["rows"]]
    if loads:
        least, middle, most = (100 * sorted(loads)[i] for i in (0, len(loads) // 2, -1))
        lines += [f"How quiet the machine was: before the rows an ordinary process got {least:.0f} to {most:.0f} % "
                  f"of a core (median {middle:.0f} %).", ""]
    for group, title in work.GROUPS.items():
        entries = [row for row in result["rows"] if row["group"] == group]
        if not entries:
            continue
        head = [title, *(NAMES[e] for e in engines), "ratio", "of roof", "target", ""]
        lines += ["| " + " | ".join(head) + " |", "|---" + "|--:" * (len(head) - 3) + "|---|---|"]
        lines += ["| " + " | ".join(cells(entry, engines)) + " |" for entry in entries] + [""]
    if result["left_out"]:
        lines += ["Not measured for want of time: " + "; ".join(result["left_out"]) + ".", ""]
    return "\n".join(lines)


def put_into(page, result):
    page = pathlib.Path(page)
    before, rest = page.read_text().split(BEGIN)
    _, after = rest.split(END)
    page.write_text(f"{before}{BEGIN}\n{markdown(result)}{END}{after}")


def summary(result):
    verdicts = [(entry, verdict(entry)[1]) for entry in result["rows"]]
    missed = [f"{e['title']} {WORDS[e['figure']]}" for e, ok in verdicts if ok is False]
    return f"{sum(ok is True for _, ok in verdicts)} targets hit, {len(missed)} missed" + (
        ": " + "; ".join(missed) if missed else "")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    put_into(sys.argv[2], json.loads(pathlib.Path(sys.argv[1]).read_text()))
