#!/usr/bin/env python3
"""Exported models in Hugging Face transformers: the same logits as the program's, in fp32.

    validation/transformers.py [build/coppice]

Trains small models for a few steps, exports them, loads the exports with transformers (eager attention; no array may be
missing or left over) and compares its logits with `coppice probe --out` on the same tokens: max|difference| <= 1e-5
max|logit|. Then a sliding window, and a tokenizer with generation (one of COPPICE_SHARED, by default ../shared; skipped
without it). Needs torch, transformers and safetensors; no test and no build needs it. The record:
validation/results/transformers.txt.
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
LLAMA3 = os.path.join(TOP, "validation", "reference", "dense-bias-llama3")
SHARED = os.environ.get("COPPICE_SHARED", os.path.join(TOP, "..", "shared"))
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

# Exports as Qwen2-MoE, which the program does not read: its logits are those of the run. name, model, moe
QWEN2_MOE = [
    ("every second layer", SHAPE, "experts: 4, top_k: 2, layers: every 2"),
    ("Qwen2 base: biases", SHAPE + ", qkv_bias: true", "experts: 4, top_k: 2"),
    ("softmax-topk", SHAPE, "experts: 4, top_k: 2, router: softmax-topk"),
    ("top 1 of 4", SHAPE, "experts: 4, top_k: 1, router: softmax-topk"),
    ("ST, renormalised; layers 1, 2; biases", SHAPE + ", qkv_bias: true",
     'experts: 4, top_k: 2, router: softmax-topk, renormalise: true, layers: [1, 2]'),
    ("a shared expert", SHAPE, "experts: 4, top_k: 2, shared: 1"),
    ("two gated shared experts, G 2, biases", SHAPE + ", qkv_bias: true",
     "experts: 8, top_k: 4, granularity: 2, shared: 2, shared_gate: true"),
    ("layer 1 alone, G 2, tied", SHAPE.replace("tied: false", "tied: true"),
     'experts: 8, top_k: 4, granularity: 2, layers: [1]'),
    ("head_dim 14", SHAPE + ", head_dim: 14", "experts: 4, top_k: 2, shared: 1"),
    ("G 2, ST, gated, mixed, tied, head_dim 10", SHAPE.replace("tied: false", "tied: true, head_dim: 10") +
     ", qkv_bias: true", "experts: 8, top_k: 3, granularity: 2, router: softmax-topk, layers: every 2, shared: 2, "
     "shared_gate: true"),
    ("llama3 scaling, biases, ST, shared", None, "experts: 4, top_k: 2, router: softmax-topk, shared: 1"),
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


def probe(model, work, tokens):
    """Logits of the program for a model, given as the text of the deck's section."""
    batch, sequence = tokens.shape
    save_file({"tokens": tokens, "targets": tokens.clone()}, os.path.join(work, "tokens.safetensors"))
    deck = deck_of("model: {%s}\nrun: {steps: 1}\ndata: {sequence: %d, batches: tokens.safetensors}\n"
                   "batch: {sequences: %d, micro: 1}\n" % (model, sequence, batch), work)
    out = os.path.join(work, "logits.safetensors")
    coppice("probe", deck, options=["--out", out])
    return load_file(out)["logits"]


def load(export):
    model, info = transformers.AutoModelForCausalLM.from_pretrained(
        export, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    if any(info.values()):
        sys.exit("%s: arrays do not fit: %s" % (export, {k: v for k, v in info.items() if v}))
    if hasattr(model.config, "num_experts_per_tok"):
        model.set_experts_implementation("eager")
    return model.eval()


def theirs(export, tokens):
    model = load(export)
    with torch.no_grad():
        return type(model).__name__, model(tokens).logits


def random_tokens(export):
    vocab = transformers.AutoConfig.from_pretrained(export).vocab_size
    return torch.randint(vocab, (2, 61), generator=torch.Generator().manual_seed(1))


def verdict(name, loaded, logits, reference):
    reference = reference.reshape(logits.shape)
    difference = ((logits - reference).abs().max() / reference.abs().max()).item()
    good = difference <= BAR
    print("%-48s %-20s %9.3f %11.2e %6.0e %s" % (name, loaded, reference.abs().max(), difference, BAR,
                                                 "ok" if good else "FAILED"), flush=True)
    return good


def inputs(work):
    """The folder of decks with the tokens that they name."""
    shutil.copytree(os.path.join(TOP, "input"), work, dirs_exist_ok=True)
    with gzip.open(os.path.join(TOP, "input", "war-and-peace.txt.gz")) as text:
        with open(os.path.join(work, "war-and-peace.bin"), "wb") as file:
            shutil.copyfileobj(text, file)


def compare(name, what, dtype, settings):
    with tempfile.TemporaryDirectory() as work:
        inputs(work)
        run, export = os.path.join(work, "run"), os.path.join(work, "export")
        coppice("train", deck_of(what, work),
                settings=["run.dir=" + run, "eval.every=never", "optimizer.warmup=1", *settings])
        coppice("export", run, options=["--out", export, "--dtype", dtype])
        tokens = random_tokens(export)
        loaded, reference = theirs(export, tokens)
        return verdict(name, loaded, probe("like: export", work, tokens), reference)


def compare_qwen2_moe(name, model, moe):
    with tempfile.TemporaryDirectory() as work:
        inputs(work)
        run, export = os.path.join(work, "run"), os.path.join(work, "export")
        if model:
            deck = "start: random\nmodel: {%s, moe: {%s}}\n%s" % (model, moe, DATA)
        else:
            deck = ("model: {like: %s, moe: {%s}}\ndata: {sequence: 19, batches: %s/expect.safetensors}\n"
                    "batch: {sequences: 2, micro: 1}\noptimizer: {lr: 0.003}\n" % (LLAMA3, moe, LLAMA3))
        coppice("train", deck_of(deck, work), settings=["run.dir=" + run, "run.steps=%d" % (8 if model else 1),
                                                        "eval.every=never", "optimizer.warmup=1"])
        coppice("export", run, options=["--out", export])
        tokens = random_tokens(export)
        loaded, reference = theirs(export, tokens)
        logits = probe("like: run, moe: {%s}" % moe, work, tokens)
        good = verdict("Qwen2-MoE: " + name, loaded, logits, reference)
        return good and loaded == "Qwen2MoeForCausalLM"


def upcycled(config, work, tokens, files=()):
    """A model that transformers makes, upcycled and trained for a step: the run folder."""
    base, run = os.path.join(work, "base"), os.path.join(work, "run")
    torch.manual_seed(3)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(base)
    for file in files:
        shutil.copy(file, base)
    save_file({"tokens": tokens, "targets": tokens.clone()}, os.path.join(work, "train.safetensors"))
    deck = deck_of("model: {like: base, moe: {experts: 4, top_k: 2}}\nrun: {steps: 1, dir: %s}\n"
                   "data: {sequence: %d, batches: train.safetensors}\nbatch: {sequences: 1, micro: 1}\n"
                   "optimizer: {lr: 0.01, warmup: 1}\n" % (run, tokens.shape[1]), work)
    coppice("train", deck)
    return run


def sliding_window():
    """On sequences longer than the window the two forms of an export must agree, and leave keys out."""
    config = transformers.MistralConfig(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=3,
                                        num_attention_heads=4, num_key_value_heads=2, sliding_window=16,
                                        max_position_embeddings=128, initializer_range=0.2)
    with tempfile.TemporaryDirectory() as work:
        run = upcycled(config, work, torch.randint(64, (1, 16), generator=torch.Generator().manual_seed(2)))
        exports = [os.path.join(work, form) for form in ("mixtral", "qwen2_moe")]
        for export in exports:
            coppice("export", run, options=["--out", export, "--as", os.path.basename(export)])
        tokens = random_tokens(exports[0])
        logits = [theirs(export, tokens)[1] for export in exports]
        whole = load(exports[0])
        whole.config.sliding_window = None
        with torch.no_grad():
            seen = (whole(tokens).logits - logits[0]).abs().max() > 0.01 * logits[0].abs().max()
        return verdict("window 16 of 61 tokens: Qwen2-MoE beside Mixtral", "both", logits[1], logits[0]) and bool(seen)


def tokenizer():
    """AutoTokenizer and generate on an export; the ids are those of the base."""
    folder = os.path.join(SHARED, "data", "tokenizers", "llama3")
    if not os.path.isdir(folder):
        print("tokenizer and generation: skipped, no folder %s" % folder)
        return True
    config = transformers.LlamaConfig(vocab_size=128256, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
                                      num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=256,
                                      bos_token_id=128000, eos_token_id=[128001, 128009])
    with tempfile.TemporaryDirectory() as work:
        files = [os.path.join(folder, file) for file in os.listdir(folder)]
        text = "Well, Prince, so Genoa and Lucca are now just family estates of the Buonapartes."
        tokens = transformers.AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt").input_ids
        run, export = upcycled(config, work, tokens, files), os.path.join(work, "export")
        coppice("export", run, options=["--out", export])
        mine = transformers.AutoTokenizer.from_pretrained(export)
        again = mine(text, return_tensors="pt").input_ids
        model = load(export)
        new = model.generate(again, max_new_tokens=4, do_sample=False)
        good = (torch.equal(again, tokens) and mine.decode(again[0], skip_special_tokens=True) == text and
                new.shape[1] > again.shape[1] and model.config.bos_token_id == 128000 and
                model.config.eos_token_id == [128001, 128009] and
                model.generation_config.eos_token_id == [128001, 128009])
        print("AutoTokenizer, generate and token ids of an export with Llama 3's tokenizer: %s" %
              ("ok" if good else "FAILED"), flush=True)
        return good


def main():
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    version = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True).stdout.strip()
    print("%s, transformers %s, torch %s" % (version, transformers.__version__, torch.__version__))
    print("%-48s %-20s %9s %11s %6s" % ("export", "class", "max|logit|", "difference", "bar"))
    good = [compare(*case) for case in CASES]
    good += [compare_qwen2_moe(*case) for case in QWEN2_MOE]
    good += [sliding_window(), tokenizer()]
    print("PASSED" if all(good) else "FAILED")
    sys.exit(not all(good))


if __name__ == "__main__":
    main()
