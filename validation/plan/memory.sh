#!/bin/sh
# Memory that coppice plan predicts beside the peak of the run, for 16 decks on 1 to 8 ranks: fp32 and bf16, capacity and dropless, first and
# continued legs. Predicted is at least the peak of the fullest rank, and within 3 % of it (MEMORY_BAND). The machine file is measured here, with
# as many ranks. By default one deck; CHECK_LEVEL=long takes all; ONLY=TEXT those with it in their names.
. "${srcdir:-.}/validation/scripts/tap.sh"
[ "$CHECK_LEVEL" = long ] && per_cent=3 || per_cent=6 # other libraries take other memory
band=${MEMORY_BAND:-$per_cent}
tokens "$work/tokens"
OMP_NUM_THREADS=1
export OMP_NUM_THREADS

# deck MODEL: sizes large enough that a per cent is not the C library's
deck() {
    cat << DECK
start: random
model: {hidden: 256, heads: 8, kv_heads: 4, vocab: 4096, max_positions: 512, tied: false, $1}
data: {sequence: 256, train: [tokens], split: [0.9, 0.1]}
batch: {sequences: 16, micro: 2}
run: {steps: 1}
eval: {every: 1, tokens: 256}
log: {every: 1}
DECK
}

# bytes NAME FILE: the first number of this member of a JSON file
bytes() { grep -o "\"$1\": *[0-9.]*" "$2" | head -n 1 | sed 's/.*: *//; s/\..*//'; }
# most NAME FILE: the largest number in this list of the last line of events that has it
most() { grep "\"$1\"" "$2" | tail -n 1 | grep -o "\"$1\": *\[[^]]*\]" | tr -d ' []' | sed 's/.*://' | tr , '\n' | sort -n | tail -n 1; }

# predict MACHINE ARGUMENT...: bytes of the fullest rank, and those beyond the imbalance
predict() {
    machine=$1
    shift
    "$COPPICE" plan "$@" --machine "$machine" --json > "$work/plan.json" 2> "$work/said"
    predicted=$(bytes bytes "$work/plan.json") beyond=$(bytes 'beyond that allowance' "$work/plan.json")
}

# compare NAME RANKS MODEL SETTING...: a first leg, then another step. Predicted: with all allowances it is at least the peak; at the load that
# took memory (the planned one, or more where a layer's rows did not fit), and without what lies beyond, it is at least the peak and within the band.
compare() {
    name=$1 ranks=$2
    case $name in *"${ONLY:-}"*) ;; *) return ;; esac
    deck "$3" > "$work/deck.yaml"
    shift 3
    set -- "$work/deck.yaml" --set "run.dir=$work/run" "$@"
    file=$work/machine.$ranks.$(echo "$*" | grep -c bf16).yaml
    [ -e "$file" ] || launch "$ranks" "$COPPICE" plan --measure "$@" --out "$file" > "$work/said" 2>&1
    for leg in first continued; do
        steps=1
        [ "$leg" = first ] || steps=2
        launch "$ranks" "$COPPICE" train "$@" --set run.steps=$steps > "$work/said" 2>&1
        peak=$(most peak_rss_bytes "$work/run/events.jsonl")
        load=$(most load_of_experts "$work/run/events.jsonl")
        predict "$file" "$@" --ranks "$ranks"
        all=$predicted
        predict "$file" "$@" --ranks "$ranks" --set "model.moe.imbalance=$load"
        numbers="-v p=$((predicted - beyond)) -v a=$all -v m=${peak:-0} -v b=$band -v l=$load"
        # shellcheck disable=SC2086
        text=$(awk $numbers 'BEGIN { if (m > 0) printf "%.0f MB with all allowances; at load %.2f %.0f MB: %+.2f %% of %.0f MB", a / 1e6, l, p / 1e6, 100 * (p / m - 1), m / 1e6 }')
        # shellcheck disable=SC2086
        awk $numbers 'BEGIN { exit !(m > 0 && a >= m && p >= m && p <= m * (1 + b / 100)) }'
        verdict $? "$name, $ranks rank$([ "$ranks" -eq 1 ] || echo s), $leg leg: $text"
    done
    rm -rf "$work/run"
}

moe='ffn: 704, layers: 8, moe: {experts: 8, top_k: 2'
compare "dropless, fp32" 1 "$moe}"
[ "$CHECK_LEVEL" = long ] || finish
compare "dropless, bf16" 1 "$moe}" --set device.precision=bf16
compare "dense" 1 "ffn: 2816, layers: 12"
compare "capacity 1.25" 1 "$moe, capacity: 1.25}"
compare "shared experts, losses by sequence" 1 "$moe, shared: 1, shared_gate: true, aux_loss_domain: sequence}"
for ranks in 2 4; do
    compare "dropless, expert $ranks" $ranks "$moe}" --set parallel.expert=$ranks
    compare "dropless, bf16, tensor 2, expert $ranks" $ranks "$moe}" --set device.precision=bf16 --set parallel.tensor=2 --set parallel.expert=$ranks
    compare "capacity 1.0, tensor 2, expert 2" $ranks "$moe, capacity: 1.0}" --set parallel.tensor=2 --set parallel.expert=2
done
compare "dense, tensor 4" 4 "ffn: 2816, layers: 12" --set parallel.tensor=4
compare "expert 2, expert_tensor 2, tensor 4" 4 "$moe}" --set parallel.expert=2 --set parallel.expert_tensor=2 --set parallel.tensor=4
compare "granularity 4" 4 "ffn: 704, layers: 8, moe: {experts: 32, top_k: 8, granularity: 4}" --set parallel.expert=4
compare "dropless, expert 8" 8 "$moe}" --set parallel.expert=8
compare "bf16, tensor 2, expert 4, expert_tensor 2" 8 "$moe}" --set device.precision=bf16 --set parallel.tensor=2 --set parallel.expert=4 --set parallel.expert_tensor=2
finish
