#!/bin/sh
# Bad steps (COPPICE_FAULT): NaN, a spike, a fault that comes once, a weight that changes on one rank. They change nothing, are
# told with step, samples and tensor, and what follows is what guard.policy says.
. "${srcdir:-.}/validation/scripts/tap.sh"
export OMP_NUM_THREADS=1
tokens "$work/t"
{ tiny "experts: 4, top_k: 2" "$work/t"; echo "checkpoint: {every: 4, keep: 3}"; echo "log: {every: 100}"; } |
    sed 's/^eval: .*/eval: {every: never, tokens: 64}/; s/^batch: .*/batch: {sequences: 8, micro: 1}/' > "$work/deck.yaml"
run=$work/run
expert=layers.1.gate_up

# train RANKS FAULT OPTION...
train() {
    n=$1 COPPICE_FAULT=$2
    export COPPICE_FAULT
    shift 2
    if [ "$n" -eq 1 ]; then
        timeout 60 "$COPPICE" train "$work/deck.yaml" --set "run.dir=$run" --set run.steps=12 "$@"
    else
        # shellcheck disable=SC2086
        timeout 60 "$MPIEXEC" $MPIEXEC_FLAGS -n "$n" "$COPPICE" train "$work/deck.yaml" --set "run.dir=$run" --set run.steps=12 "$@"
    fi
}
fresh() { rm -rf "$run"; }
hashes() { "$COPPICE" inspect "$1" | grep '^hashes'; }
event() { grep -q "\"event\":\"bad step\".*$1" "$run/events.jsonl" || { cat "$run/events.jsonl" >> "$work/said"; return 1; }; }
losses() { sed -n 's/^{"step":\([0-9]*\),.*"loss":\([^,]*\),"aux_loss.*/\1 \2/p' "$run/metrics.jsonl"; }

fresh
ends 0 train 1 "" && losses > "$work/whole" && [ "$(wc -l < "$work/whole")" -eq 12 ] && whole=$(hashes "$run")
verdict $? "an undisturbed run"

# sample 52 is in step 7: samples 48 to 55
for ranks in 1 4; do
    test_ranks $ranks 4 || continue
    wide=$([ $ranks -eq 1 ] || echo "--set parallel.expert=2")
    fresh
    # shellcheck disable=SC2086
    ends 71 train $ranks "nan:$((ranks - 1)):52:$expert" $wide && said "step 7 (samples 48 to 55).*not finite: the gradient of $expert; .*and saved" &&
        [ -e "$run/ckpt/step_00000006/index.h5" ] && event '"step":7,.*"samples":\[48,55\],"follows":"stop","bad":true,.*"tensor":"'$expert'"' &&
        grep -q '^{"step":7,.*"bad":true,"loss":.*,"tensor":"'$expert'"' "$run/metrics.jsonl" && grep -q '"state": "failed"' "$run/status.json"
    verdict $? "$ranks ranks, NaN, stop: 71, the state before the step is saved, step, samples and tensor are told"
    # shellcheck disable=SC2086
    ends 0 train $ranks "" $wide && { [ $ranks -ne 1 ] || [ "$(hashes "$run")" = "$whole" ]; }
    verdict $? "$ranks ranks: without the fault the same command ends as the undisturbed run"
    fresh
    # shellcheck disable=SC2086
    ends 0 train $ranks "nan:0:52:$expert" $wide --set guard.policy=skip && event '"follows":"skip"' && said 'skip$' &&
        [ "$(losses | wc -l)" -eq 11 ] && losses | grep -q '^8 '
    verdict $? "$ranks ranks, NaN, skip: the steps behind it follow"
    fresh
    # shellcheck disable=SC2086
    ends 0 train $ranks "nan:0:52:$expert" $wide --set guard.policy=rewind && event '"follows":"rewind"' &&
        said 'rewound to step 4, past sample 55' && [ "$(losses | grep -c '^5 ')" -eq 2 ] && losses | grep -q '^12 '
    verdict $? "$ranks ranks, NaN, rewind: from step 4, with the samples behind it"
done

fresh
ends 0 train 1 "once:0:52:$expert" && event '"follows":"repeat".*"tensor":null' && said 'a fault of some hardware' &&
    losses | diff "$work/whole" - >> "$work/said" && [ "$(hashes "$run")" = "$whole" ]
verdict $? "NaN that does not come again: the step is repeated, all bits as in the undisturbed run"
fresh
ends 0 train 1 "nan:0:52:$expert" --set guard.policy=rewind --set checkpoint.every=never && event '"follows":"rewind"' && losses | grep -q '^8 '
verdict $? "rewind without a checkpoint goes on behind the step"
fresh
ends 71 train 1 "" --set optimizer.lr=100 --set optimizer.warmup=0 --set optimizer.clip=0 --set guard.loss_spike=0.001 --set guard.policy=skip \
    --set guard.most=3 --set run.steps=60 && [ "$(grep -c '"follows":"skip"' "$run/events.jsonl")" -ge 3 ] && event '"follows":"stop"'
verdict $? "more than guard.most bad steps in a row: 71"
fresh
ends 0 train 1 "spike:0:244:$expert" --set run.steps=34 --set guard.norm_spike=5 --set guard.policy=skip &&
    event '"step":31,.*"follows":"skip".*"tensor":"'$expert'"' && said 'spikes'
verdict $? "a spike of the gradient is skipped, its tensor named"
fresh
ends 71 train 1 "spike:0:244:$expert" --set run.steps=34 --set guard.norm_spike=5 && [ -e "$run/ckpt/step_00000030" ]
verdict $? "or stops the run, with the state before it saved"

# ---- replicas: looked at right after the weight has changed, before the next update gives everybody its owner's ----
test_ranks 4 3 || finish
fresh
ends 71 train 4 "flip:2:52:layers.0.q" --set guard.replicas=7 && said 'step 7: the copies of layers.0.q differ .* rank 2; nothing is saved' &&
    grep -q '"event":"replicas"' "$run/events.jsonl" && [ ! -e "$run/ckpt/step_00000007" ]
verdict $? "a weight that changes on one of 4 ranks: named with its rank, 71, not saved"
fresh
ends 71 train 2 "flip:1:52:layers.0.q" --set guard.replicas=7 && said 'differ between ranks: .* rank 0, 1 (one of them)'
verdict $? "of two ranks either may be at fault"
fresh
ends 0 train 4 "" --set guard.replicas=1 && whole=$(hashes "$run") && fresh &&
    ends 0 train 4 "flip:2:52:layers.0.q" --set guard.replicas=7 --set guard.policy=rewind && said 'rank 2: rewind' && [ "$(hashes "$run")" = "$whole" ]
verdict $? "rewind: from the last checkpoint, to the bits of a run without the fault; equal replicas pass at every step"
finish
