#!/bin/sh
# coppice plan on the command line: pages, refusals, search, legal numbers of ranks, job scripts, machine files.
. "${srcdir:-.}/validation/scripts/tap.sh"
machines=$top/input/machines
# A deck of Llama-3-8B with eight experts, without any file of it.
cat > "$work/e8t2.yaml" << 'DECK'
start: random
model: {hidden: 4096, ffn: 14336, layers: 32, heads: 32, kv_heads: 8, vocab: 128256, max_positions: 8192,
        moe: {experts: 8, top_k: 2, capacity: 1.0}}
run: {tokens: 1.0e+11}
device: {type: cuda, precision: bf16}
parallel: {tensor: 4, expert: 8}
data: {sequence: 8192, train: [/nowhere]}
batch: {sequences: 512, micro: 1}
DECK
plan() { "$COPPICE" plan "$@"; }
h100="--machine $machines/dgx-h100.yaml"

# shellcheck disable=SC2086
ends 0 plan "$work/e8t2.yaml" --ranks 128 $h100 && said 'weights  *12\.5 GB' && said 'gradients  *24\.9 GB' &&
    said 'imbalance allowance' && said 'fits into the 80 GB' && said 'it binds: matrix products' && said 'Megatron (causal half)' &&
    said 'every .* (Daly; Young' && said 'node-hours'
verdict $? "Llama-3-8B E8T2 on 128 H100: memory, time, speed, run, checkpoints"

# shellcheck disable=SC2086
ends 0 plan "$work/e8t2.yaml" --ranks 128 $h100 --like megatron --with context=2 --with pipeline=4 --with virtual=8 \
    --with tensor=1 && said '47\.6 % of its peak' && said 'pipeline bubble' && said 'has no pipeline' && said 'tensor 4, expert 8'
verdict $? "the same for Megatron-Core: the published layout at 47.6 % (published 46.8 %), Coppice's needs beside it"

# shellcheck disable=SC2086
ends 69 plan "$work/e8t2.yaml" --ranks 128 $h100 --set parallel.tensor=1 && said 'DOES NOT FIT' &&
    said 'nearest that fits: parallel: {tensor: [24], expert: 8'
verdict $? "a deck that cannot fit: exit code 69, and the nearest that does"

# What planning takes is counted in rehearsals of a rank, since a clock says little on a machine that others use, too. A rehearsal takes about 15 ms.
# shellcheck disable=SC2086
ends 0 plan "$work/e8t2.yaml" --ranks 1024 $h100 --search && said '224 layouts' && said '4 .* 8 .* 2 .* 1 .* GB' &&
    ends 0 plan "$work/e8t2.yaml" --ranks 1024 $h100 --search --json && said '"rehearsals": 224,' && [ "$(grep -c '"micro"' "$work/said")" -eq 224 ]
verdict $? "all 224 layouts of 1,024 ranks, with a rehearsal each (less than 10 seconds)"

# shellcheck disable=SC2086
ends 0 plan "$work/e8t2.yaml" --ranks 10240 --set batch.sequences=25600 $h100 && said '10240 like rank 0' &&
    ends 0 plan "$work/e8t2.yaml" --ranks 10240 --set batch.sequences=25600 $h100 --json && [ "$(grep -c '"first_rank"' "$work/said")" -eq 1 ]
verdict $? "10,240 ranks, with one rehearsal (less than 2 seconds)"

# shellcheck disable=SC2086
ends 0 plan "$work/e8t2.yaml" --ranks 128 $h100 --json && said '"fits": true' && said '"step_s":' && said '"binds":'
verdict $? "--json"
# shellcheck disable=SC2086
plan "$work/e8t2.yaml" --ranks 128 $h100 --job > "$work/job.sh" && sh -n "$work/job.sh" && cp "$work/job.sh" "$work/said" &&
    said '--nodes=16' && said '--ntasks=128' && said 'coppice train'
verdict $? "--job: a script that a shell can read"
ends 0 plan "$work/e8t2.yaml" --legal-ranks --ranks 64 && said '^ *8 16 32 64$' && said '^ *1 2 4 8 16 32 64$'
verdict $? "--legal-ranks of a deck"

# A machine file with mistakes: each at its place.
sed 's/^gemm: .*/gem: 1/; s/^memory: .*/memory: -1/; s/^network: .*//' "$machines/dgx-h100.yaml" > "$work/bad.yaml"
ends 64 plan "$work/e8t2.yaml" --ranks 128 --machine "$work/bad.yaml" && said 'bad.yaml:[0-9]*:1: gem: unknown key .* gemm' &&
    said 'memory: -1 is less than 1' && said 'network is missing'
verdict $? "a machine file with mistakes: all of them, with their places"
printf 'gemm: [1, two]\n' > "$work/bad.yaml"
ends 64 plan "$work/e8t2.yaml" --ranks 128 --machine "$work/bad.yaml" && said 'bad.yaml:1:11: expected a number'
verdict $? "a machine file with a word in a list"
ends 64 plan "$work/e8t2.yaml" --ranks 128 --machine nowhere && said 'nowhere'
verdict $? "no machine file"
# shellcheck disable=SC2086
ends 64 plan "$work/e8t2.yaml" --ranks 128 $h100 --like megatron --with pipelin=4 && said 'expected one of tensor, context, pipeline'
verdict $? "--with a key that does not exist"
# shellcheck disable=SC2086
ends 64 plan "$work/e8t2.yaml" --ranks 128 $h100 --like megatron --with pipeline=5 && said '5 does not divide'
verdict $? "--with a size that does not divide"
ends 64 plan && said 'no deck given'
verdict $? "no deck"

# A run and its plan: FLOPs of the run's profile, and bytes that it sent, are those that the plan counts.
tokens "$work/tokens"
tiny "experts: 4, top_k: 2" "$work/tokens" > "$work/deck.yaml"
ends 0 "$COPPICE" train "$work/deck.yaml" --set "run.dir=$work/run" --set run.steps=2
verdict $? "a run"
said '^plan  *[0-9.e-]* s a step predicted' && said 'worst term: ' && grep -q '"ratio": [0-9]' "$work/run/plan.json" &&
    grep -q 'memory_bytes' "$work/run/plan.json"
verdict $? "its summary shows the worst term, plan.json all of them"

# flops FILE: the sum of these members
flops() { grep -o "\"$2\": *[0-9.e+]*" "$1" | sed 's/.*: *//' | awk '{ sum += $1 } END { printf "%.0f", sum }'; }
ends 0 "$COPPICE" train "$work/deck.yaml" --set "run.dir=$work/run3" --set run.steps=2 --set run.profile=true &&
    ends 0 plan "$work/deck.yaml" --set run.steps=2 --json && [ "$(flops "$work/run3/profile.json" flops)" = \
    "$(flops "$work/said" executed_flops | awk '{ printf "%.0f", 2 * $1 }')" ]
verdict $? "FLOPs that a step executed, by op and again by shape, are those that the plan counts"
ends 64 "$COPPICE" train "$work/deck.yaml" --set "run.dir=$work/run2" --set run.steps=2 --set "run.machine=$work/bad.yaml" &&
    said 'bad.yaml:1:11: expected a number'
verdict $? "a machine file with mistakes is refused before training"
ends 0 plan "$work/run" --legal-ranks --ranks 8 && said '^ *1 2 4$'
verdict $? "--legal-ranks of a run folder"
ends 0 plan "$work/run" && said 'fits into' && said 'machine: 2 cores of Zen 3'
verdict $? "the plan of a run folder, on the default machine"
ends 0 plan --measure "$work/deck.yaml" --out "$work/here.yaml" && ends 0 plan "$work/deck.yaml" --set run.steps=2 --machine "$work/here.yaml" &&
    said 'fits into'
verdict $? "--measure writes a machine file that can be used"
ends 73 plan --measure "$work/deck.yaml" --out "$work/here.yaml" && said 'here.yaml: cannot be written'
verdict $? "--measure overwrites nothing"
finish
