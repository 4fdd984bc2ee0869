#!/bin/sh
# What stops a run besides the signals of signals.sh: a second INT, USR2, QUIT, XCPU; what must not: HUP under nohup, a closed
# stdout. Stacks that are too small.
. "${srcdir:-.}/validation/scripts/tap.sh"
tokens "$work/t"
{ tiny "experts: 4, top_k: 2" "$work/t"; echo "log: {every: 1}"; } |
    sed 's/^eval: .*/eval: {every: 0, tokens: 64}/' > "$work/deck.yaml"

# begin OPTION...: a run in the background; returns when its first step begins
begin() {
    rm -rf "$work/run"
    : > "$work/said"
    "$@" "$COPPICE" train "$work/deck.yaml" --set "run.dir=$work/run" --set run.steps=1000000000 ${options:+$options} \
        > "$work/said" 2>&1 &
    job=$!
    for _ in $(seq 3000); do
        grep -q '^ *step  *tokens' "$work/said" && return
        kill -s 0 $job 2> /dev/null || return
        sleep 0.02
    done
}

# ended CODE: by which the run ends
ended() {
    wait $job
    code=$?
    [ $code -eq "$1" ] || { echo "exit code $code, not $1" >> "$work/said"; return 1; }
}
saved() { ls "$work/run/ckpt"/step_* > /dev/null 2>&1; }

for signal in USR2 QUIT XCPU; do
    begin env && kill -s $signal $job && ended 75 && said "by the signal $signal, saved" && saved
    verdict $? "$signal: the step ends, saved, 75"
done

# ---- a second INT: steps are longer than half a second ----
options="--set batch.sequences=10000"
begin env && sleep 0.3 && kill -s INT $job && sleep 0.8 && kill -s INT $job && ended 130 && ! saved
verdict $? "INT, and again later: ends at once, unsaved"
options="--set run.steps=1"
ends 0 "$COPPICE" train "$work/deck.yaml" --set "run.dir=$work/run" --set run.steps=1
verdict $? "the next start takes its lock over"
options="--set batch.sequences=10000"
begin env && sleep 0.3 && kill -s USR1 $job && sleep 0.8 && kill -s TERM $job && ended 75 && saved &&
    said 'step 2 given up: a second signal hurries' && said 'stopped at step 1 of .* by the signal TERM, saved'
verdict $? "USR1, and TERM later: the step is given up, the one before it saved"
options="--set batch.sequences=3000"
begin env && kill -s INT $job && sleep 0.02 && kill -s INT $job && ended 75 && saved
verdict $? "INT twice within half a second, as some senders do: that is one"
options=

# ---- what does not stop it ----
begin nohup && kill -s HUP $job && sleep 0.2 && kill -s 0 $job && touch "$work/run/stop" && ended 79 && said 'by RUN/stop, saved'
verdict $? "HUP under nohup is ignored; RUN/stop ends it"
rm -rf "$work/run"
{ "$COPPICE" train "$work/deck.yaml" --set "run.dir=$work/run" --set run.steps=12; echo $? > "$work/code"; } 2> "$work/said" | head -n 1 > /dev/null
[ "$(cat "$work/code")" -eq 0 ] && grep -q '^DONE' "$work/run/run.log"
verdict $? "a closed stdout: the run goes on, run.log has the lines"

# ---- stacks ----
rm -rf "$work/run"
ends 69 env OMP_NUM_THREADS=2 OMP_STACKSIZE=64k "$COPPICE" train "$work/deck.yaml" --set "run.dir=$work/run" --set run.steps=1 &&
    said 'stack of 64 KB.*512 KB: .*OMP_STACKSIZE'
verdict $? "OMP_STACKSIZE=64k is refused"
# shellcheck disable=SC2016
ends 69 sh -c 'ulimit -s 256 && exec "$@"' sh "$COPPICE" train "$work/deck.yaml" --set "run.dir=$work/run" --set run.steps=1 &&
    said 'stack of 2[0-9]* KB.*512 KB: .*ulimit -s'
verdict $? "ulimit -s 256 is refused"

finish
