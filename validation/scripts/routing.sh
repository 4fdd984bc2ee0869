#!/bin/sh
# Routing: a capacity that no expert exceeds gives the bits of dropless; a restart keeps the bits of routing state (balancing
# bias, loads of the step before) and of jitter; upcycling with shared experts.
. "${srcdir:-.}/validation/scripts/tap.sh"
reference=$top/validation/reference

# deck CASE MOE: a deck of a reference case; 8 steps at most
deck() {
    echo "model: {like: $reference/$1, moe: {$2}}"
    echo "run: {steps: 8}"
    echo "data: {sequence: 13, batches: $reference/$1/expect.safetensors}"
    echo "batch: {sequences: 6, micro: 2}"
    echo "optimizer: {lr: 0.003, horizon: 8, warmup: 2}"
    echo "checkpoint: {every: never}"
    echo "eval: {every: never}"
}

# curve NAME RANKS CAPACITY ARGUMENTS...: lines of probe --curve into $work/NAME
curve() {
    name=$1 ranks=$2 capacity=$3
    shift 3
    launch "$ranks" "$COPPICE" probe --curve "$work/dropless.yaml" --set "model.moe.capacity=$capacity" "$@" \
        > "$work/said" 2>&1 && grep '^step' "$work/said" > "$work/$name"
}

# E8T2: ceil(N*2/8*4) = N. Chosen by position; and by probability, which sorts.
dropless() {
    what="$1 ranks, $3" ranks=$1 policy=$2
    shift 3
    curve without "$ranks" dropless "$@" && curve with "$ranks" 4 "$@" --set "model.moe.capacity_policy=$policy" &&
        cmp "$work/without" "$work/with" > "$work/said"
    verdict $? "E8T2: capacity 4 by $policy is dropless, bit by bit: $what"
    curve less "$ranks" 1 "$@" && ! cmp -s "$work/without" "$work/less"
    verdict $? "capacity 1 is not: $what"
}

# train NAME RANKS ARGUMENTS...
train() {
    run=$work/$1 ranks=$2
    shift 2
    launch "$ranks" "$COPPICE" train "$work/state.yaml" --set "run.dir=$run" "$@" > "$work/said" 2>&1
}

# what NAME: losses, norms and hashes that a run left behind
what() {
    grep -o '"step":.*"grad_norm":[^,]*' "$work/$1/metrics.jsonl" | sed 's/"leg":[0-9]*,//' # the leg differs by nature
    "$COPPICE" inspect "$work/$1" | grep '^hashes'
}

restart() {
    title="$1 ranks, $2" ranks=$1
    shift 2
    rm -rf "$work/whole" "$work/legs"
    train whole "$ranks" "$@" && train legs "$ranks" "$@" --set run.steps=3 && train legs "$ranks" "$@" &&
        what whole > "$work/one" && what legs > "$work/two" && [ "$(wc -l < "$work/one")" -eq 9 ] &&
        diff "$work/one" "$work/two" > "$work/said"
    verdict $? "bias, loads and jitter survive a restart, bit by bit: $title"
}

deck mixtral-losses "aux_loss_coeff: 0.02" > "$work/dropless.yaml"
dropless 1 position "one of each"
if test_ranks 4 2; then
    dropless 4 probability "tensor 2, expert 2, expert tensor 2" \
        --set parallel.tensor=2 --set parallel.expert=2 --set parallel.expert_tensor=2
fi
deck global-bias-jitter "aux_loss_coeff: 0.05, aux_loss_domain: global, bias_update_rate: 0.05, jitter: 0.1, \
shared: 1" > "$work/state.yaml"
restart 1 "one of each"
if test_ranks 4 1; then
    restart 4 "tensor 2, expert 2, expert tensor 2" \
        --set parallel.tensor=2 --set parallel.expert=2 --set parallel.expert_tensor=2
fi
deck dense-bias-llama3 "experts: 4, granularity: 2, shared: 3, shared_gate: true, bias_update_rate: 1e-3, \
aux_loss_coeff: 0" > "$work/state.yaml"
train shared 1 && ! "$COPPICE" export "$work/shared" --out "$work/exported" > "$work/said" 2>&1 &&
    grep -q 'model.moe.bias_update_rate' "$work/said"
verdict $? "upcycling with shared experts trains; its export is refused with the reason"
finish
