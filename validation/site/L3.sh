# shellcheck shell=sh
# L3: numbers.

# reference OPTIONS...: golden's line for each case
reference() {
    "$V_TOP/validation/golden" "$V_TOP/validation/reference" "$@" > "$work/said" 2>&1
    code=$?
    cat "$work/said"
    verdict $code "$(tail -n 1 "$work/said" | sed 's/^golden: //')"
}
t_L3_reference() { reference; }
t_L3_reference_ranks() { reference --ranks 4 --tensor 2 --expert 2 --expert-tensor 2; }

t_L3_certificate() {
    tokens "$work/tokens"
    cat > "$work/deck.yaml" <<DECK
model: {like: $V_INPUT/tiny-dense, moe: {experts: 8, top_k: 2}}
data: {sequence: 64, train: [$work/tokens], split: [0.9, 0.1]}
batch: {sequences: 4, micro: 1}
run: {steps: 1}
eval: {tokens: 256}
DECK
    # shellcheck disable=SC2086
    ends 0 train 4 run $PARALLEL && said 'CERTIFICATE PASS'
    verdict $? "$(grep 'CERTIFICATE' "$work/said" | tr -s ' ' | head -n 1)"
}

t_L3_layouts() {
    "$V_TOP/validation/layouts" --quick > "$work/table" 2>&1
    code=$?
    cat "$work/table"
    grep -E ' (ok|FAILED)$' "$work/table" | while read -r ranks dp tp edp ep etp model _ gradient _ _ _ _ hash state; do
        text="$model on $ranks ranks, dense $dp x $tp, experts $edp x $ep x $etp: hash $hash, gradient at $gradient of its tolerance"
        [ "$state" = ok ] && good "$text" || bad "$text"
    done
    verdict $code "$(tail -n 1 "$work/table")"
}

t_L3_repeat() {
    deck "experts: 4, top_k: 2"
    # shellcheck disable=SC2086
    ends 0 train 4 one $PARALLEL --set run.steps=8 && ends 0 train 4 two $PARALLEL --set run.steps=8 && same "$work/one" "$work/two"
    verdict $? "8 steps on 4 ranks twice: the same losses, weights and moments, bit for bit"
}
t_L3_restart() {
    deck "experts: 4, top_k: 2"
    # shellcheck disable=SC2086
    ends 0 train 4 whole $PARALLEL --set run.steps=8 && ends 0 train 4 legs $PARALLEL --set run.steps=3 &&
        ends 0 train 4 legs $PARALLEL --set run.steps=8 && same "$work/whole" "$work/legs"
    verdict $? "3 and 5 steps on 4 ranks: the bits of 8 steps"
}
t_L3_restart_ranks() {
    deck "experts: 4, top_k: 2"
    # shellcheck disable=SC2086
    ends 0 train 4 whole $PARALLEL --set run.steps=8
    for to in 2 1; do
        # shellcheck disable=SC2086
        ends 0 train 4 "to$to" $PARALLEL --set run.steps=4
        saved=$(hashes "$work/to$to" | sed 's/.*weights \([^ ]*\).*/\1/')
        ends 0 train $to "to$to" --set run.steps=8 && said "hashes.*$saved" && close_to "$work/whole" "$work/to$to"
        verdict $? "4 ranks, then $to: weights as saved ($saved), losses to 1e-5 ($(tail -n 1 "$work/said"))"
    done
}
t_L3_guard() {
    deck "experts: 4, top_k: 2"
    # shellcheck disable=SC2086
    COPPICE_FAULT=nan:1:40:layers.0.q ends 71 train 2 run --set run.steps=10 --set parallel.tensor=2 &&
        said 'COPPICE_FAULT' && ends 0 "$COPPICE" inspect --verify "$work/run"
    verdict $? "a gradient that is not finite on one of two ranks: 71, and the state before it is saved"
}
