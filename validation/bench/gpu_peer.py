"""What validation/bench/gpu compares with, by PyTorch: products of given shapes, and the same model by transformers."""
import argparse
import sys
import time

import torch
import transformers
from transformers import MixtralConfig, MixtralForCausalLM

ON = "cuda" if torch.cuda.is_available() else "cpu"


def wait():
    if ON == "cuda":
        torch.cuda.synchronize()


def seconds(work, runs):
    work()
    wait()
    begin = time.perf_counter()
    for _ in range(runs):
        work()
    wait()
    return (time.perf_counter() - begin) / runs


def products():
    """Lines `rows columns k times`: y = x w^T forward, then dx = dy w and dw = dy^T x. Random numbers: zeros need less power."""
    flops = took = 0
    for line in sys.stdin:
        m, n, k, times = map(int, line.split())
        x = torch.randn(m, k, device=ON, dtype=torch.bfloat16)
        w = torch.randn(n, k, device=ON, dtype=torch.bfloat16)
        dy = torch.randn(m, n, device=ON, dtype=torch.bfloat16)
        for work in (lambda: x @ w.T, lambda: dy @ w, lambda: dy.T @ x):
            took += times * seconds(work, 10 if ON == "cuda" else 1)
            flops += times * 2 * m * n * k
    print(f"ceiling of products on the step's own shapes, by PyTorch {torch.__version__}: {flops / took / 1e12:.5f} TFLOP/s")


def model_of(a):
    config = MixtralConfig(hidden_size=a.hidden, intermediate_size=a.ffn, num_hidden_layers=a.layers, vocab_size=a.vocab,
                           num_attention_heads=a.heads, num_key_value_heads=a.kv, num_local_experts=8, num_experts_per_tok=2,
                           max_position_embeddings=8192, sliding_window=None, router_aux_loss_coef=0.01,
                           output_router_logits=True, tie_word_embeddings=False)
    config._attn_implementation = "sdpa"
    with torch.device(ON):
        model = MixtralForCausalLM(config).to(torch.bfloat16)
    try:
        model.set_experts_implementation("grouped_mm" if ON == "cuda" else "eager")
    except AttributeError:
        pass  # a version without the choice
    return model.train()


def train(a):
    torch.manual_seed(1)
    model = model_of(a)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=ON == "cuda")
    run = torch.compile(model) if a.train == "compile" else model
    ids = torch.randint(a.vocab, (a.micros, 1, a.sequence), device=ON)

    def step():
        for i in range(a.micros):
            (run(input_ids=ids[i], labels=ids[i], use_cache=False).loss / a.micros).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    took = seconds(step, a.steps)
    tokens = a.micros * a.sequence
    print(f"PyTorch {torch.__version__}, transformers {transformers.__version__}, {a.train}, weights and moments in bf16: "
          f"{1000 * took:.1f} ms a step, {tokens / took:.0f} tokens/s, {tokens * a.flops / took / 1e12:.4g} model TFLOP/s")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--check", action="store_true")
    p.add_argument("--products", action="store_true")
    p.add_argument("--train", choices=["plain", "compile"])
    for name in ("hidden", "ffn", "heads", "kv", "vocab", "sequence", "micros", "layers", "steps"):
        p.add_argument("--" + name, type=int)
    p.add_argument("--flops", type=float)
    a = p.parse_args()
    if a.products:
        products()
    if a.train:
        train(a)


main()
