#!/bin/sh
# Signals at random moments, from the start on: every run ends with 75 and goes on from where it was, or is not stopped; none
# crashes. COUNT=200 makes the storm of validation/results/signals.txt: more signals, a third of them at SmolLM2's widths.
# shellcheck disable=SC2086 # signal names and arguments are words
. "${srcdir:-.}/validation/scripts/tap.sh"
COUNT=${COUNT:-12}
SEED=${SEED:-1}

# draw N: a number from 0 to N-1, of a sequence that SEED begins
draw() {
    SEED=$((SEED * 75 % 65537))
    drawn=$((SEED % $1))
}

# deck NAME HIDDEN FFN HEADS KV VOCAB SEQUENCE
deck() {
    cat > "$work/$1.yaml" <<END
start: random
model: {hidden: $2, ffn: $3, layers: 2, heads: $4, kv_heads: $5, vocab: $6, tied: true, max_positions: 512,
        moe: {experts: 4, top_k: 2, aux_loss_coeff: 0.02}}
data: {sequence: $7, train: [$work/tokens], split: [0.9, 0.1]}
batch: {sequences: 4, micro: 1}
optimizer: {lr: 0.001, horizon: 1000000}
eval: {every: 3, tokens: 256}
checkpoint: {every: 5, keep: 1}
run: {steps: 1000000}
log: {every: 1}
END
}

# upcycled NAME: the same from a dense checkpoint of these shapes
upcycled() {
    sed "s/moe: {.*/moe: {experts: 0}}/; s/steps: 1000000/steps: 1/" "$work/$1.yaml" > "$work/$1.dense.yaml"
    "$COPPICE" train "$work/$1.dense.yaml" --quiet --set "run.dir=$work/$1.run" > "$work/said" 2>&1 &&
        "$COPPICE" export "$work/$1.run" --out "$work/$1.hf" --quiet > "$work/said" 2>&1 &&
        sed "s|^start: random|start: {from: $work/$1.hf}|" "$work/$1.yaml" > "$work/$1.up.yaml"
}

# pids RUNNER: the ranks that it started, or itself
pids() {
    ranks=$(ps -o pid= --ppid "$1" 2> /dev/null)
    echo ${ranks:-$1}
}

# state RUN: ends in 75, and not locked
intact() {
    [ $code -eq 75 ] && [ ! -e "$work/$1/run.lock" ] && ! grep -q -i 'malloc\|corrupt\|segmentation' "$work/said"
}

# one DECK RANKS SIGNAL WHOM MILLISECONDS ARGUMENTS...: a run that is stopped so late after its start
one() {
    kind=$1 ranks=$2 signal=$3 whom=$4 after=$5
    shift 5
    if [ "$ranks" -gt 1 ]; then
        $MPIEXEC $MPIEXEC_FLAGS -n "$ranks" "$COPPICE" train "$work/$kind.yaml" --set "run.dir=$work/run" "$@" > "$work/said" 2>&1 &
    else
        "$COPPICE" train "$work/$kind.yaml" --set "run.dir=$work/run" "$@" > "$work/said" 2>&1 &
    fi
    job=$!
    for _ in $(seq 400); do [ -e "$work/run/run.lock" ] && break; sleep 0.05; done
    sleep "$(printf '%d.%03d' $((after / 1000)) $((after % 1000)))"
    all=$(pids $job)
    case $whom in
        all) target=$all ;;
        one) target=${all##* } ;;
        launcher) target=$job ;;
    esac
    kill -s "$signal" $target 2> /dev/null
    wait $job
    code=$?
}

# storm DECK RANKS: all signals at moments of a run's first seconds
storm() {
    failed=0 n=0
    rm -rf "$work/run"
    while [ $n -lt "$3" ]; do
        for signal in TERM USR1 INT HUP; do
            [ $n -lt "$3" ] || break
            n=$((n + 1))
            [ "$2" -gt 1 ] || whom=all
            if [ "$2" -gt 1 ]; then
                draw 3
                whom=$(echo all one launcher | cut -d ' ' -f $((drawn + 1)))
                [ $whom = launcher ] && signal=USR1 # the launcher ends its ranks on the others
            fi
            draw 10
            [ "$drawn" -lt 6 ] && rm -rf "$work/run" # else it continues
            draw "$4"
            one "$1" "$2" $signal $whom "$drawn"
            intact run && continue
            failed=$((failed + 1))
            echo "# $1, $2 ranks, $signal to $whom after $drawn ms: exit code $code"
            tail -n 3 "$work/said" | sed 's/^/# /'
        done
    done
    [ $failed -eq 0 ]
    verdict $? "$1 on $2 ranks: $n signals, $failed that did not end with 75 and an unlocked folder"
}

flooded() {
    for compiler in ${CC:-} cc gcc mpicc; do
        ${compiler} -shared -fPIC -O1 -o "$work/flood.so" "$src/validation/cases/flood.c" 2> /dev/null && break
    done
    if [ ! -e "$work/flood.so" ] || ! LD_PRELOAD="$work/flood.so" "$COPPICE" --version > /dev/null 2>&1; then
        verdict 0 "a timer signal through a whole run # SKIP cannot be preloaded here"
        return
    fi
    rm -rf "$work/run"
    ends 0 env LD_PRELOAD="$work/flood.so" "$COPPICE" train "$work/$1.yaml" --set "run.dir=$work/run" --set run.steps=${2:-20}
    verdict $? "$1: handlers of two timers, 1000 a second, through a whole run"
}

OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
export OMP_NUM_THREADS
tokens "$work/tokens"
deck small 96 192 4 2 256 64
upcycled small
verdict $? "a dense model to upcycle"
if [ "$COUNT" -gt 12 ]; then
    deck wide 576 1536 9 3 49152 128
    upcycled wide
    storm wide 1 $((COUNT / 6)) 6000
    storm wide.up 1 $((COUNT / 12)) 9000
    test_ranks 4 1 && storm wide.up 4 $((COUNT / 12)) 12000
    flooded wide 10
fi
storm small.up 1 $((COUNT / 3)) 700
test_ranks 4 1 && storm small.up 4 $((COUNT / 3)) 900
flooded small

# The output is a pipe that nobody reads; nohup; RUN/stop; a second INT.
rm -rf "$work/run"
{ "$COPPICE" train "$work/small.yaml" --set "run.dir=$work/run" --set run.steps=12; echo $? > "$work/code"; } 2> "$work/said" | head -n 1 > /dev/null
[ "$(cat "$work/code")" -eq 0 ] && grep -q '^DONE' "$work/run/run.log"
verdict $? "a closed stdout: the run goes on, run.log has the lines"
finish
