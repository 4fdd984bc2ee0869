#!/bin/sh
# A rank dies, is stopped, or does not return from a call. The other ranks must end in time, and status.json, run.log and
# stderr must say which rank it was and what it did.
#   LIMIT=10 validation/cases/death.sh            run.watchdog of the trials (default 4 s)
#   CHECK_LEVEL=long validation/cases/death.sh    more victims
. "${srcdir:-.}/validation/scripts/tap.sh"
export OMP_NUM_THREADS=1
LIMIT=${LIMIT:-4}
test_ranks 4 1 || finish
tokens "$work/t"
{ tiny "experts: 4, top_k: 2" "$work/t"; echo "parallel: {expert: 2}"; echo "log: {every: 1}"; } |
    sed 's/^eval: .*/eval: {every: never, tokens: 64}/' > "$work/deck.yaml"
run=$work/run

# begin ENVIRONMENT... -- OPTION...: a run without end on 4 ranks, once it steps; sets job and ranks
begin() {
    rm -rf "$run"
    set_env=
    while [ "$1" != -- ]; do set_env="$set_env $1"; shift; done
    shift
    # shellcheck disable=SC2086
    env $set_env "$MPIEXEC" $MPIEXEC_FLAGS -n 4 "$COPPICE" train "$work/deck.yaml" --set "run.dir=$run" \
        --set run.steps=1000000000 --set "run.watchdog=${LIMIT}s" "$@" > "$work/said" 2>&1 &
    job=$!
    for _ in $(seq 1500); do
        [ "$(cat "$run/metrics.jsonl" 2> /dev/null | wc -l)" -gt 3 ] && break
        kill -s 0 $job 2> /dev/null || break
        sleep 0.02
    done
}

# rank N: its process, by the environment that Open MPI, MPICH or Slurm gave it
rank() {
    for p in $(grep -lsa "[r]un.dir=$run" /proc/[0-9]*/cmdline | sed 's/[^0-9]//g'); do
        tr '\0' '\n' < "/proc/$p/environ" 2> /dev/null | grep -qE "^(OMPI_COMM_WORLD_RANK|PMI_RANK|SLURM_PROCID)=$1\$" &&
            [ "$(tr '\0' '\n' < "/proc/$p/cmdline" | head -n 1)" = "$COPPICE" ] && echo "$p" && return
    done
}

# gone SECONDS: the launcher and all ranks; sets code and took
gone() {
    since=$(date +%s%N)
    (sleep "$1"; sleep 60; kill -s KILL $job) 2> /dev/null &
    guard=$!
    wait $job
    code=$?
    kill $guard 2> /dev/null
    took=$((($(date +%s%N) - since) / 100000000)) # tenths
    for _ in $(seq 30); do # a launcher ends a moment before its ranks
        left=$(grep -lsa "[r]un.dir=$run" /proc/[0-9]*/cmdline)
        [ -z "$left" ] && break
        sleep 0.1
    done
    [ -z "$left" ] || { echo "left over: $left" >> "$work/said"; return 1; }
    [ $took -le $(($1 * 10)) ] || { echo "gone after $took tenths of a second" >> "$work/said"; return 1; }
}
state() {
    grep -q "\"state\": \"$1\"" "$run/status.json" && grep -q "\"error\": .*$2" "$run/status.json" ||
        { grep -E '"(state|error)"' "$run/status.json" >> "$work/said"; return 1; }
}

case ${CHECK_LEVEL:-} in long | full) die='0 1 2 3' stop='0 1 2 3' ;; *) die=0 stop=2 ;; esac

for victim in $die; do
    begin --
    kill -s KILL "$(rank $victim)"
    gone 15 && [ $code -ne 0 ] && state died "^*rank $victim (process [0-9]* on .*) died" && said "rank $victim .* died" &&
        grep -q "died: rank $victim " "$run/run.log" && grep -q '"event":"died"' "$run/events.jsonl"
    verdict $? "rank $victim is killed: all gone, status.json names it"
done

for victim in $stop; do
    begin --
    kill -s STOP "$(rank $victim)"
    gone $((LIMIT + 8)) && [ $code -eq 72 ] && state hung "rank $victim (process .*) says nothing: it is stopped by a signal" &&
        [ "$(grep -c '^coppice: rank .*: no progress for' "$work/said")" -eq 3 ] &&
        said 'step [0-9]*, training, .*last op .*, in [a-z]* [0-9.]* over ' && grep -q 'hung: .*rank '$victim "$run/run.log"
    verdict $? "rank $victim is stopped: 72 within run.watchdog, the three others say where they are"
done

begin COPPICE_FAIL=pread:2:40:HANG --
gone $((3 * LIMIT + 8)) && [ $code -eq 72 ] && state hung "rank 2 .* is behind: step [0-9]*, training, last op pread, after " &&
    [ "$(grep -c '^coppice: rank .*: no progress for' "$work/said")" -eq 4 ]
verdict $? "a call of rank 2 never returns: 72, its task and call are named"

begin --
for v in 0 1 2 3; do kill -s STOP "$(rank $v)"; done
sleep $((LIMIT + 1))
for v in 3 2 1 0; do kill -s CONT "$(rank $v)"; done
sleep 1
kill -s 0 $job 2> /dev/null && touch "$run/stop" && gone 15 && [ $code -eq 79 ]
verdict $? "all ranks are stopped and go on: no hang"
finish
