#!/bin/sh
# device.precision: bf16. A restart has the same bits, also on four ranks and with every kind of layer. Layouts agree. A run
# goes on in the other precision with the bits of the masters. The certificate of an exact upcycle passes. The share of the
# ceiling refers to bf16 GEMMs.
. "${srcdir:-.}/validation/scripts/tap.sh"
tokens "$work/tokens"
tiny "experts: 4, top_k: 2, aux_loss_coeff: 0.02" tokens > "$work/d.yaml"
echo "checkpoint: {every: 4, keep: 9}" >> "$work/d.yaml"

# train RANKS RUN ARGUMENT...
train() {
    on=$1 run=$2
    shift 2
    launch "$on" "$COPPICE" train "$work/d.yaml" --set "run.dir=$work/$run" --set device.check=hidden "$@"
}

# hashes RUN: of the newest checkpoint
hashes() {
    "$COPPICE" inspect "$work/$1" | grep '^hashes'
}

# losses RUN: step and loss, the last of a step counts
losses() {
    sed -n 's/^{"step":\([0-9]*\),.*"loss":\([^,]*\),.*/\1 \2/p' "$work/$1/metrics.jsonl" |
        awk '{ last[$1] = $2 } END { for (i = 1; i in last; i++) print i, last[i] }'
}

# near RUN RUN BAR: the largest relative difference of a loss
near() {
    losses "$1" > "$work/one"
    losses "$2" | paste -d ' ' "$work/one" - | awk -v bar="$3" '
        { d = $2 / $4 - 1; d = d < 0 ? -d : d; if (!(d <= bar)) print "step " $1 ": " $2 " and " $4; n++ }
        END { if (n != 8) print n " steps" }' > "$work/said"
    [ ! -s "$work/said" ]
}

# legs NAME MODEL LAYOUT...: two legs on four ranks are one run, bit by bit
legs() {
    name=$1 model=$2
    shift 2
    sed "s/^model:.*/model: {$model, hidden: 32, ffn: 48, layers: 2, heads: 4, kv_heads: 2, vocab: 128,/; s/^        max_pos.*moe/        max_positions: 64, moe/" \
        "$work/$name.yaml" > "$work/d.yaml"
    for run in one two; do rm -rf "${work:?}/$run"; done
    ends 0 train 4 one --set run.steps=4 $bf16 "$@" && ends 0 train 4 two --set run.steps=2 $bf16 "$@" &&
        ends 0 train 4 two --set run.steps=4 $bf16 "$@" && [ -n "$(hashes one)" ] && [ "$(hashes one)" = "$(hashes two)" ]
    verdict $? "two legs on four ranks are one: $model, $name, $*"
}

bf16="--set device.precision=bf16"
# shellcheck disable=SC2086
{
    ends 0 train 1 whole --set run.steps=8 $bf16
    verdict $? "a run in bf16"
    said '1 rank, bf16 GEMM [0-9]* GFLOP/s' && said '| of the bf16 GEMM ceiling: '
    verdict $? "its ceiling is one of bf16 GEMMs"
    grep -o 'hash [0-9a-f]*' "$work/said" > "$work/masters"
    ends 0 train 1 legs --set run.steps=4 $bf16 && ends 0 train 1 legs --set run.steps=8 $bf16 &&
        [ "$(hashes whole)" = "$(hashes legs)" ] && losses whole > "$work/a" && losses legs | cmp -s - "$work/a"
    verdict $? "two legs in bf16 are one, bit by bit"

    ends 0 train 1 exact --set run.steps=8
    verdict $? "the same run in fp32"
    [ -s "$work/masters" ] && grep -o 'hash [0-9a-f]*' "$work/said" | cmp -s - "$work/masters"
    verdict $? "both begin with the same masters"
    # 8 significant bits: each rounding is off by 2^-8 at most, about 2^-9.2 in the root mean square. 32 roundings lie on
    # the way to a logit of two layers; a loss is the mean over 128 tokens, whose errors are independent: 4 * 2^-9.2 *
    # sqrt(32 / 128), and as much again from weights that drift apart in 8 steps.
    near whole exact 7e-3
    verdict $? "losses of bf16 and fp32 differ by rounding"
    near whole exact 1e-7 && no=1 || no=0
    verdict $no "and are not the same"

    cp -R "$work/whole" "$work/mixed"
    ends 0 train 1 mixed --set run.steps=12 && said 'precision fp32 where the checkpoint was written in bf16' &&
        said "$(hashes whole | sed 's/^hashes *//; s/ .*//')"
    verdict $? "bf16 goes on in fp32: said, and the masters are the same"
    ends 0 train 1 mixed --set run.steps=16 $bf16 && said 'precision bf16 where the checkpoint was written in fp32'
    verdict $? "and back"

    if test_ranks 4 2; then
        ends 0 train 4 spread --set run.steps=8 $bf16 --set parallel.tensor=2 --set parallel.expert=2 \
            --set parallel.expert_tensor=2
        # only values that lie next to the middle of two BF16 numbers are rounded apart
        near whole spread 1e-3
        verdict $? "tensor 2, expert 2 x expert tensor 2 in bf16 against one rank"
        ends 0 train 4 spread --set run.steps=12 $bf16 --set parallel.expert=4
        verdict $? "and goes on with expert 4"
    fi

    sed 's/start: random/start: {upcycle: {router_std: 0.02}}/; s/^model:.*/model: {like: hf,/; s/^        max_pos.*moe/        moe/' \
        "$work/d.yaml" > "$work/up.yaml"
    sed 's/, moe: {[^}]*}//' "$work/d.yaml" > "$work/dense.yaml"
    ends 0 "$COPPICE" upcycle "$work/dense.yaml" --out "$work/hf" --set run.steps=1 &&
        ends 0 launch 1 "$COPPICE" train "$work/up.yaml" --set "run.dir=$work/up" --set run.steps=1 $bf16 &&
        said 'CERTIFICATE PASS'
    verdict $? "the certificate of an exact upcycle passes in bf16"

    tiny "experts: 4, top_k: 2, capacity: 1.0, capacity_policy: probability, aux_loss_coeff: 0.02" tokens > "$work/capacity.yaml"
    tiny "experts: 4, shared: 1, shared_gate: true, aux_loss_coeff: 0.02, z_loss_coeff: 0.001" tokens > "$work/shared.yaml"
    sed 's/, moe: {[^}]*}//' "$work/capacity.yaml" > "$work/dense.yaml"
    if test_ranks 4 3; then
        legs capacity "tied: true" --set parallel.tensor=2 --set parallel.expert=2 --set parallel.expert_tensor=2
        legs shared "tied: false" --set parallel.tensor=4 --set parallel.expert_tensor=4
        legs dense "qkv_bias: true" --set parallel.tensor=2
    fi
}
finish
