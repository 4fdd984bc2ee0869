# shellcheck shell=sh
# L6: scale, and time.

# one_size RANKS: the demonstration's shape, the same work for each rank; tokens a second of a rank
one_size() {
    expert=$1
    while [ $((8 % expert)) -ne 0 ] || [ $(($1 % expert)) -ne 0 ]; do expert=$((expert - 1)); done
    # shellcheck disable=SC2086
    OMP_NUM_THREADS=$V_THREADS timeout -k 5 900 $V_LAUNCH -n "$1" "$COPPICE" train "$work/deck.yaml" --set "run.dir=$work/run$1" \
        --set "batch.sequences=$((4 * $1))" --set "parallel.expert=$expert" > "$work/said" 2>&1 || return 1
    sed -n 's/.*"tokens_per_s":\([0-9.e+]*\).*/\1/p' "$work/run$1/metrics.jsonl" | tail -n 8 | sort -n |
        awk -v n="$1" '{ x[NR] = $1 } END { if (!NR) exit 1; printf "%.5g\n", x[int((NR + 1) / 2)] / n }'
}
t_L6_weak() {
    tokens "$work/tokens"
    cat > "$work/deck.yaml" <<DECK
model: {like: $V_INPUT/tiny-dense, moe: {experts: 8, top_k: 2}}
data: {sequence: 256, train: [$work/tokens], split: [0.9, 0.1]}
batch: {sequences: 4, micro: 1}
run: {steps: 12}
checkpoint: {every: never}
eval: {every: never, tokens: 256}
log: {every: 1}
DECK
    first='' n=1
    while [ "$n" -le "$V_RANKS" ]; do
        if rate=$(one_size "$n"); then
            good "$n ranks: $rate tokens a second each"
            figure "weak.ranks.$n" "$rate" tokens/s
            [ "$n" -gt "$V_TASKS" ] && [ -n "$first" ] || first=$rate # that of one node
        else
            verdict 1 "$n ranks"
        fi
        [ "$n" -lt "$V_RANKS" ] && [ $((2 * n)) -gt "$V_RANKS" ] && n=$V_RANKS || n=$((2 * n))
    done
    [ -z "$rate" ] || [ "$V_RANKS" -eq "$V_TASKS" ] || figure weak.efficiency "$(awk -v a="$rate" -v b="$first" 'BEGIN { printf "%.4g", a / b }')" 1
}

t_L6_kills() {
    end=$(($(date +%s) + V_HOURS * 3600)) round=0
    while :; do
        round=$((round + 1))
        RANKS=4 STEPS=2000 BETWEEN=100 SAVE=20 SEED=$round sh "$V_TOP/validation/faults/kills.sh" > "$work/said" 2>&1
        code=$?
        cat "$work/said"
        verdict $code "round $round: $(sed -n 's/^ok [0-9]* - \(.* kills in .*\)/\1/p' "$work/said")"
        [ $code -eq 0 ] && [ "$(date +%s)" -lt $end ] || break
    done
}
