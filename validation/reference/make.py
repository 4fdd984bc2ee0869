#!/usr/bin/env python3
"""Make the reference cases in this folder (needs torch, transformers, safetensors). See README.md.

    python3 make.py [--out DIR] [--cases FILE] [--seed-shift N]
"""
import argparse, json, os, sys
import numpy as np
import torch
from safetensors.numpy import save_file
import oracle

torch.set_num_threads(2)
BASE = dict(rms_norm_eps=1e-5, rope_theta=10000.0, tie_word_embeddings=False, hidden_act="silu", max_position_embeddings=512)


def parameters(c, seed):
    """Random fp32 weights (as double) with Hugging Face names; norms away from 1 so that they matter."""
    g = torch.Generator().manual_seed(seed)
    H, F_, V = c["hidden_size"], c["intermediate_size"], c["vocab_size"]
    q, kv = c["num_attention_heads"] * c["head_dim"], c["num_key_value_heads"] * c["head_dim"]
    p = {}
    def w(name, *shape, std=None):
        p[name] = torch.randn(*shape, generator=g) * (std if std is not None else 1.2 / shape[-1] ** 0.5)
    def norm(name):
        p[name] = 1 + 0.2 * torch.randn(H, generator=g)
    w("model.embed_tokens.weight", V, H, std=0.5)
    for l in range(c["num_hidden_layers"]):
        n = f"model.layers.{l}"
        norm(n + ".input_layernorm.weight")
        for x, rows in (("q", q), ("k", kv), ("v", kv)):
            w(f"{n}.self_attn.{x}_proj.weight", rows, H)
            if c.get("qkv_bias"):
                w(f"{n}.self_attn.{x}_proj.bias", rows, std=0.3)
        w(n + ".self_attn.o_proj.weight", H, q)
        norm(n + ".post_attention_layernorm.weight")
        if c.get("moe") and l in c["moe"]["layers"]:
            m = c["moe"]
            w(n + ".block_sparse_moe.gate.weight", m["experts"], H)
            for e in range(m["experts"]):
                for x, shape in (("w1", (F_, H)), ("w2", (H, F_)), ("w3", (F_, H))):
                    w(f"{n}.block_sparse_moe.experts.{e}.{x}.weight", *shape)
            if m.get("shared"):
                S = m["shared"] * F_
                for x, shape in (("gate", (S, H)), ("up", (S, H)), ("down", (H, S))):
                    w(f"{n}.mlp.shared_expert.{x}_proj.weight", *shape)
            if m.get("shared_gate"):
                w(f"{n}.mlp.shared_expert_gate.weight", 1, H)
        else:
            for x, shape in (("gate", (F_, H)), ("up", (F_, H)), ("down", (H, F_))):
                w(f"{n}.mlp.{x}_proj.weight", *shape)
    norm("model.norm.weight")
    if not c["tie_word_embeddings"]:
        w("lm_head.weight", V, H)
    return {k: v.float().double() for k, v in p.items()}


def hf_config(c):
    """What goes into config.json; the class is one that transformers has, or None if it cannot express the case."""
    m = c.get("moe")
    cls = "MixtralForCausalLM" if m else "Qwen2ForCausalLM" if c.get("qkv_bias") else "LlamaForCausalLM"
    j = {k: c[k] for k in ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim",
                           "vocab_size", "rms_norm_eps", "rope_theta", "tie_word_embeddings", "hidden_act", "max_position_embeddings")}
    if c.get("rope_scaling"): j["rope_scaling"] = dict(c["rope_scaling"], rope_type="llama3")
    j.update(architectures=[cls], model_type={"M": "mixtral", "Q": "qwen2", "L": "llama"}[cls[0]], torch_dtype="float32")
    expressible = True
    if m:
        j.update(num_local_experts=m["experts"], num_experts_per_tok=m["top_k"], router_aux_loss_coef=m.get("aux_coeff", 0.0), output_router_logits=False, sliding_window=c.get("sliding_window"))
        all_layers = list(m["layers"]) == list(range(c["num_hidden_layers"]))
        same = m["router"] == "topk-softmax" or m.get("renormalise")
        ours = any(m.get(k) for k in ("capacity_factor", "shared", "jitter")) or "pad_id" in c
        expressible = all_layers and same and not ours and not c.get("qkv_bias")
        if not all_layers: j["coppice_moe_layers"] = m["layers"]
    return j, expressible


def hf_logits(case_dir, tokens):
    import transformers
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    model = transformers.AutoModelForCausalLM.from_pretrained(case_dir, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager")
    with torch.no_grad():
        return model(tokens).logits.double()


def divide(c, spec, tokens, g):
    """Put padding into some sequences of tokens [..., T] (before, between, behind), and number their documents."""
    if not spec.get("documents"): return None
    borders = torch.rand(tokens.shape, generator=g) < 1 / spec["documents"]
    if "pad_id" in c:
        kind = torch.randint(0, 4, tokens.shape[:-1], generator=g)
        T = tokens.shape[-1]
        for which, (lo, hi) in enumerate(((0, 2), (T // 3, T // 3 + 3), (T - 4, T))):
            tokens[..., lo:hi][kind == which] = c["pad_id"]
    return borders.long().cumsum(-1)


def np32(t):
    return np.ascontiguousarray(t.detach().numpy().astype(np.float32))


def train(c, p, t, g):
    """AdamW with decoupled decay (none on norms and biases), clipping by the global norm, linear warm-up then cosine."""
    p = {k: v.clone().requires_grad_() for k, v in p.items()}
    decay = [k for k in p if p[k].dim() == 2]
    opt = torch.optim.AdamW([dict(params=[p[k] for k in decay], weight_decay=t["weight_decay"]),
                             dict(params=[p[k] for k in p if k not in decay], weight_decay=0.0)], lr=1.0, betas=tuple(t["betas"]), eps=t["eps"])
    tokens = torch.randint(0, c["vocab_size"], (t["steps"], t["batch"], t["sequence"] + 1), generator=g)
    documents = divide(c, t, tokens, g)
    targets = tokens[:, :, 1:].clone()
    if t.get("ignore"):  # uneven counts: later sequences lose more targets
        lose = torch.rand(targets.shape, generator=g) < t["ignore"] * torch.arange(1, t["batch"] + 1)[None, :, None] / t["batch"]
        targets[lose] = -100
    m = t.get("micro", t["batch"])
    M = t["batch"] // m
    state = oracle.state_of(c)
    losses, norms, lrs, margin = [], [], [], 1e9
    for s in range(t["steps"]):
        u = s + 1
        if u <= t["warmup"]: lr = t["lr"] * u / t["warmup"]
        else: lr = t["min_lr"] + 0.5 * (t["lr"] - t["min_lr"]) * (1 + np.cos(np.pi * (u - t["warmup"]) / (t["steps"] - t["warmup"])))
        for gr in opt.param_groups: gr["lr"] = lr
        opt.zero_grad()
        counted = int((oracle.counted(c, tokens[s, :, :-1], targets[s]) != -100).sum())
        total, counts = 0.0, 0
        for i in range(M):  # micro-batch i holds sequences i*m ... i*m+m-1
            x, y = tokens[s, i * m:(i + 1) * m, :-1], targets[s, i * m:(i + 1) * m]
            state["sample"] = s * t["batch"] + i * m
            d = None if documents is None else documents[s, i * m:(i + 1) * m, :-1]
            _, ce, _, extra = oracle.loss_of(c, p, x, y, state, d)
            n = int((oracle.counted(c, x, y) != -100).sum())
            ce_sum = ce * n if n else ce * 0
            (ce_sum / counted + oracle.losses(c, extra) / M).backward()
            if extra["counts"]: counts = counts + torch.stack(extra["counts"]).double()
            total += float(ce_sum.detach()) / counted
            margin = min(margin, extra["margin"])
        norms.append(float(torch.nn.utils.clip_grad_norm_(list(p.values()), t["clip"])))
        opt.step()
        if c.get("moe"): oracle.update_state(c, state, counts)
        losses.append(total); lrs.append(float(lr))
    out = {"train.tokens": tokens.numpy(), "train.targets": np.ascontiguousarray(targets.numpy()), "train.loss": np.array(losses, np.float32), "train.grad_norm": np.array(norms, np.float32), "train.lr": np.array(lrs, np.float32)}
    out.update({"train.final." + k: np32(v) for k, v in p.items()})
    if documents is not None: out["train.documents"] = np.ascontiguousarray(documents[..., :-1].numpy())
    return out, margin


def make(name, spec, out, shift):
    c = dict(BASE, **spec["config"])
    c.setdefault("head_dim", c["hidden_size"] // c["num_attention_heads"])
    if c.get("moe"): c["moe"].setdefault("layers", list(range(c["num_hidden_layers"])))
    least = spec.get("margin", 2e-4)
    for attempt in range(spec.get("attempts", 50)):  # until no token sits on a routing boundary, where rounding may flip a choice
        seed = spec["seed"] + shift + 1000 * attempt
        p = parameters(c, seed)
        g = torch.Generator().manual_seed(seed + 1)
        B, T = spec["batch"]
        tokens = torch.randint(0, c["vocab_size"], (B, T), generator=g)
        targets = torch.randint(0, c["vocab_size"], (B, T), generator=g)
        targets[torch.rand(B, T, generator=g) < 0.1] = -100
        documents = divide(c, spec, tokens, g)
        q = {k: v.clone().requires_grad_() for k, v in p.items()}
        loss, ce, logits, extra = oracle.loss_of(c, q, tokens, targets, None, documents)
        margin = extra["margin"]
        trained = {}
        if margin > least and spec.get("train"):
            trained, tm = train(c, p, spec["train"], g)
            margin = min(margin, tm)
        if margin > least: break
    else:
        sys.exit(f"{name}: no seed keeps the router away from ties")
    loss.backward()
    d = f"{out}/{name}"
    os.makedirs(d, exist_ok=True)
    config, expressible = hf_config(c)
    json.dump(config, open(d + "/config.json", "w"), indent=1)
    save_file({k: np32(v) for k, v in p.items()}, d + "/model.safetensors", metadata={"format": "pt"})
    e = {"tokens": tokens.numpy(), "targets": targets.numpy(), "logits": np32(logits), "loss": np32(loss.reshape(1)), "cross_entropy": np32(ce.reshape(1))}
    e.update({"grad." + k: np32(v.grad) for k, v in q.items()})
    if c.get("moe"):
        e.update({k: np32(extra[k].reshape(1)) for k in ("aux_loss", "z_loss") + ("max_z_loss",) * ("max_z_coeff" in c["moe"])})
        for i, l in enumerate(c["moe"]["layers"]):
            e[f"router_logits.{l}"] = np32(extra["router_logits"][i]); e[f"expert_counts.{l}"] = extra["counts"][i].numpy()
    e.update(trained)
    if documents is not None: e["documents"] = documents.numpy()
    save_file(e, d + "/expect.safetensors")
    note = dict(about=spec["about"], moe=c.get("moe"), train=spec.get("train"), dropped_assignments=extra["dropped"], routing_margin=None if margin > 1e8 else margin, seed=seed)
    if documents is not None: note["document_mask"] = "true"
    if "pad_id" in c: note["pad_id"] = c["pad_id"]
    if expressible:
        note["transformers_max_abs_diff"] = float((hf_logits(d, tokens) - logits).abs().max())
        assert note["transformers_max_abs_diff"] < 2e-4, (name, note)
    json.dump(note, open(d + "/case.json", "w"), indent=1)
    print(f"{name:28s} loss {float(loss):.5f}  dropped {extra['dropped']:3d}  margin {note['routing_margin']}  transformers diff {note.get('transformers_max_abs_diff')}  {sum(os.path.getsize(d + '/' + f) for f in os.listdir(d)) / 1e6:.1f} MB", flush=True)


if __name__ == "__main__":
    a = argparse.ArgumentParser()
    here = os.path.dirname(os.path.abspath(__file__))
    a.add_argument("--out", default=here); a.add_argument("--cases", default=here + "/cases.json"); a.add_argument("--seed-shift", type=int, default=0)
    a = a.parse_args()
    for name, spec in json.load(open(a.cases)).items():
        make(name, spec, a.out, a.seed_shift)
