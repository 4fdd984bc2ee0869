#!/bin/sh
# Stopping and running again: after the last step, by RUN/stop and by signals; with the same bits on the same layout, up to
# rounding on another one; locks, refusals, damaged checkpoints; starting from an export.
# shellcheck disable=SC2086 # run names and layouts are words
. "${srcdir:-.}/validation/scripts/tap.sh"
STEPS=8

# train KIND RUN RANKS ARGUMENTS...: the same command starts and continues
train() {
    trained=$1 into=$2 over=$3
    shift 3
    launch "$over" "$COPPICE" train "$work/$trained.yaml" --set "run.dir=$work/$into" \
        --set "run.steps=$STEPS" "$@"
}

# curve RUN: step, loss and norm; of a step that was taken twice the last counts
curve() {
    sed -n 's/^{"step":\([0-9]*\),.*"loss":\([^,]*\),.*"grad_norm":\([^,]*\),.*/\1 \2 \3/p' \
        "$work/$1/metrics.jsonl" | awk '{ line[$1] = $0 } END { for (i = 1; i in line; i++) print line[i] }'
}

# same RUN RUN: curves and the hashes of weights and moments, bit by bit
same() {
    for one in "$1" "$2"; do
        { curve "$one"; "$COPPICE" inspect "$work/$one" | grep '^hashes'; } > "$work/$one.curve"
    done
    [ "$(wc -l < "$work/$1.curve")" -eq $((STEPS + 1)) ] &&
        diff "$work/$1.curve" "$work/$2.curve" > "$work/said"
}

# close_to RUN RUN: losses to 1e-5 relative
close_to() {
    curve "$1" > "$work/one"
    curve "$2" | paste -d ' ' "$work/one" - | awk -v steps=$STEPS '
        { d = $2 / $5 - 1 }
        !(d <= 1e-5 && d >= -1e-5) { print "step " $1 ": " $2 " and " $5; bad = 1 }
        END { exit bad || NR != steps }' > "$work/said"
}

# begin KIND RUN RANKS ARGUMENTS...: a run without end in the background; returns when it steps. `wait $job`
begin() {
    begun=$2
    train "$@" --set run.steps=1000000 --set checkpoint.every=never > "$work/$2.said" 2>&1 &
    job=$!
    for _ in $(seq 600); do
        [ "$(wc -l 2> /dev/null < "$work/$begun/metrics.jsonl")" -gt 3 ] 2> /dev/null && return 0
        sleep 0.1
    done
    cp "$work/$begun.said" "$work/said"
    return 1
}

# holder RUN: the process that wrote its lock
holder() {
    sed 's/.*"pid":\([0-9]*\).*/\1/' "$work/$1/run.lock"
}

# cut_file FILE: its first half
cut_file() {
    head -c $(($(wc -c < "$1") / 2)) "$1" > "$work/half" && cp "$work/half" "$1"
}

# flip FILE: one byte in the middle becomes another one
flip() {
    middle=$(($(wc -c < "$1") / 2))
    byte=$(od -An -tu1 -j $middle -N 1 "$1" | tr -d ' ')
    # shellcheck disable=SC2059
    printf "\\$(printf '%o' $(((byte + 128) % 256)))" | dd of="$1" bs=1 seek=$middle conv=notrunc 2> /dev/null
}

# ---- the same layout ----

# legs KIND RANKS ARGUMENTS...: 3 steps, one until it sees a stop file that was there before, the rest
legs() {
    kind=$1 ranks=$2 what="$1, $2 ranks"
    shift 2
    train "$kind" whole.$kind.$ranks "$ranks" "$@" > "$work/said" 2>&1 &&
        train "$kind" legs.$kind.$ranks "$ranks" "$@" --set run.steps=3 > "$work/said" 2>&1 &&
        touch "$work/legs.$kind.$ranks/stop" &&
        ends 79 train "$kind" legs.$kind.$ranks "$ranks" "$@" && said 'stopped at step 4 of 8 by RUN/stop' &&
        [ ! -e "$work/legs.$kind.$ranks/stop" ] && [ ! -e "$work/legs.$kind.$ranks/run.lock" ] &&
        ends 0 train "$kind" legs.$kind.$ranks "$ranks" "$@" && said '^Coppice .* leg 3' &&
        same whole.$kind.$ranks legs.$kind.$ranks
    verdict $? "stopped by run.steps and by RUN/stop, continued bit by bit: $what"
}

# ask RUN stop|SIGNAL: a file, or a signal to rank 0
ask() {
    if [ "$2" = stop ]; then touch "$work/$1/stop"; else kill -s "$2" "$(holder "$1")"; fi
}

# asked KIND RANKS stop|SIGNAL ARGUMENTS...: wherever it is; a run of as many steps in one leg is the same
asked() {
    kind=$1 ranks=$2 how=$3 run=asked.$3.$2
    shift 3
    begin "$kind" $run "$ranks" "$@" && ask $run "$how"
    wait $job
    code=$?
    cp "$work/$run.said" "$work/said"
    [ "$how" = stop ] && wanted=79 || wanted=75
    [ $code -eq $wanted ] && said 'stopped at step [0-9]* of 1000000 by '
    verdict $? "$how on $ranks ranks: saved, exit code $wanted"
    before=$STEPS STEPS=$(($(curve $run | wc -l) + 2))
    ends 0 train "$kind" $run "$ranks" "$@" --set checkpoint.every=never &&
        ends 0 train "$kind" whole.$run "$ranks" "$@" --set checkpoint.every=never && same whole.$run $run
    verdict $? "$how on $ranks ranks: continued bit by bit"
    STEPS=$before
}

# A leg of six seconds, of which the start takes some.
limited() {
    never="--set checkpoint.every=never"
    # shellcheck disable=SC2086
    ends 75 train dense limited 1 $never --set run.time_limit=10s --set run.steps=1000000000 &&
        said 'stopped at step [0-9]* of 1000000000 by the time limit' &&
        said 'this job ends near step [0-9][0-9,]* of 1000000000'
    verdict $? "the job's end is near: saved, exit code 75; before, the console says how far the job will come"
    before=$STEPS STEPS=$(($(curve limited | wc -l) + 2))
    # shellcheck disable=SC2086
    ends 0 train dense limited 1 $never && ends 0 train dense whole.limited 1 $never && same whole.limited limited
    verdict $? "and the run continues bit by bit"
    STEPS=$before
}

# ---- another layout ----

# moved KIND FROM TO ARGUMENTS...: begun on FROM ranks (as legs had it), continued on TO with the arguments
moved() {
    kind=$1 from=$2 to=$3 run=moved.$1.$2.$3
    shift 3
    [ "$from" -gt 1 ] && first=$PARALLEL || first=
    # shellcheck disable=SC2086
    train "$kind" $run "$from" $first --set run.steps=3 > "$work/said" 2>&1 &&
        hashes=$("$COPPICE" inspect "$work/$run" | sed -n 's/^hashes *weights \([^ ]*\) *moments /\1 /p') &&
        ends 0 train "$kind" $run "$to" "$@" && said "^continue .*step 3 of 8.*hashes $hashes\$" &&
        close_to whole.$kind.$from $run
    verdict $? "$kind: $from -> $to ranks: the same losses to 1e-5, hashes as saved"
}

# ---- one run folder ----

finished() {
    ends 0 train moe whole.moe.1 1 && said '^nothing to do: step 8 of 8 is done'
    verdict $? "a finished run: nothing to do, exit code 0"
    ends 64 train moe whole.moe.1 1 --set run.steps=9 --set optimizer.lr=1 --set run.seed=2 \
        --set log.every=3 && said 'optimizer.lr' && said 'run.seed' && ! said 'log.every'
    verdict $? "what may not change on restart is refused with the keys"
    before=$("$COPPICE" inspect "$work/whole.moe.1" | grep '^hashes')
    ends 0 train moe whole.moe.1 1 --fresh --set run.seed=2 && old=$(echo "$work"/whole.moe.1.2*) &&
        [ "$before" = "$("$COPPICE" inspect "$old" | grep '^hashes')" ] &&
        [ "$before" != "$("$COPPICE" inspect "$work/whole.moe.1" | grep '^hashes')" ]
    verdict $? "--fresh moves the old folder aside and starts anew"
}

locked() {
    begin dense locked 1
    pid=$(holder locked)
    ends 64 train dense locked 1 && said "in use by job .* process $pid on "
    verdict $? "a run folder in use: the second job names the first, exit code 64"
    ends 64 train dense locked 1 --fresh && said "in use by job .* process $pid on " &&
        [ -e "$work/locked/run.lock" ]
    verdict $? "--fresh does not move a folder in use"
    kill -s KILL "$pid"
    wait $job
    cp "$work/locked/run.lock" "$work/killed"
    ends 0 train dense locked 1 && said "^lock .*taken over from job .* process $pid "
    verdict $? "the lock of a killed run is taken over"
    sed "s/\"pid\":$pid,/\"pid\":$$,/; s/\"flock\":true/\"flock\":false/" "$work/killed" > "$work/locked/run.lock"
    ends 0 train dense locked 1 && said "^lock .*taken over from job .* process $$ "
    verdict $? "a lock whose process number is in use again is taken over"
    echo '{"host":"elsewhere","pid":1,"started":1}' > "$work/locked/run.lock"
    touch -t 200001010000 "$work/locked/run.lock"
    ends 0 train dense locked 1 && said '^lock .*taken over'
    verdict $? "one of another host without a heartbeat is taken over"
}

# damaged RANKS ARGUMENTS...: checkpoints of steps 2, 4, 6, 7
damaged() {
    ranks=$1 whole=whole.moe.$1 run=damaged.$1
    shift
    ends 0 train moe $run "$ranks" "$@" --set run.steps=7 --set checkpoint.every=2 --set checkpoint.keep=4 &&
        flip "$(echo "$work"/$run/ckpt/step_*7/shard_0000.h5)" &&
        cut_file "$(echo "$work"/$run/ckpt/step_*6/index.h5)" &&
        ends 0 train moe $run "$ranks" "$@" --set checkpoint.every=2 &&
        said '^warning .*noted in ckpt/damaged.jsonl: .*step_0*7' && said 'warning .*not usable.*step_0*6' &&
        said '^continue .*step_0*4, step 4 of 8' && same $whole $run
    verdict $? "$ranks ranks: damaged checkpoints stay where they are, an older one continues bit by bit"
}

all_damaged() {
    for f in "$work"/damaged.1/ckpt/step_*/index.h5; do cut_file "$f"; done
    ends 76 train moe damaged.1 1 --set run.steps=9 && said 'none of [0-9]* checkpoints is usable'
    verdict $? "nothing usable: exit code 76, not a new start"
}

# exported KIND
exported() {
    weights=$("$COPPICE" inspect "$work/legs.$1.1" | sed -n 's/^hashes *weights \([^ ]*\).*/\1/p')
    ends 0 "$COPPICE" export "$work/legs.$1.1" --out "$work/hf.$1" &&
        ends 0 "$COPPICE" probe "$work/$1.yaml" --set "start.from=$work/hf.$1" --set run.steps=1 &&
        said "^weights $weights "
    verdict $? "$1: weights that start from an export have the checkpoint's hash"
    ends 0 "$COPPICE" probe "$work/$1.yaml" --set "start.from=$work/legs.$1.1" --set run.steps=1 &&
        said "^weights $weights "
    verdict $? "$1: and those that start from its run folder"
}

branched() {
    ends 0 train dense trunk 1 --set run.steps=3 && before=$(cksum "$work"/trunk/*.json*) &&
        ends 0 train dense trunk 1 --branch "$work/branch" && said '^branch .*trunk/ckpt/step_0*3$' &&
        said '^continue .*step 3 of 8' && ends 0 "$COPPICE" inspect "$work/branch" --diff "$work/whole.dense.1"
    verdict $? "--branch goes on in another folder, bit by bit"
    ends 0 train dense trunk 1 --branch "$work/other" --set optimizer.lr=0.02 && said '^optimizer.lr: was 0.01' &&
        ends 1 "$COPPICE" inspect "$work/other" --diff "$work/branch" && [ "$before" = "$(cksum "$work"/trunk/*.json*)" ]
    verdict $? "a branch may change every key; the trunk stays as it was"
    ends 0 train dense trunk 1 --branch "$work/other" --set optimizer.lr=0.02 && said '^nothing to do' &&
        ends 64 train dense trunk 1 --branch "$work/other" --set optimizer.lr=0.03
    verdict $? "the same command continues a branch, with the keys that it has"
    ends 76 train dense absent 1 --branch "$work/third" && said 'no checkpoint to begin from' &&
        ends 64 train dense trunk 1 --branch "$work/trunk" && said 'is the run folder itself'
    verdict $? "no branch of nothing, none into itself"
}

tokens "$work/tokens"
{ tiny "" "$work/tokens"; echo "checkpoint: {every: 3, keep: 2}"; } > "$work/dense.yaml"
moe="experts: 4, top_k: 2, aux_loss_coeff: 0.02"
{ tiny "$moe" "$work/tokens"; echo "checkpoint: {every: 3}"; } > "$work/moe.yaml"
TENSOR="--set parallel.tensor=2"
PARALLEL="$TENSOR --set parallel.expert=2 --set parallel.expert_tensor=2"

legs dense 1
legs moe 1
limited
asked moe 1 TERM
asked dense 1 stop
if test_ranks 4 9; then
    legs moe 4 $PARALLEL
    PARALLEL=$TENSOR legs dense 4 $TENSOR
    asked moe 4 USR1 $PARALLEL
    moved moe 1 4 $TENSOR --set parallel.expert=2
    moved moe 4 2 --set parallel.expert=2
    damaged 4 $PARALLEL
    PARALLEL=$TENSOR moved dense 1 4 $TENSOR
    PARALLEL=$TENSOR moved dense 4 2
fi
damaged 1
all_damaged
exported dense
exported moe
finished
branched
locked
finish
