#!/usr/bin/env python3
"""What `coppice upcycle` writes, run by Hugging Face transformers: logits beside those of the dense model.

usage: upcycle-transformers.py COPPICE MODEL TOKENS.bin [WORK]

MODEL is a dense Llama directory, TOKENS.bin 512 or more uint16 tokens of its tokenizer. For each case below the
model is written to WORK, loaded, run in fp32 with eager attention on the first 512 tokens, and deleted. The bar is
definitions D13: max|difference| <= 1e-5 * max|logit|. Needs torch and transformers; not part of make check.
"""
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.pop(0)  # the library, not the transformers.py beside this file

import numpy
import torch
import transformers
from transformers import AutoModelForCausalLM

TOKENS, BAR = 512, 1e-5


def cases(hidden):
    """name: (class that must load it, model section, start section)"""
    return {
        "E4T2, topk-softmax": (
            "MixtralForCausalLM", {"moe": {"experts": 4, "top_k": 2, "router": "topk-softmax"}}, {}),
        f"FPI, hidden {hidden} -> {2 * hidden}": (
            "LlamaForCausalLM", {"hidden": 2 * hidden}, {"grow": {"method": "fpi"}}),
        "E4G2T4, virtual groups, weight_scale: down": (
            "MixtralForCausalLM", {"moe": {"experts": 8, "top_k": 4, "granularity": 2, "router": "topk-softmax"}},
            {"upcycle": {"weight_scale": "down"}}),
    }


def logits(path, ids, name=None):
    options = {"dtype": torch.float32, "attn_implementation": "eager"}
    if name == "MixtralForCausalLM":
        options["experts_implementation"] = "eager"
    model, info = AutoModelForCausalLM.from_pretrained(path, output_loading_info=True, **options)
    assert name is None or type(model).__name__ == name, type(model).__name__
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"], info
    model.eval()
    with torch.no_grad():
        return model(ids).logits[0].double()


def main():
    program, source, tokens = sys.argv[1:4]
    work = Path(sys.argv[4] if len(sys.argv) > 4 else tempfile.mkdtemp())
    ids = torch.from_numpy(numpy.fromfile(tokens, numpy.uint16)[:TOKENS].astype(numpy.int64))[None]
    hidden = json.loads((Path(source) / "config.json").read_text())["hidden_size"]
    dense = logits(source, ids)
    largest = dense.abs().max().item()
    print(f"transformers {transformers.__version__}, torch {torch.__version__}; {Path(source).name}, {ids.shape[1]} tokens, "
          f"max|logit| {largest:.2f}, bar {BAR * largest:.1e}")
    failed = False
    for case, (name, model, start) in cases(hidden).items():
        deck, out = work / "deck.yaml", work / "upcycled"
        shutil.rmtree(out, ignore_errors=True)
        sections = {"model": {"like": str(Path(source).resolve()), **model}, "start": start}
        deck.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in sections.items() if value))
        said = subprocess.run([program, "upcycle", deck, "--out", out], check=True, text=True, capture_output=True)
        difference = (logits(out, ids, name) - dense).abs().max().item()
        good = difference <= BAR * largest
        failed |= not good
        took = said.stdout.strip().rsplit(" in ", 1)[-1]
        print(f"{'pass' if good else 'FAIL'}  {case:44s} {name:20s} max|difference| {difference:.1e}, written in {took}",
              flush=True)
        shutil.rmtree(out)
    return failed


if __name__ == "__main__":
    sys.exit(main())
