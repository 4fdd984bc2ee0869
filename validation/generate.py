#!/usr/bin/env python3
"""coppice generate against Hugging Face transformers: the same tokens by the likeliest token, one by one.

    validation/generate.py [DENSE] [--program build/coppice] [--tokens 200] [--only NAME]

Tiny random models of each family, which transformers writes, on one rank and on four (TP 2 x EP 2); the one with dynamic
scaling goes beyond its positions. With DENSE, a Hugging Face directory with a tokenizer: this model, and what it becomes
with 4 experts (top 2) and a few steps of training on War and Peace, as Mixtral, on one rank and on four (EP 4, or TP 2 x
EP 2 if the heads allow it). transformers computes in fp32 with its own cache, a prompt at a time; the program has all
prompts at work beside each other. Where tokens differ, both must have all but equal logits there: closer than 1e-4 of the
largest, a tie within the rounding of two programs; the text is compared up to it. Needs torch, transformers, tokenizers; no test and no build needs it. The record:
validation/results/generate.txt.
"""
import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile

sys.path.pop(0)  # this folder, where transformers.py has the package's name

import tokenizers
import torch
import transformers

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BAR = 1e-4
PROMPTS = ["The capital of France is", "Once upon a time, there was a little girl who", "def fibonacci(n):\n    ",
           "In 1805 the Emperor of the French", "Water boils at a temperature of"]
SHAPE = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=8, num_key_value_heads=4,
             vocab_size=264, max_position_embeddings=512, rms_norm_eps=1e-6, tie_word_embeddings=False, head_dim=8,
             pad_token_id=None, bos_token_id=None, eos_token_id=256)
MOE = dict(num_local_experts=4, num_experts_per_tok=2)
EXPERTS = dict(num_experts=4, num_experts_per_tok=2)


def rope(kind, **numbers):
    return dict(rope_parameters=dict(rope_type=kind, rope_theta=10000.0, **numbers))


FAMILIES = [
    ("llama", "Llama", dict()),
    ("llama-tied", "Llama", dict(tie_word_embeddings=True)),
    ("llama-linear", "Llama", rope("linear", factor=4.0)),
    ("llama-dynamic", "Llama", dict(max_position_embeddings=64, **rope("dynamic", factor=2.0))),
    ("llama-yarn", "Llama", rope("yarn", factor=4.0, original_max_position_embeddings=128)),
    ("llama-llama3", "Llama", rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                   original_max_position_embeddings=64)),
    ("mistral", "Mistral", dict(sliding_window=None)),
    ("qwen2", "Qwen2", dict()),
    ("qwen3", "Qwen3", dict()),
    ("smollm3", "SmolLM3", dict(no_rope_layers=[1, 0, 1])),
    ("granite", "Granite", dict(embedding_multiplier=6.0, attention_multiplier=0.5, residual_multiplier=0.3,
                                logits_scaling=3.0)),
    ("mixtral", "Mixtral", MOE),
    ("qwen2-moe", "Qwen2Moe", dict(moe_intermediate_size=48, shared_expert_intermediate_size=96, **EXPERTS)),
    ("qwen3-moe", "Qwen3Moe", dict(moe_intermediate_size=96, norm_topk_prob=True, **EXPERTS)),
    ("granitemoe", "GraniteMoe", dict(embedding_multiplier=6.0, attention_multiplier=0.5, residual_multiplier=0.3,
                                      logits_scaling=3.0, **MOE)),
]


def write_tokenizer(folder):
    """Bytes, and an end of text."""
    byte = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    t = tokenizers.Tokenizer(tokenizers.models.BPE({c: i for i, c in enumerate(sorted(byte))}, []))
    t.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = tokenizers.decoders.ByteLevel()
    t.add_special_tokens(["<|endoftext|>"])
    t.save(os.path.join(folder, "tokenizer.json"))


def make(number, kind, settings, folder):
    settings = {**SHAPE, **settings}
    if kind in ("Qwen2", "Granite", "Qwen2Moe", "GraniteMoe"):
        settings.pop("head_dim")
    config = getattr(transformers, kind + "Config")(**settings)
    torch.manual_seed(number)
    model = getattr(transformers, kind + "ForCausalLM")(config)
    with torch.no_grad():
        for key, p in model.named_parameters():
            p.copy_(1 + 0.2 * torch.randn_like(p) if "norm" in key else torch.randn_like(p) * 1.5 / p.shape[-1] ** 0.5)
    model.save_pretrained(folder)
    write_tokenizer(folder)
    return folder


def run(words, **more):
    done = subprocess.run(words, capture_output=True, text=True, **more)
    if done.returncode:
        sys.exit("%s\n%s%s" % (" ".join(words), done.stdout[-2000:], done.stderr[-2000:]))
    return done.stdout


def upcycled(a, work):
    """The dense model with experts, trained a little, as Mixtral."""
    with gzip.open(os.path.join(TOP, "input", "war-and-peace.txt.gz")) as f, open(work + "/text.txt", "wb") as to:
        to.write(f.read(100000))
    run([a.program, "tokenize", "--tokenizer", a.dense, "--out", work + "/text", work + "/text.txt"])
    with open(work + "/deck.yaml", "w") as deck:
        deck.write("model: {like: %s, moe: {experts: 4, top_k: 2}}\nrun: {steps: 6, dir: %s/run}\n"
                   "start: {upcycle: {noise: 0.01}}\n"
                   "data: {sequence: 64, train: [%s/text]}\nbatch: {sequences: 4, micro: 2}\n"
                   "optimizer: {lr: 2.0e-4, schedule: constant}\n" % (os.path.abspath(a.dense), work, work))
    run([a.program, "train", work + "/deck.yaml"])
    run([a.program, "export", work + "/run", "--out", work + "/moe"])
    return work + "/moe"


def ours(a, folder, ranks, sets):
    words = [a.program, "generate", folder, "--json", "--tokens", str(a.tokens)]
    for p in PROMPTS:
        words += ["--prompt", p]
    for s in sets:
        words += ["--set", s]
    if ranks > 1:
        words = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n", str(ranks), *words]
    out = run(words, env=dict(os.environ, OMP_NUM_THREADS="1") if ranks > 1 else None)
    return json.loads(out[out.index("{"):])["texts"]


def theirs(a, folder):
    # mode: attention by plain products, experts one by one
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    texts = []
    for prompt in PROMPTS:
        ids = tokenizer(prompt, return_tensors="pt").input_ids
        with torch.no_grad():
            out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=a.tokens, do_sample=False)
        tokens = out[0, ids.shape[1]:].tolist()
        texts.append((ids[0].tolist(), tokens, tokenizer.decode(tokens, skip_special_tokens=True)))
    return model, texts


def gap(model, ids, one, other):
    """How far the logits of two tokens behind ids are from each other, relatively to the largest."""
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0, -1]
    return abs(float(logits[one] - logits[other])) / float(logits.abs().max())


def compare(name, what, model, mine, their):
    good, same, ties = True, 0, []
    for m, (prompt, tokens, text) in zip(mine, their):
        at = next((i for i, (x, y) in enumerate(zip(m["tokens"], tokens)) if x != y), None)
        good = good and m["prompt_tokens"] == len(prompt)
        if at is None:
            good = good and len(m["tokens"]) == len(tokens) and m["text"] == text
            same += len(tokens)
            continue
        close = gap(model, prompt + tokens[:at], tokens[at], m["tokens"][at])
        good = good and close < BAR
        same += at
        ties.append("token %d: %.1e" % (at, close))
    print("%-16s %-24s %6d tokens of %d texts  %s  %s" % (name, what, same, len(their), "ok    " if good else "FAILED",
                                                       "; ".join(ties)), flush=True)
    return not good


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("dense", nargs="?")
    p.add_argument("--program", default=os.path.join(TOP, "build", "coppice"))
    p.add_argument("--tokens", type=int, default=200)
    p.add_argument("--only", default="")
    a = p.parse_args()
    a.program = os.path.abspath(a.program)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    print("transformers %s, torch %s; %d tokens a text" % (transformers.__version__, torch.__version__, a.tokens))
    bad = 0
    with tempfile.TemporaryDirectory() as work:
        cases = []
        for i, (name, kind, settings) in enumerate(FAMILIES):
            if a.only in name:
                cases.append((name, lambda i=i, kind=kind, settings=settings, name=name: make(i, kind, settings, os.path.join(work, name))))
        if a.dense and a.only in "dense":
            cases.append(("dense", lambda: a.dense))
        if a.dense and a.only in "upcycled":
            cases.append(("upcycled", lambda: upcycled(a, work)))
        for name, written in cases:
            folder = written()
            config = json.load(open(os.path.join(folder, "config.json")))
            moe = "num_local_experts" in config or "num_experts" in config
            model, their = theirs(a, folder)
            bad += compare(name, "1 rank", model, ours(a, folder, 1, []), their)
            if config["num_attention_heads"] % 2 == 0:
                sets = ["parallel.tensor=2"] + (["parallel.expert=2"] if moe else [])
                bad += compare(name, "4 ranks, TP 2" + (" x EP 2" if moe else ""), model, ours(a, folder, 4, sets), their)
            elif moe:
                bad += compare(name, "4 ranks, EP 4", model, ours(a, folder, 4, ["parallel.expert=4"]), their)
            else:
                bad += compare(name, "3 ranks, TP 3", model, ours(a, folder, 3, ["parallel.tensor=3"]), their)
    print("%d comparisons failed" % bad)
    return 1 if bad else 0


sys.exit(main())
