#!/usr/bin/env python3
"""coppice eval against lm-evaluation-harness: log-likelihoods of every choice, accuracies, standard errors.

    validation/eval.py MODEL DATA [--program build/coppice] [--limit N] [--mmlu N] [--ranks N] [--set a.b=c]...

MODEL: a Hugging Face directory with a tokenizer. DATA: a folder with arc_easy.jsonl, piqa.jsonl, lambada_openai.jsonl,
mmlu/{dev,test}. The harness gets task files of its own, so neither needs a network. Bar: 1e-3 in each log-likelihood
(fp32 on both sides), equal accuracies unless two choices are closer than the bar. Needs lm_eval, torch, transformers;
no test and no build needs it. The record: validation/results/eval.txt.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

sys.path.pop(0)  # this folder, where transformers.py has the package's name

import lm_eval
import torch
import transformers
from lm_eval.models.huggingface import HFLM

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BAR = 1e-3
SUBJECTS = ["abstract_algebra", "anatomy", "astronomy", "high_school_geography", "world_religions"]


def task(name, path, **more):
    return dict(task=name, dataset_path="csv" if path.endswith(".csv") else "json", dataset_name=None,
                test_split="test", dataset_kwargs={"data_files": {"test": path, **more.pop("files", {})}},
                target_delimiter=" ", metadata={"version": 1}, **more)


def choice_task(name, path):
    return task(name, path, output_type="multiple_choice", doc_to_text="{{query}}\nAnswer:", doc_to_choice="{{choices}}",
                doc_to_target="{{gold}}", num_fewshot=0,
                metric_list=[dict(metric=m, aggregation="mean", higher_is_better=True) for m in ("acc", "acc_norm")])


def mmlu_task(name, data, subject, shots):
    return task(name, "%s/mmlu/test/%s_test.csv" % (data, subject), files={"dev": "%s/mmlu/dev/%s_dev.csv" % (data, subject)},
                output_type="multiple_choice", fewshot_split="dev", num_fewshot=shots,
                fewshot_config={"sampler": "first_n"},
                description="The following are multiple choice questions (with answers) about %s.\n\n" % subject.replace("_", " "),
                doc_to_text="{{question.strip()}}\nA. {{choice0}}\nB. {{choice1}}\nC. {{choice2}}\nD. {{choice3}}\nAnswer:",
                doc_to_choice=["A", "B", "C", "D"], doc_to_target="{{answer}}",
                metric_list=[dict(metric=m, aggregation="mean", higher_is_better=True) for m in ("acc", "acc_norm")])


def lambada_task(name, path):
    return task(name, path, output_type="loglikelihood", doc_to_text="{{context}}", doc_to_target="{{' ' + continuation}}",
                num_fewshot=0, metric_list=[dict(metric="perplexity", aggregation="perplexity", higher_is_better=False),
                                            dict(metric="acc", aggregation="mean", higher_is_better=True)])


def ours(a, path, shots, limit, work):
    out = os.path.join(work, "items.jsonl")
    if os.path.exists(out):
        os.remove(out)
    words = [os.path.abspath(a.program), "eval", a.model, "--task", path, "--limit", str(limit), "--out", out, "--json"]
    words += ["--shots", str(shots)] if shots else []
    for s in a.set:
        words += ["--set", s]
    if a.ranks > 1:
        words = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n", str(a.ranks), *words]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        sys.exit("%s\n%s%s" % (" ".join(words), done.stdout, done.stderr))
    result = json.loads(done.stdout[done.stdout.index("{"):])["tasks"][0]
    return result, [json.loads(line)["loglikelihood"] for line in open(out)]


def theirs(model, config, limit):
    result = lm_eval.simple_evaluate(model=model, tasks=[config], limit=limit, log_samples=True, bootstrap_iters=0)
    samples = sorted(result["samples"][config["task"]], key=lambda s: s["doc_id"])
    # a response is [[log-likelihood, greedy]] for each request of the item
    lls = [[r[0][0] for r in s["resps"]] for s in samples]
    return result["results"][config["task"]], lls


def compare(name, mine, mine_items, their, their_items):
    worst = max(abs(x - y) for a, b in zip(mine_items, their_items) for x, y in zip(a, b))
    good = worst <= BAR and len(mine_items) == len(their_items)
    text = []
    for key in ("acc", "acc_norm", "perplexity"):
        if key not in mine or "%s,none" % key not in their:
            continue
        t = their["%s,none" % key]
        good = good and abs(mine[key] - t) <= (1e-9 if key != "perplexity" else 1e-3 * t)
        text.append("%s %.4f %.4f" % (key, mine[key], t))
    print("%-30s %5d  %8.1e  %s  %s" % (name, len(mine_items), worst, "ok    " if good else "FAILED", "   ".join(text)), flush=True)
    return good


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model"), p.add_argument("data")
    p.add_argument("--program", default=os.path.join(TOP, "build", "coppice"))
    p.add_argument("--limit", type=int, default=200)
    p.add_argument("--mmlu", type=int, default=200, help="items of each MMLU subject")
    p.add_argument("--shots", type=int, default=0, help="of MMLU")
    p.add_argument("--ranks", type=int, default=1)
    p.add_argument("--set", action="append", default=[])
    a = p.parse_args()
    data = os.path.abspath(a.data)
    transformers.utils.logging.set_verbosity_error()
    tokenizer = transformers.AutoTokenizer.from_pretrained(a.model)
    if tokenizer.eos_token is None:  # the harness wants one, though no task here begins without a context
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(0)
    model = HFLM(pretrained=transformers.AutoModelForCausalLM.from_pretrained(a.model, dtype=torch.float32),
                 tokenizer=tokenizer, device="cpu", batch_size=16)
    print("lm_eval %s, transformers %s\n%-30s %5s  %8s  %-6s  %s" %
          (lm_eval.__version__, transformers.__version__, "task", "items", "largest", "", "ours, theirs"))
    tasks = [(choice_task(n, "%s/%s.jsonl" % (data, n)), "%s/%s.jsonl" % (data, n), 0, a.limit) for n in ("arc_easy", "piqa")]
    tasks.append((lambada_task("lambada_openai", data + "/lambada_openai.jsonl"), data + "/lambada_openai.jsonl", 0, a.limit))
    for s in SUBJECTS:
        tasks.append((mmlu_task("mmlu_" + s, data, s, a.shots), "%s/mmlu/test/%s_test.csv" % (data, s), a.shots, a.mmlu))
    bad = 0
    with tempfile.TemporaryDirectory() as work:
        for config, path, shots, limit in tasks:
            if limit == 0:
                continue
            their, their_items = theirs(model, config, limit)
            mine, mine_items = ours(a, path, shots, limit, work)
            bad += not compare(config["task"] + (", %d shots" % shots if shots else ""), mine, mine_items, their, their_items)
    print("%d tasks, %d failed" % (len([t for t in tasks if t[3]]), bad))
    return 1 if bad else 0


sys.exit(main())
