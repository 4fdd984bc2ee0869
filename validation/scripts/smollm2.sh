#!/bin/sh
# A real model, behind CHECK_LEVEL=long (half an hour on two cores, 12 GB of memory, 5 GB of disk): SmolLM2-135M
# upcycled to E4T2. Its directory: $SMOLLM2 (default ~/.cache/coppice/smollm2-135m); tokens: $COPPICE_SHARED/data/tokens.
shared=${COPPICE_SHARED:-$(cd "${srcdir:-.}" && pwd)/../shared}
: "${SMOLLM2:=$HOME/.cache/coppice/smollm2-135m}"
TOKENS=$shared/data/tokens
export SMOLLM2 TOKENS
[ "${CHECK_LEVEL:-}" = long ] || { echo "1..0 # SKIP CHECK_LEVEL=long asks for it"; exit 0; }
[ -e "$SMOLLM2/config.json" ] || { echo "1..0 # SKIP no model in $SMOLLM2 (data/smollm2-135m/make writes it)"; exit 0; }
[ -e "$TOKENS/wikitext2-valid.idx" ] || { echo "1..0 # SKIP no tokens in $TOKENS"; exit 0; }
TEST_TIMEOUT=3600
. "${srcdir:-.}/validation/scripts/tap.sh"

train() { # RANKS RUN ARGUMENT...
    ranks=$1 run=$2
    shift 2
    [ "$ranks" -eq 1 ] || OMP_NUM_THREADS=1
    launch "$ranks" "$COPPICE" train "$top/input/smollm2-e4t2.yaml" --set "run.dir=$work/$run" --set batch.sequences=2 \
        --set batch.micro=1 --set optimizer.horizon=20 --set checkpoint.every=never --set eval.every=never "$@" \
        > "$work/said" 2>&1
}

near() { # A B RELATIVE: equal to this much
    awk -v a="$1" -v b="$2" -v r="$3" 'BEGIN { d = a - b; if (d < 0) d = -d; exit !(a != "" && b != "" && d <= r * b) }'
}

dense() { # the dense loss that was said last
    sed -n 's/^dense .*valid loss \([0-9.]*\) nats.*/\1/p' "$work/said"
}

loss() { # RUN STEP: from metrics.jsonl, the last leg's
    sed -n "s/^{\"step\":$2,.*\"loss\":\([0-9.e+-]*\),\"aux.*/\1/p" "$work/$1/metrics.jsonl" | tail -n 1
}

# ---- the dense model, as PyTorch gives it in fp32 ----
for case in wikitext2-valid:512:2.73707 wikitext2-valid:32768:3.08542 war-and-peace:512:3.40365 war-and-peace:32768:3.35970; do
    set_name=${case%%:*} rest=${case#*:}
    train 1 dense --fresh --set "data.valid=[$TOKENS/$set_name]" --set run.steps=1 --set "eval.tokens=${rest%:*}" \
        --set checkpoint.final=false --set data.sequence=512
    near "$(dense)" "${rest#*:}" 3.2e-5
    verdict $? "dense loss on $set_name, ${rest%:*} tokens: $(dense), PyTorch ${rest#*:}"
done
grep -q 'CERTIFICATE PASS' "$work/said"
verdict $? "$(grep CERTIFICATE "$work/said")"

# ---- 20 steps; then from step 18 again: the same layout bit for bit, others to rounding ----
train 1 whole --set run.steps=20 --set checkpoint.final=false --set eval.every=20 --set eval.tokens=8192
sed -n 's/.*valid .*  \([0-9.]*\)  (start \([0-9.]*\)).*/\1 \2/p' "$work/said" | tail -n 1 |
    awk '{ fell = $1 < $2 } END { exit !fell }' # the first line is the start itself
verdict $? "validation loss falls over 20 steps: $(grep '^  valid' "$work/said" | tail -n 1)"
train 1 cut --set run.steps=18 --set eval.every=never --set eval.tokens=512
train 1 cut --set run.steps=20 --set checkpoint.final=false --set eval.tokens=512
[ -n "$(loss whole 20)" ] && [ "$(loss whole 19) $(loss whole 20)" = "$(loss cut 19) $(loss cut 20)" ]
verdict $? "restart at step 18, same layout: $(loss cut 19) $(loss cut 20), unbroken $(loss whole 19) $(loss whole 20)"
for layout in 4:1:4:1 3:3:1:3 6:3:2:3; do
    ranks=${layout%%:*} rest=${layout#*:}
    tensor=${rest%%:*} rest=${rest#*:}
    train "$ranks" cut --set run.steps=19 --set checkpoint.final=false --set eval.tokens=512 --set "parallel.tensor=$tensor" \
        --set "parallel.expert=${rest%:*}" --set "parallel.expert_tensor=${rest#*:}"
    near "$(loss cut 19)" "$(loss whole 19)" 1e-5
    verdict $? "restart on $ranks ranks, tensor $tensor, expert ${rest%:*}, expert tensor ${rest#*:}: $(loss cut 19)"
done
grep -q 'hashes' "$work/said"
verdict $? "hashes after loading equal those saved: $(grep '^continue' "$work/said" | sed 's/.*hashes//')"
finish
