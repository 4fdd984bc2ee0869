#!/bin/sh
# 64 ranks on as few cores as there are, behind CHECK_LEVEL=long (ten minutes on two cores): a model of 8 experts trains on layouts of
# TP, EP and ETP, and its logits, gradients, curve of five steps and final parameters are those of one rank. Groups of more than 16
# ranks sum in two levels, so 64 are the fewest that test this with every kind of group.
[ "${CHECK_LEVEL:-}" = long ] || { echo "1..0 # SKIP CHECK_LEVEL=long asks for it"; exit 0; }
TEST_TIMEOUT=${TEST_TIMEOUT:-1800}
. "${srcdir:-.}/validation/scripts/tap.sh"
test_ranks 64 6 || finish
gunzip -c "$top/input/war-and-peace.txt.gz" > "$work/tokens.bin" && cp "$top/input/war-and-peace.idx" "$work/tokens.idx"
cat > "$work/deck.yaml" <<DECK
model: {hidden: 64, ffn: 128, layers: 2, heads: 8, kv_heads: 4, vocab: 256, tied: false, max_positions: 512,
  moe: {experts: 8, top_k: 2, aux_loss_coeff: 0.01}}
start: random
run: {steps: 5}
data: {sequence: 32, train: [$work/tokens]}
batch: {sequences: 64, micro: 1}
optimizer: {lr: 1.0e-3, schedule: constant, warmup: 0}
DECK

# probe RANKS TENSOR EXPERT EXPERT_TENSOR ARGUMENT...
probe() {
    probe_ranks=$1
    probe_layout="--set parallel.tensor=$2 --set parallel.expert=$3 --set parallel.expert_tensor=$4"
    shift 4
    # shellcheck disable=SC2086
    launch "$probe_ranks" "$COPPICE" probe "$work/deck.yaml" $probe_layout "$@"
}

probe 1 1 1 1 --out "$work/batch" > "$work/said" 2>&1 && probe 1 1 1 1 --curve --out "$work/curve" >> "$work/said" 2>&1
verdict $? "one rank"
hash=$(sed -n 's/^weights .*hash \([0-9a-f]*\).*/\1/p; s/^weights \([0-9a-f]\{16\}\).*/\1/p' "$work/said" | head -n 1)
[ -n "$hash" ]
verdict $? "its weights have the hash $hash"
for layout in "4 8 2" "1 8 1"; do
    # shellcheck disable=SC2086
    ends 0 probe 64 $layout --expect "$work/batch" && said "$hash"
    verdict $? "64 ranks, TP, EP and ETP $layout: weights, logits and gradients"
    grep -E '^(logits|loss|cross_entropy) ' "$work/said" | sed 's/^/# /'
    # shellcheck disable=SC2086
    ends 0 probe 64 $layout --curve --expect "$work/curve" && said '^PASSED'
    verdict $? "64 ranks, TP, EP and ETP $layout: curve and final parameters"
    grep -E '^train.(loss|grad_norm)\[4\]' "$work/said" | sed 's/^/# /'
done
finish
