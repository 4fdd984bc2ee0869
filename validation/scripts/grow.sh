#!/bin/sh
# Growth and upcycling from end to end: the certificate where theory promises equal logits, and where it does not; the hash of
# weights on layouts of up to 8 ranks; coppice upcycle writes what training starts from; refusals.
. "${srcdir:-.}/validation/scripts/tap.sh"
dense=$top/validation/reference/dense-bias-llama3 # 2 layers x 44, 8 heads over 2 KV heads, FFN 54, biases, tied

# deck MODEL START: one step, nothing saved
deck() {
    echo "model: {$1}"
    echo "start: {$2}"
    echo "run: {steps: 1, dir: $work/run}"
    echo "data: {sequence: 13, batches: $dense/expect.safetensors}"
    echo "batch: {sequences: 6, micro: 1}"
    echo "checkpoint: {every: never, final: false}"
    echo "eval: {every: never}"
}

# certified RANKS VERDICT THEORY FROM MODEL START [ARGUMENTS...]: the certificate says so
certified() {
    ranks=$1 want="CERTIFICATE $2 .*theory: $3" what="$4: $5; $6 ($2, $1 ranks)"
    if [ "$ranks" -gt 1 ] && [ "$MPIEXEC" = no ]; then
        verdict 0 "$what # SKIP configure found no MPI launcher"
        return
    fi
    case $4 in tied) from=$dense ;; *) from=$work/$4 ;; esac
    deck "like: $from, $5" "from: $from, $6" > "$work/deck.yaml"
    shift 6
    launch "$ranks" "$COPPICE" train "$work/deck.yaml" --fresh "$@" > "$work/said" 2>&1 && grep -q "$want" "$work/said"
    verdict $? "$what"
}

# refused PLACE WORD FROM MODEL START: code 64 and the reason, at LINE:COLUMN of the deck (1: model, 2: start)
refused() {
    case $3 in tied) from=$dense ;; *) from=$work/$3 ;; esac
    echo "model: {$4, like: $from}" > "$work/deck.yaml"
    deck "" "$5, from: $from" | tail -n +2 >> "$work/deck.yaml"
    ends 64 "$COPPICE" train "$work/deck.yaml" --fresh && said "deck.yaml:$1: .*$2"
    verdict $? "$3, $4 $5: refused at $1: $2"
}

# hash RANKS ARGUMENTS...: of the weights that probe.yaml starts from
hash() {
    launch_on=$1
    shift
    launch "$launch_on" "$COPPICE" probe "$work/probe.yaml" "$@" > "$work/said" 2>&1
    sed -n 's/^weights \([0-9a-f]*\).*/\1/p' "$work/said"
}

fpi='grow: {method: fpi}'
pro='grow: {method: aki-pro}'

# A model with a head of its own, and the run that made it.
deck "hidden: 20, ffn: 14, layers: 3, heads: 6, kv_heads: 3, head_dim: 4, vocab: 67, tied: false" "from: random" \
    > "$work/random.yaml"
"$COPPICE" train "$work/random.yaml" --set "run.dir=$work/run-untied" --set checkpoint.final=true --set run.steps=2 \
    > "$work/said" 2>&1 && "$COPPICE" export "$work/run-untied" --out "$work/untied" >> "$work/said" 2>&1
verdict $? "a random model with a head of its own, exported"

certified 1 PASS exact tied "hidden: 88" "$fpi"
certified 1 PASS exact tied "ffn: 55, heads: 14" "$fpi"
certified 1 PASS exact tied "hidden: 132, ffn: 110, heads: 20, kv_heads: 4" "$fpi"
certified 1 PASS exact tied "hidden: 88, tied: false" "$fpi"
certified 1 PASS exact untied "hidden: 60, ffn: 31, heads: 12" "$fpi"
certified 1 PASS exact run-untied "hidden: 40, heads: 10, kv_heads: 5" "$fpi"
certified 1 PASS exact tied "hidden: 88, ffn: 60, moe: {experts: 4}" "$fpi"
certified 1 PASS exact untied "hidden: 40, ffn: 20, moe: {experts: 8, top_k: 4, granularity: 2}" \
    "$fpi, upcycle: {weight_scale: down}"
certified 4 PASS exact tied "hidden: 88, ffn: 96, heads: 16, kv_heads: 4, moe: {experts: 8, top_k: 4, granularity: 2}" \
    "$fpi, upcycle: {weight_scale: down}" --set parallel.tensor=2 --set parallel.expert=2 --set parallel.expert_tensor=2
certified 1 "NOT JUDGED" none tied "hidden: 60" "$fpi"
certified 1 "NOT JUDGED" none tied "moe: {experts: 4}" "upcycle: {noise: 0.01}"
certified 1 "NOT JUDGED" none untied "layers: 5" "$fpi"
certified 1 "NOT JUDGED" none untied "hidden: 40, ffn: 20, layers: 4" "grow: {method: aki, scope: neurons}"
certified 4 "NOT JUDGED" none tied "hidden: 88, layers: 4" "$pro" --set parallel.tensor=4

# One rank and layouts of 2 to 8, of growth in every direction and granular upcycling in one plan.
deck "like: $dense, hidden: 60, ffn: 96, layers: 5, heads: 16, kv_heads: 4, moe: {experts: 16, top_k: 4, granularity: 2}" \
    "from: $dense, $pro" > "$work/probe.yaml"
one=$(hash 1)
composed="aki-pro and virtual groups"
# on_layout RANKS TENSOR EXPERT EXPERT_TENSOR
on_layout() {
    what="$composed on $1 ranks, tensor $2, expert $3, expert tensor $4: hash of one rank"
    if [ "$MPIEXEC" = no ]; then
        verdict 0 "$what # SKIP configure found no MPI launcher"
        return
    fi
    many=$(hash "$1" --set "parallel.tensor=$2" --set "parallel.expert=$3" --set "parallel.expert_tensor=$4")
    [ -n "$one" ] && [ "$one" = "$many" ]
    verdict $? "$what"
}
on_layout 2 2 1 2
on_layout 3 1 1 1
on_layout 4 4 4 1
on_layout 4 2 1 4
on_layout 8 4 8 1

ends 65 "$COPPICE" upcycle "$work/probe.yaml" --out "$work/grown" --as mixtral && said "model.qkv_bias" && [ ! -e "$work/grown" ]
verdict $? "coppice upcycle refuses what Mixtral cannot say"

deck "like: $work/untied, hidden: 28, ffn: 20, layers: 4, heads: 12, moe: {experts: 8, top_k: 4, granularity: 2}" \
    "from: $work/untied, grow: {method: aki}" > "$work/probe.yaml"
one=$(hash 1)
"$COPPICE" upcycle "$work/probe.yaml" --out "$work/grown" > "$work/said" 2>&1
deck "like: $work/grown" "from: $work/grown" > "$work/probe.yaml"
[ -n "$one" ] && [ "$(hash 1)" = "$one" ]
verdict $? "what coppice upcycle writes is what training starts from"

# More experts from experts, and experts of several parents.
deck "like: $work/untied, moe: {experts: 4, top_k: 2}" "from: $work/untied, upcycle: {noise: 0.05}" > "$work/moe.yaml"
"$COPPICE" upcycle "$work/moe.yaml" --out "$work/four" > "$work/said" 2>&1
verdict $? "a model with four experts that differ"
certified 1 PASS exact four "moe: {experts: 8, top_k: 4}" ""
certified 4 PASS exact four "moe: {experts: 12, top_k: 6}" "" --set parallel.expert=4
certified 1 "NOT JUDGED" none four "moe: {experts: 8}" "upcycle: {noise: 0.01}"
certified 1 "NOT JUDGED" none untied "moe: {experts: 4}" "upcycle: {reinit: 0.5}"

deck "hidden: 20, ffn: 14, layers: 3, heads: 6, kv_heads: 3, head_dim: 4, vocab: 67, tied: false" "from: random" \
    > "$work/random.yaml"
"$COPPICE" upcycle "$work/random.yaml" --set run.seed=77 --out "$work/other" > "$work/said" 2>&1
verdict $? "a second parent"
certified 1 "NOT JUDGED" none untied "moe: {experts: 4}" "upcycle: {parents: [$work/untied, $work/other]}"
deck "like: $work/untied, moe: {experts: 4}" "from: $work/untied" > "$work/probe.yaml"
one=$(hash 1)
deck "like: $work/untied, moe: {experts: 4}" "from: $work/untied, upcycle: {parents: [$work/untied]}" > "$work/probe.yaml"
[ -n "$one" ] && [ "$(hash 1)" = "$one" ]
verdict $? "parents that are the start itself change nothing"
deck "like: $work/untied, hidden: 40, ffn: 28, heads: 12, kv_heads: 6, moe: {experts: 8, top_k: 2, granularity: 2}" \
    "from: $work/untied, grow: {method: aki}, upcycle: {parents: [$work/other, $work/untied], noise: 0.01, reinit: 0.4}" \
    > "$work/probe.yaml"
composed="two parents grown by aki, noise and reinit"
one=$(hash 1)
on_layout 2 1 2 1
on_layout 4 2 2 2
on_layout 8 2 8 1

# As a run folder at step 0: weights of the same hash, on other ranks too, and train goes on from it.
test_ranks 4 4 && {
    launch 4 "$COPPICE" upcycle "$work/probe.yaml" --out "$work/run0" --format checkpoint --set parallel.expert=4 \
        > "$work/said" 2>&1
    verdict $? "coppice upcycle --format checkpoint on 4 ranks"
    "$COPPICE" inspect "$work/run0" > "$work/said" 2>&1
    [ -n "$one" ] && grep -q "$one" "$work/said"
    verdict $? "its weights have the hash that training starts from"
    "$COPPICE" train "$work/probe.yaml" --set "run.dir=$work/run0" > "$work/said" 2>&1 && grep -q "step_00000000" "$work/said"
    verdict $? "training continues from it"
    launch 2 "$COPPICE" upcycle "$work/probe.yaml" --out "$work/two" > "$work/said" 2>&1
    grep -q "on one rank" "$work/said" && [ ! -e "$work/two" ]
    verdict $? "a Hugging Face directory is refused on 2 ranks"
    srun="env PMIX_RANK=0 PMIX_NAMESPACE=step SLURM_STEP_NUM_TASKS=2 SLURM_PROCID=0"
    # shellcheck disable=SC2086
    ends 64 $srun "$COPPICE" upcycle "$work/probe.yaml" --out "$work/two" && said "on one rank, and srun started 2" &&
        ends 64 $srun "$COPPICE" export "$work/run0" --out "$work/two" && said "on one rank" && [ ! -e "$work/two" ]
    verdict $? "so are this and an export by two tasks of srun with PMIx"
}

# What only the source's shape shows; what the deck alone shows is in validation/unit/deck_bad.h.
refused 1:17 "set start.grow.method" tied "hidden: 88" "upcycle: {router_std: 0.1}"
refused 1:17 "models only grow" tied "hidden: 22" "$fpi"
refused 1:14 "models only grow" tied "ffn: 50" "$fpi"
refused 1:17 "models only grow" tied "layers: 1" "$pro"
refused 1:16 "models only grow" tied "heads: 4" "$fpi"
refused 1:16 "another tokenizer" tied "vocab: 68" "$fpi"
refused 1:19 "add heads instead" tied "head_dim: 8" "$fpi"
refused 1:19 "neither adds nor removes biases" tied "qkv_bias: false" "$fpi"
refused 1:15 "differ and cannot become one" untied "tied: true" "$fpi"
refused 2:36 "only a dense model grows; this one has 4" four "hidden: 40" "$fpi"
refused 1:34 "not a multiple of granularity" tied "moe: {experts: 8, top_k: 3, granularity: 2}" "upcycle: {noise: 0}"
refused 1:28 "does not divide the dense FFN width 54" tied "moe: {granularity: 4, experts: 8, top_k: 4}" "upcycle: {noise: 0}"
refused 1:34 "its router never learns" tied "moe: {experts: 4, top_k: 1}" "upcycle: {noise: 0}"
refused 1:35 "there is no layer 2" tied "moe: {experts: 4, layers: [2]}" "upcycle: {noise: 0}"
refused 1:23 "shared experts stand beside routed ones" tied "moe: {shared: 2}" "upcycle: {noise: 0}"
refused 1:24 "never dropped" four "moe: {experts: 2}" "upcycle: {noise: 0}"
refused 1:40 "only their number can grow" four "moe: {experts: 8, granularity: 2, top_k: 4}" "upcycle: {noise: 0}"
refused 2:28 "only those of a dense model" four "moe: {experts: 8}" "upcycle: {parents: [$work/untied]}"
refused 2:28 "parents are dense and of the shape" tied "moe: {experts: 4}" "upcycle: {parents: [$work/untied]}"
refused 2:27 "out of range" tied "moe: {experts: 4}" "upcycle: {reinit: 1.5}"
refused 2:26 "no experts are made" tied "norm_eps: 1.0e-5" "upcycle: {noise: 0.1}"
refused 2:27 "no experts are made" four "norm_eps: 1.0e-5" "upcycle: {reinit: 0.1}"
finish
