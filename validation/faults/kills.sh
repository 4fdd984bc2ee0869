#!/bin/sh
# A run that is killed again and again (SIGKILL, at any moment: all ranks, or one), started again unattended, ends with the
# weights of the undisturbed run. Each leg begins at the newest checkpoint that was committed; nothing half-written is left; within
# a leg neither memory nor descriptors grow.
#   RANKS=4 STEPS=2000 BETWEEN=100 SAVE=20 ASYNC=auto validation/faults/kills.sh     BETWEEN: steps from kill to kill, about
. "${srcdir:-.}/validation/scripts/tap.sh"
export OMP_NUM_THREADS=1
RANKS=${RANKS:-4} STEPS=${STEPS:-2000} BETWEEN=${BETWEEN:-100} SAVE=${SAVE:-20} ASYNC=${ASYNC:-auto} SEED=${SEED:-1}
test_ranks "$RANKS" 1 || finish
tokens "$work/t"
{ tiny "experts: 4, top_k: 2" "$work/t"; echo "log: {every: 100}"; echo "checkpoint: {every: $SAVE, keep: 2, async: $ASYNC}"; } |
    sed 's/^eval: .*/eval: {every: never, tokens: 64}/' > "$work/deck.yaml"
[ "$RANKS" -eq 1 ] || echo "parallel: {expert: 2}" >> "$work/deck.yaml"
run=$work/run

draw() { # draw N: a number from 0 to N-1, of a sequence that SEED begins
    SEED=$((SEED * 75 % 65537))
    drawn=$((SEED % $1))
}
start() { # start FOLDER: in the background
    set -- "$COPPICE" train "$work/deck.yaml" --set "run.dir=$1" --set "run.steps=$STEPS"
    # shellcheck disable=SC2086
    [ "$RANKS" -eq 1 ] || set -- "$MPIEXEC" $MPIEXEC_FLAGS -n "$RANKS" "$@"
    "$@" > "$work/said" 2>&1 &
    job=$!
}
ranks_of() { # ranks_of FOLDER: their processes
    for p in $(grep -lsa "[r]un.dir=$1" /proc/[0-9]*/cmdline | sed 's/[^0-9]//g'); do
        [ "$(tr '\0' '\n' 2> /dev/null < "/proc/$p/cmdline" | head -n 1)" = "$COPPICE" ] && echo "$p"
    done
}
step_of() { tail -n 1 "$1/metrics.jsonl" 2> /dev/null | sed -n 's/^{"step":\([0-9]*\),.*/\1/p'; }
committed() { # the newest checkpoint that has its name
    # shellcheck disable=SC2012
    ls "$run/ckpt" 2> /dev/null | sed -n 's/^step_0*\([1-9][0-9]*\)$/\1/p' | sort -n | tail -n 1
}
hashes() { "$COPPICE" inspect "$1" | grep '^hashes'; }

# measured FOLDER: watches a leg until it ends: kB of rank 0, and its descriptors, twice a second
measured() {
    : > "$work/sizes"
    while kill -s 0 $job 2> /dev/null; do
        set -- "$1" $(ranks_of "$1")
        if [ $# -gt 1 ]; then
            rss=$(awk '/^VmRSS/ { print $2 }' "/proc/$2/status" 2> /dev/null)
            # shellcheck disable=SC2012
            [ -z "$rss" ] || echo "$rss $(ls "/proc/$2/fd" 2> /dev/null | wc -l)" >> "$work/sizes"
        fi
        sleep 0.5
    done
}

# ---- the undisturbed run ----
start "$work/whole"
measured "$work/whole"
wait $job
[ $? -eq 0 ] && whole=$(hashes "$work/whole") && [ -n "$whole" ]
verdict $? "$RANKS ranks, $STEPS steps, undisturbed"
# the third quarter and the last one: a routing, a save or an exchange may take its memory late, but once
growth=$(awk '{ r[NR] = $1; f[NR] = $2 } END { q = int(NR / 4); if (q < 2) { print "0 0"; exit }
    for (i = 2 * q + 1; i <= 3 * q; i++) { a += r[i]; if (f[i] > c) c = f[i] } for (i = NR - q + 1; i <= NR; i++) { b += r[i]; if (f[i] > d) d = f[i] }
    printf "%d %d\n", (b - a) / q, d - c }' "$work/sizes")
[ "$STEPS" -lt 1000 ] || { [ "${growth% *}" -lt 1024 ] && [ "${growth#* }" -le 2 ]; } # a short run has not come to rest
verdict $? "memory of rank 0 grows by ${growth% *} kB, descriptors by ${growth#* } ($(wc -l < "$work/sizes") samples)"

# ---- killed ----
kills=0 wrong=0 legs=0 last=0
while :; do
    before=$(committed)
    start "$run"
    legs=$((legs + 1))
    draw $((2 * BETWEEN))
    goal=$((last + 1 + drawn))
    while kill -s 0 $job 2> /dev/null; do
        now=$(step_of "$run")
        [ "${now:-0}" -ge $goal ] && [ "${now:-0}" -lt "$STEPS" ] && grep -q '^ *step  *tokens\|^continue' "$work/said" && break
        sleep 0.02
    done
    if kill -s 0 $job 2> /dev/null; then
        all=$(ranks_of "$run")
        draw 100
        sleep "0.0$drawn"
        if draw 2 && [ "$drawn" -eq 0 ]; then victims=$all; else victims=$(echo "$all" | head -n 1); fi
        # shellcheck disable=SC2086
        kill -s KILL $victims 2> /dev/null && kills=$((kills + 1))
    fi
    wait $job
    code=$?
    for _ in $(seq 200); do [ -z "$(ranks_of "$run")" ] && break; sleep 0.05; done
    if [ -n "$before" ] && ! grep -q "^continue  step_0*$before," "$work/said"; then
        wrong=$((wrong + 1))
        echo "# leg $legs did not continue from step $before: $(grep '^continue\|^coppice' "$work/said" | head -n 2)"
    fi
    [ $code -eq 0 ] && break
    now=$(step_of "$run")
    last=${now:-0}
    [ $legs -lt 400 ] || break
done
[ $code -eq 0 ] && [ $wrong -eq 0 ] && [ "$(hashes "$run")" = "$whole" ] && ! ls -d "$run"/ckpt/*.tmp > /dev/null 2>&1
verdict $? "$kills kills in $legs legs: each from the newest committed checkpoint, the same weights in the end, nothing left over"
finish
