#!/usr/bin/env python3
"""Families of models against Hugging Face transformers: logits, gradients, upcycling, growth, export.

    validation/families.py [--program build/coppice] [--keep DIR] [--only NAME]

transformers writes a tiny random model of each family. Logits and every gradient, in double precision there, are
compared by `validation/golden` on one rank, TP 2 and TP 4. Then the program upcycles each model (4 experts, top 2) and
widens it (FPI), writes Hugging Face directories, and transformers must compute the dense model's logits with them:
max|difference| <= 1e-5 max|logit|. Where no form can say the model, the program must say so. Directories of models with
experts are compared alike, and exported again. Needs torch,
transformers and safetensors; no test and no build needs it. The record: validation/results/families.txt.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

sys.path.pop(0)  # this folder, where transformers.py has the package's name

import torch
import transformers
from safetensors.torch import save_file

BAR = 1e-5
TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SHAPE = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=8, num_key_value_heads=4,
             vocab_size=96, max_position_embeddings=64, rms_norm_eps=1e-6, tie_word_embeddings=False, head_dim=8,
             pad_token_id=None, bos_token_id=1, eos_token_id=2)


def rope(kind, **numbers):
    return dict(rope_parameters=dict(rope_type=kind, rope_theta=10000.0, **numbers))


# name, class, settings, the form of its upcycled export (None: no form can say it)
FAMILIES = [
    ("llama", "Llama", dict(), "mixtral"),
    ("qwen2", "Qwen2", dict(head_dim=4), "qwen2_moe"),
    ("mistral", "Mistral", dict(sliding_window=64), "mixtral"),
    ("mistral-window", "Mistral", dict(sliding_window=7), "mixtral"),
    ("qwen2-window", "Qwen2", dict(head_dim=4, use_sliding_window=True, sliding_window=5, max_window_layers=1), "qwen2_moe"),
    ("qwen3-windows", "Qwen3", dict(use_sliding_window=True, sliding_window=6, layer_types=[
        "sliding_attention", "full_attention", "sliding_attention"]), None),
    ("smollm3-window", "SmolLM3", dict(no_rope_layers=[1, 0, 1], use_sliding_window=True, sliding_window=5), None),
    ("qwen3", "Qwen3", dict(), "qwen3_moe"),
    ("qwen3-tied", "Qwen3", dict(tie_word_embeddings=True, head_dim=12), "qwen3_moe"),
    ("seed-oss", "SeedOss", dict(attention_bias=True, attention_dropout=0.0, residual_dropout=0.0), "qwen2_moe"),
    ("smollm3", "SmolLM3", dict(no_rope_layers=[1, 0, 1]), None),
    ("smollm3-interval", "SmolLM3", dict(no_rope_layer_interval=2, tie_word_embeddings=True), None),
    ("granite", "Granite", dict(embedding_multiplier=12.0, attention_multiplier=0.2, residual_multiplier=0.22,
                                logits_scaling=6.0, head_dim=4), "granitemoe"),
    ("granite-tied", "Granite", dict(embedding_multiplier=6.0, attention_multiplier=0.5, residual_multiplier=0.3,
                                     logits_scaling=3.0, head_dim=4, tie_word_embeddings=True), "granitemoe"),
    ("llama-linear", "Llama", rope("linear", factor=4.0), "mixtral"),
    ("llama-dynamic", "Llama", rope("dynamic", factor=2.0), "mixtral"),
    ("llama-yarn", "Llama", rope("yarn", factor=4.0, original_max_position_embeddings=16), "mixtral"),
    ("qwen3-yarn", "Qwen3", rope("yarn", factor=8.0, original_max_position_embeddings=8, beta_fast=8.0, beta_slow=2.0,
                                 truncate=False), "qwen3_moe"),
    ("llama-yarn-mscale", "Llama", rope("yarn", factor=4.0, original_max_position_embeddings=16, mscale=0.7,
                                        mscale_all_dim=1.3), "mixtral"),
    ("llama-llama3", "Llama", rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                   original_max_position_embeddings=16), "mixtral"),
]

QWEN_MOE = dict(num_experts=6, num_experts_per_tok=2, moe_intermediate_size=24, intermediate_size=48)
# name, class, settings, the form of its export
EXPERTS = [
    ("qwen2-moe", "Qwen2Moe", dict(head_dim=4, shared_expert_intermediate_size=72, **QWEN_MOE), "qwen2_moe"),
    ("qwen2-moe-mixed", "Qwen2Moe", dict(head_dim=4, shared_expert_intermediate_size=24, norm_topk_prob=True,
                                         mlp_only_layers=[0], **QWEN_MOE), "qwen2_moe"),
    ("qwen2-moe-no-bias", "Qwen2Moe", dict(head_dim=4, shared_expert_intermediate_size=48, qkv_bias=False,
                                           decoder_sparse_step=2, **QWEN_MOE), "qwen2_moe"),
    ("qwen3-moe", "Qwen3Moe", dict(norm_topk_prob=True, **QWEN_MOE), "qwen3_moe"),
    ("qwen3-moe-mixed", "Qwen3Moe", dict(tie_word_embeddings=True, mlp_only_layers=[1], **QWEN_MOE), "qwen3_moe"),
    ("granite-moe", "GraniteMoe", dict(num_local_experts=6, num_experts_per_tok=2, embedding_multiplier=6.0, head_dim=4,
                                       attention_multiplier=0.3, residual_multiplier=0.4, logits_scaling=4.0),
     "granitemoe"),
    ("mixtral", "Mixtral", dict(num_local_experts=6, num_experts_per_tok=2, sliding_window=None), "mixtral"),
]
# Arrays that transformers holds in memory by other names than in files.
IN_FILES = [("block_sparse_moe.experts.gate_up_proj", "block_sparse_moe.input_linear.weight"),
            ("block_sparse_moe.experts.down_proj", "block_sparse_moe.output_linear.weight"),
            ("block_sparse_moe.router.weight", "block_sparse_moe.router.layer.weight")]


def in_files(name):
    for ours, theirs in IN_FILES:
        name = name.replace(ours, theirs)
    return name


def make(name, kind, settings, folder):
    """A random model and what it computes, as a reference case."""
    settings = {**SHAPE, **settings}
    if settings["head_dim"] == settings["hidden_size"] // settings["num_attention_heads"]:
        settings.pop("head_dim")  # some families have no such key
    config = getattr(transformers, kind + "Config")(**settings)
    torch.manual_seed(hash_of(name))
    model = getattr(transformers, kind + "ForCausalLM")._from_config(config, attn_implementation="eager", dtype=torch.float32)
    with torch.no_grad():
        for key, p in model.named_parameters():
            p.copy_(1 + 0.2 * torch.randn_like(p) if "norm" in key else torch.randn_like(p) * 1.2 / p.shape[-1] ** 0.5)
    model.save_pretrained(folder)
    tokens = torch.randint(0, 96, (2, 29))
    targets = torch.randint(0, 96, (2, 29))
    targets[torch.rand(2, 29) < 0.1] = -100
    model = model.double().eval()
    if hasattr(config, "num_experts_per_tok"):
        model.set_experts_implementation("eager")
    logits = model(tokens).logits
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100)
    loss.backward()
    expect = {"tokens": tokens, "targets": targets, "logits": logits.detach().float(),
              "loss": loss.detach().float().reshape(1), "cross_entropy": loss.detach().float().reshape(1)}
    expect.update({"grad." + in_files(k): p.grad.float().contiguous() for k, p in model.named_parameters()})
    save_file(expect, os.path.join(folder, "expect.safetensors"))
    with open(os.path.join(folder, "case.json"), "w") as file:
        about = {"about": "%s of Hugging Face transformers %s" % (kind, transformers.__version__)}
        json.dump(dict(about, aux_coeff=0.0) if hasattr(config, "num_experts_per_tok") else about, file, indent=1)
    return tokens, logits.detach().float()


def hash_of(name):
    return sum(ord(c) * 31 ** i for i, c in enumerate(name)) % 2 ** 31


def run(words):
    done = subprocess.run(words, capture_output=True, text=True)
    return done.returncode, done.stderr + done.stdout


def golden(folder, program, layouts=([], ["--ranks", "2", "--tensor", "2"], ["--ranks", "4", "--tensor", "4"],
                                     ["--ranks", "8", "--tensor", "8"])):
    """The largest share of a bar that a row of the table takes is golden's to judge; here: did all pass?"""
    for layout in layouts:
        code, text = run(["env", "COPPICE=" + program, os.path.join(TOP, "validation", "golden"), folder, *layout])
        if code or "0 failed" not in text.splitlines()[-1] or text.splitlines()[-1].startswith("0 passed"):
            return "FAILED %s\n%s" % (layout, text)
    return "ok"


def written(deck, work, name, program, form):
    path, out = os.path.join(work, name + ".yaml"), os.path.join(work, name)
    with open(path, "w") as file:
        file.write(deck)
    code, text = run([program, "upcycle", path, "--out", out, "--format", "hf"])
    if form is None:
        refused = code == 65 and "cannot be exported" in text
        return None, "refused" if refused else "FAILED: not refused: %d %s" % (code, text)
    if code:
        return None, "FAILED %d: %s" % (code, text)
    return out, None


def compare(out, tokens, logits, form):
    model, info = transformers.AutoModelForCausalLM.from_pretrained(
        out, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    if any(info.values()):
        return "FAILED: arrays do not fit: %s" % {k: v for k, v in info.items() if v}
    if model.config.model_type != form:
        return "FAILED: a %s" % model.config.model_type
    if hasattr(model.config, "num_experts_per_tok"):
        model.set_experts_implementation("eager")
    with torch.no_grad():
        theirs = model.eval()(tokens).logits
    difference = ((theirs - logits).abs().max() / logits.abs().max()).item()
    return "%.1e" % difference if difference <= BAR else "FAILED: %.2e" % difference


def check(name, kind, settings, form, work, program):
    folder = os.path.join(work, name)
    tokens, logits = make(name, kind, settings, folder)
    dense = json.load(open(os.path.join(folder, "config.json")))["model_type"]
    dense = {"seed_oss": "qwen2", "mistral": "llama" if not settings.get("sliding_window") else "mistral"}.get(dense, dense)
    data = "data: {sequence: 32}\n"
    head = "model: {like: %s%s}\n" + data
    up, why = written(head % (folder, ", moe: {experts: 4, top_k: 2}"), work, name + "-up", program, form)
    upcycled = why or compare(up, tokens, logits, form)
    wide, why = written(head % (folder, ", hidden: 64, ffn: 96, heads: 16, kv_heads: 8") + "start: {from: %s, grow: {method: fpi}}\n" % folder,
                        work, name + "-wide", program, dense)
    grown = why or compare(wide, tokens, logits, dense)
    return golden(folder, program), upcycled, grown


def check_experts(name, kind, settings, form, work, program):
    folder = os.path.join(work, name)
    tokens, logits = make(name, kind, settings, folder)
    out, why = written("model: {like: %s}\ndata: {sequence: 32}\n" % folder, work, name + "-again", program, form)
    return golden(folder, program, ([], ["--ranks", "2", "--expert", "2"],
                                    ["--ranks", "4", "--tensor", "2", "--expert", "2", "--expert-tensor", "2"])), \
        why or compare(out, tokens, logits, form)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--program", default=os.path.join(TOP, "build", "coppice"))
    a.add_argument("--keep")
    a.add_argument("--only")
    a = a.parse_args()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as scratch:
        work, bad = a.keep or scratch, 0
        os.makedirs(work, exist_ok=True)
        print("transformers %s, torch %s\n%-18s %-12s %-10s %-10s %s" %
              (transformers.__version__, torch.__version__, "family", "form", "golden", "upcycled", "widened"))
        tables = [(FAMILIES, check), (EXPERTS, check_experts)]
        rows = [(how, r) for table, how in tables for r in table if not a.only or r[0].startswith(a.only)]
        for how, (name, kind, settings, form) in rows:
            result = how(name, kind, settings, form, work, os.path.abspath(a.program))
            bad += any("FAILED" in r for r in result)
            print("%-18s %-12s %-10s %-10s %s" % (name, form or "none", *result, *[""] * (3 - len(result))), flush=True)
        print("%d families, %d failed" % (len(rows), bad))
    return 1 if bad else 0


sys.exit(main())
