#!/usr/bin/env python3
"""Exported models in Hugging Face transformers: the same logits as the program's, in fp32.

    validation/transformers.py [build/coppice]

Trains small models for a few steps, exports them, loads the exports with transformers (eager attention) and compares
its logits with `coppice probe --out` on the same tokens: max|difference| <= 1e-5 max|logit|. Needs torch, transformers
and safetensors; no test and no build needs it. The record: validation/results/transformers.txt.
"""
import gzip
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.pop(0)  # this folder, where this file has the package's name

import torch
import transformers
from safetensors.torch import load_file, save_file

BAR = 1e-5
TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROGRAM = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(TOP, "build", "coppice"))
SHAPE = "hidden: 48, ffn: 80, layers: 3, heads: 6, kv_heads: 2, vocab: 256, tied: false, max_positions: 512"
DATA = "data: {sequence: 64, train: [war-and-peace]}\nbatch: {sequences: 4, micro: 2}\noptimizer: {lr: 0.01}\n"
ONE = ["parallel.tensor=1", "parallel.expert=1"]

# name, deck (a file of input/, a text, or a reference case), type of the export, settings
CASES = [
    ("Llama: input/tiny-dense.yaml", "tiny-dense.yaml", "float32",
     ["run.steps=2", "batch.sequences=4", "batch.micro=4"]),
    ("dense-bias-llama3: rotary scaling, biases", "reference/dense-bias-llama3", "float32", ["run.steps=1"]),
    ("Qwen2: biases on Q, K, V; a head of its own", "start: random\nmodel: {%s, qkv_bias: true}\n%s" % (SHAPE, DATA),
     "float32", ["run.steps=8"]),
    ("Mixtral: input/demo.yaml", "demo.yaml", "float32", ["run.steps=4", *ONE]),
    ("Mixtral: input/demo.yaml in bfloat16", "demo.yaml", "bfloat16", ["run.steps=4", *ONE]),
    ("Mixtral: input/demo.yaml, granularity 2", "demo.yaml", "float32",
     ["run.steps=4", "model.moe.granularity=2", *ONE]),
    ("Mixtral: top 3 of 8, from random weights",
     "start: random\nmodel: {%s, moe: {experts: 8, top_k: 3}}\n%s" % (SHAPE, DATA), "float32", ["run.steps=8"]),
]


def coppice(command, *files, settings=(), options=()):
    words = [PROGRAM, command, *files, *options]
    for s in settings:
        words += ["--set", s]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        sys.exit("%s\nexit code %d\n%s%s" % (" ".join(words), done.returncode, done.stdout, done.stderr))


def deck_of(what, work):
    """The path of a deck; texts and reference cases become a file beside the tokens."""
    if what.endswith(".yaml"):
        return os.path.join(work, what)
    if what.startswith("reference/"):
        case = os.path.join(TOP, "validation", what)
        what = ("model: {like: %s}\ndata: {sequence: 19, batches: %s/expect.safetensors}\n"
                "batch: {sequences: 2, micro: 1}\noptimizer: {lr: 0.003, schedule: constant}\n" % (case, case))
    path = os.path.join(work, "deck.yaml")
    with open(path, "w") as file:
        file.write(what)
    return path


def ours(export, work, tokens):
    """Logits of the program for an export."""
    batch, sequence = tokens.shape
    save_file({"tokens": tokens, "targets": tokens.clone()}, os.path.join(work, "tokens.safetensors"))
    deck = deck_of("model: {like: export}\nrun: {steps: 1}\ndata: {sequence: %d, batches: tokens.safetensors}\n"
                   "batch: {sequences: %d, micro: 1}\n" % (sequence, batch), work)
    out = os.path.join(work, "logits.safetensors")
    coppice("probe", deck, options=["--out", out])
    return load_file(out)["logits"]


def theirs(export, tokens):
    model = transformers.AutoModelForCausalLM.from_pretrained(
        export, dtype=torch.float32, attn_implementation="eager").eval()
    if hasattr(model.config, "num_local_experts"):
        model.set_experts_implementation("eager")
    with torch.no_grad():
        return type(model).__name__, model(tokens).logits


def compare(name, what, dtype, settings):
    with tempfile.TemporaryDirectory() as work:
        shutil.copytree(os.path.join(TOP, "input"), work, dirs_exist_ok=True)
        with gzip.open(os.path.join(TOP, "input", "war-and-peace.txt.gz")) as text:
            with open(os.path.join(work, "war-and-peace.bin"), "wb") as file:
                shutil.copyfileobj(text, file)
        run, export = os.path.join(work, "run"), os.path.join(work, "export")
        coppice("train", deck_of(what, work),
                settings=["run.dir=" + run, "eval.every=never", "optimizer.warmup=1", *settings])
        coppice("export", run, options=["--out", export, "--dtype", dtype])
        vocab = transformers.AutoConfig.from_pretrained(export).vocab_size
        tokens = torch.randint(vocab, (2, 61), generator=torch.Generator().manual_seed(1))
        loaded, reference = theirs(export, tokens)
        logits = ours(export, work, tokens).reshape(reference.shape)
    difference = ((logits - reference).abs().max() / reference.abs().max()).item()
    good = difference <= BAR
    print("%-44s %-20s %9.3f %11.2e %6.0e %s" % (name, loaded, reference.abs().max(), difference, BAR,
                                                 "ok" if good else "FAILED"), flush=True)
    return good


def main():
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    version = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True).stdout.strip()
    print("%s, transformers %s, torch %s" % (version, transformers.__version__, torch.__version__))
    print("%-44s %-20s %9s %11s %6s" % ("export", "class", "max|logit|", "difference", "bar"))
    good = [compare(*case) for case in CASES]
    print("PASSED" if all(good) else "FAILED")
    sys.exit(not all(good))


if __name__ == "__main__":
    main()
