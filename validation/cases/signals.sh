#!/bin/sh
# Signals in every phase of a run, to one rank or four: none crashes it, and the same command continues.
#
# A run that gets a signal ends with 75 and leaves no lock. If it made a step, it saved it: its newest checkpoint is continued.
# mpirun passes USR1 on. At TERM, INT and HUP it ends its ranks itself: TERM first, KILL a few seconds later, and its exit code
# is its own. What they save until then counts; a crash code (134, 139) never does, and the next start must continue.
# A signal before the program has blocked it (libraries are still loaded) ends it as any program: "start" waits for that.
#
# COUNT=200 sends 200 signals, a third of them at SmolLM2's widths: validation/results/signals.txt.
# shellcheck disable=SC2086 # targets and arguments are words
. "${srcdir:-.}/validation/scripts/tap.sh"
COUNT=${COUNT:-6}
SEED=${SEED:-1}
ALL=96 # phases x signals x targets

# draw N: a number from 0 to N-1, of a sequence that SEED begins
draw() {
    SEED=$((SEED * 75 % 65537))
    drawn=$((SEED % $1))
}

# pick N WORD...: word N, from 0
pick() {
    shift "$(($1 + 1))"
    picked=$1
}

# doze MILLISECONDS
doze() { sleep "$(printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)))"; }

# deck NAME HIDDEN FFN HEADS KV VOCAB SEQUENCE
deck() {
    cat > "$work/$1.yaml" <<END
start: random
model: {hidden: $2, ffn: $3, layers: 2, heads: $4, kv_heads: $5, vocab: $6, tied: true, max_positions: 512,
        moe: {experts: 4, top_k: 2, aux_loss_coeff: 0.02}}
data: {sequence: $7, train: [$work/tokens], split: [0.9, 0.1]}
batch: {sequences: 4, micro: 1}
optimizer: {lr: 0.001, horizon: 1000000}
eval: {every: 0, tokens: 256}
checkpoint: {every: 0, keep: 1}
run: {steps: 1000000}
log: {every: 1}
END
}

# prepared NAME: a dense checkpoint of these shapes to upcycle, and a run of one step to load
prepared() {
    sed "s/moe: {.*/moe: {experts: 0}}/" "$work/$1.yaml" > "$work/dense.yaml"
    ends 0 "$COPPICE" train "$work/dense.yaml" --set "run.dir=$work/dense" --set run.steps=1 &&
        ends 0 "$COPPICE" export "$work/dense" --out "$work/$1.hf" || return 1
    rm -rf "$work/dense"
    sed "s|^start: random|start: {from: $work/$1.hf}|" "$work/$1.yaml" > "$work/$1.up.yaml"
    ends 0 "$COPPICE" train "$work/$1.up.yaml" --set "run.dir=$work/$1.run" --set run.steps=1
}

# newest: the newest checkpoint's step, 0 if there is none
newest() {
    # shellcheck disable=SC2012 # our own names
    last=$(ls "$work/run/ckpt" 2> /dev/null | sed -n 's/^step_0*\([0-9]*\)$/\1/p' | sort -n | tail -n 1)
    last=${last:-0}
}

# until_true MOST COMMAND...: tried MOST times in a row, 10 ms apart
until_true() {
    tries=$1
    shift
    while ! "$@"; do
        [ "$tries" -gt 0 ] && kill -0 $job 2> /dev/null || return 1
        tries=$((tries - 1))
        sleep 0.01
    done
}

# children PID: of this name, one or two levels down. A bare machine has no ps.
children() {
    cat /proc/[0-9]*/stat 2> /dev/null | awk -v top="$1" -v name="$(basename "$COPPICE" | cut -c 1-15)" '
        { at = index($0, "("); end = match($0, /\) [A-Z] /); pid = $1
          comm[pid] = substr($0, at + 1, end - at - 1); split(substr($0, end + 4), rest, " "); parent[pid] = rest[1] }
        END { for (p in comm) if (comm[p] == name && (parent[p] == top || parent[parent[p]] == top)) print p }'
}

# ---- phases: when the signal is sent ----
blocks() { grep -q '^SigBlk:.*[4-7c-f]...$' "/proc/$1/status" 2> /dev/null; } # TERM
all_block() {
    [ "$ranks" -eq 1 ] && all=$job || all=$(children $job)
    [ "$(echo $all | wc -w)" -eq "$ranks" ] || return 1
    for p in $all; do blocks "$p" || return 1; done
}
locked() { [ -e "$work/run/run.lock" ]; }
stepped() { grep -q '"step":[1-9]' "$work/run/metrics.jsonl" 2> /dev/null; }
writes() { ls "$work/run/ckpt/"*.tmp > /dev/null 2>&1; }

# reach PHASE: wait until it begins, and a part of it longer
reach() {
    until_true 3000 all_block || return 1
    case $1 in
        start) draw 150 ;;
        load | upcycle) until_true 6000 locked && draw "$slow" ;;
        steps | validate) until_true 6000 stepped && draw $((slow / 2)) ;;
        save) until_true 6000 writes && draw 50 ;;
    esac || return 1
    doze $drawn
}

# options PHASE: so that the run spends its time there
options() {
    case $1 in
        validate) echo --set eval.every=1 --set eval.tokens=4000 ;;
        save) echo --set checkpoint.every=1 ;;
        *) echo --set eval.every=3 --set checkpoint.every=4 ;;
    esac
}

# ---- one signal, and what became of the run ----

# signalled PHASE SIGNAL TARGET: sets code, and all (the ranks)
signalled() {
    rm -rf "$work/run"
    if [ "$1" = load ]; then
        mkdir "$work/run"
        cp -rl "$work/$kind.run/ckpt" "$work/run/ckpt"
    fi
    set -- "$1" "$2" "$3" "$COPPICE" train "$work/$kind.up.yaml" --set "run.dir=$work/run" $(options "$1")
    phase=$1 signal=$2 target=$3
    shift 3
    [ "$ranks" -eq 1 ] || set -- $MPIEXEC ${MPIEXEC_FLAGS:-} -n "$ranks" "$@"
    "$@" > "$work/said" 2>&1 &
    job=$!
    reach "$phase" || { echo "the phase $phase was not reached" >> "$work/said"; kill -s KILL $job 2> /dev/null; }
    case $target in
        one) draw $ranks && pick $drawn $all && all_of_them=$picked ;;
        launcher) all_of_them=$job ;;
        *) all_of_them=$all ;;
    esac
    kill -s "$signal" $all_of_them 2> /dev/null
    wait $job
    code=$?
    for p in $all; do until_gone "$p"; done
}

# until_gone PID: mpirun may end before its ranks
until_gone() {
    for _ in $(seq 1000); do
        kill -0 "$1" 2> /dev/null || return 0
        sleep 0.02
    done
    echo "process $1 has not ended" >> "$work/said"
}

# saved_last: the newest checkpoint is of the step that the run says it stopped at
saved_last() {
    newest
    at=$(sed -n 's/.*stopped at step \([0-9]*\) of .*, saved; .*/\1/p' "$work/said" | head -n 1)
    [ "$at" = "$last" ] || { echo "stopped at step $at, saved step $last" >> "$work/said"; return 1; }
}

# continues: the same command ends a step later, from the newest checkpoint
continues() {
    newest
    mv "$work/said" "$work/said.first"
    set -- "$work/$kind.up.yaml" --set "run.dir=$work/run" --set run.steps=$((last + 1))
    "$COPPICE" train "$@" > "$work/said" 2>&1 && { [ $last -eq 0 ] || grep -q "^continue  step_0*$last," "$work/said"; }
    good=$?
    cat "$work/said" >> "$work/said.first"
    mv "$work/said.first" "$work/said"
    return $good
}

# judged: sets outcome to saved, nothing, by-mpirun (and continued), or wrong
judged() {
    outcome=wrong
    ! grep -q -i 'malloc\|corrupt\|segmentation\|not reached\|has not ended' "$work/said" || return 1
    if [ $code -eq 75 ] && [ ! -e "$work/run/run.lock" ]; then
        grep -q 'before a step of this leg' "$work/said" && outcome=nothing && return 0
        saved_last && continues && outcome=saved
    elif [ "$target" = launcher ] && [ "$signal" != USR1 ] && [ $code -ne 134 ] && [ $code -ne 139 ]; then
        continues && outcome=by-mpirun
    fi
    [ $outcome != wrong ]
}

# send N: one of all combinations, spread
send() {
    k=$((($1 * 37 + 2) % ALL))
    pick $((k % 4)) TERM USR1 INT HUP && signal=$picked
    pick $((k / 4 % 4)) alone launcher one all && target=$picked
    pick $((k / 16)) start load upcycle steps validate save && phase=$picked
    [ $target = alone ] && ranks=1 || ranks=4
    kind=small slow=900
    if [ "$COUNT" -gt 12 ] && [ $((($1 + $1 / ALL) % 3)) -eq 2 ]; then
        kind=wide slow=6000
    fi
    signalled $phase $signal $target
    judged || {
        echo "# $kind, $phase, $signal to $target: exit code $code"
        tail -n 5 "$work/said" | sed 's/^/# /'
    }
    echo "$phase $signal $target $kind $outcome" >> "$work/outcomes"
}

# table: what became of them
table() {
    awk 'BEGIN { split("saved nothing by-mpirun wrong", name); f = "# %-9s %-7s %-9s %5s %6s %8s %10s %6s\n"
                 printf f, "phase", "signal", "target", "runs", "saved", "nothing", "by-mpirun", "wrong" }
         function row(a, b, c, k) { printf f, a, b, c, n[k], got[k, "saved"] + 0, got[k, "nothing"] + 0,
                                    got[k, "by-mpirun"] + 0, got[k, "wrong"] + 0 }
         { k = $1 " " $2 " " $3; if (!(k in n)) order[++rows] = k
           n[k]++; got[k, $5]++; n["all"]++; got["all", $5]++; n[$4]++; got[$4, $5]++ }
         END { for (i = 1; i <= rows; i++) { split(order[i], w); row(w[1], w[2], w[3], order[i]) }
               row("all", "", "small", "small"); if ("wide" in n) row("all", "", "wide", "wide"); row("all", "", "", "all") }' "$work/outcomes"
}

flooded() {
    if ! shim validation/cases/flood.c; then
        verdict 0 "a timer signal through a whole run # SKIP cannot be preloaded here"
        return
    fi
    rm -rf "$work/run"
    ends 0 env LD_PRELOAD="$shim" "$COPPICE" train "$work/$1.yaml" --set "run.dir=$work/run" --set run.steps="$2"
    verdict $? "$1: handlers of two timers, 1000 a second, through a whole run"
}

OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
export OMP_NUM_THREADS
tokens "$work/tokens"
deck small 96 192 4 2 256 64
prepared small
verdict $? "a dense model to upcycle and a run to load"
if [ "$COUNT" -gt 12 ]; then
    deck wide 576 1536 9 3 49152 128
    prepared wide
    verdict $? "the same at SmolLM2's widths"
    flooded wide 10
fi
flooded small 20
n=0
while [ $n -lt "$COUNT" ]; do
    if [ "$MPIEXEC" != no ] || [ $((((n * 37 + 2) % ALL) / 4 % 4)) -eq 0 ]; then send $n; fi # alone
    n=$((n + 1))
done
table
! grep -q wrong "$work/outcomes"
verdict $? "$(wc -l < "$work/outcomes") signals: stopped, saved, continued"
finish
