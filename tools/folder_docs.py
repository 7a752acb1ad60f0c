#!/usr/bin/env python3
"""folder_docs.py [--check]: write docs/folders.md, the Hugging Face model_types that definitions of arch/ tell of.

--check writes nothing and fails where the committed page differs."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/folders.md"
HEAD = """# Folders: the model types of Hugging Face that run as they are

Written by `tools/folder_docs.py` from the `folder` lines of `arch/*.arch` ([arch-language.md](arch-language.md),
Folders). `andiron run DIR`, `logits`, `embed` and `convert` take a folder whose config.json has one of these as its
`model_type`, or as the first of its `architectures` (those written in capitals: classes whose scores are for a whole
text, encoders that stand alone). A decoder of any type with `score.weight`, an encoder with
`classifier.out_proj.weight` (...ForSequenceClassification) gives the scores of a text. One of BERT's kin with a head
for each place (masked LM, labels, an answer's ends) gives its scores to `logits`, its rows to `embed` and to a
converted file, as other programs' files have them. A model of several parts is read as the
text model that its `text_config` is. Proof: `test_hf_models`, Transformers' logits of a tiny model
each. An option of config.json that a definition does not cover is refused in one sentence. What is not here can be
imported ([import.md](import.md)).

"""


def page():
    rows, n = [], 0
    for file in sorted((ROOT / "arch").glob("*.arch")):
        types = re.findall(r'^folder "([^"]+)"(?!.*"vision_config")', file.read_text(), re.M)
        n += len(types)
        if types:
            rows.append(f"| [{file.stem}](../arch/{file.name}) | {', '.join(types)} |")
    return HEAD + f"{n} types, {len(rows)} definitions.\n\n| definition | types |\n|---|---|\n" + "\n".join(rows) + "\n"


def main():
    if sys.argv[1:] != ["--check"]:
        PAGE.write_text(page())
    elif PAGE.read_text() != page():
        sys.exit("docs/folders.md: not what arch/*.arch says; run tools/folder_docs.py")


if __name__ == "__main__":
    main()
