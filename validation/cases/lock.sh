#!/bin/sh
# One run folder, one job: simultaneous starts in two namespaces of process numbers, on no lock, on one left behind,
# on one of a killed job and on one in use; --fresh; requeues; a job that loses its folder.
#   COUNT=50 validation/cases/lock.sh            so many rounds of each kind (default 1)
#   CHECK_LEVEL=long validation/cases/lock.sh    also hosts with boot ids of their own (3 minutes of waiting)
# shellcheck disable=SC2086 # prefixes are words
. "${srcdir:-.}/validation/scripts/tap.sh"
STEPS=150 COUNT=${COUNT:-1}
tokens "$work/tokens"
{ tiny "experts: 2" "$work/tokens"; echo "checkpoint: {every: 50, keep: 2}"; echo "log: {every: 100}"; } |
    sed 's/^eval: .*/eval: {every: never, tokens: 64}/' > "$work/deck.yaml"
run=$work/run

# A namespace of process numbers of its own, where that is allowed.
space="unshare --pid --fork --mount-proc"
$space true 2> /dev/null || { space=; echo "# no right to make a namespace of process numbers: all jobs share one"; }

# job NAME PREFIX ARGUMENTS...: in the background; what it says and its exit code stand in NAME.said, NAME.code
job() {
    name=$work/$1 prefix=$2
    shift 2
    rm -f "$name".*
    ($prefix "$COPPICE" train "$work/deck.yaml" --set "run.dir=$run" --set "run.steps=$STEPS" "$@" \
        > "$name.said" 2>&1; echo $? > "$name.code") &
}

# until_true COMMAND...: at most 60 s
until_true() {
    for _ in $(seq 600); do
        "$@" > /dev/null 2>&1 && return 0
        sleep 0.1
    done
    echo "not within a minute: $*" >> "$work/said"
    return 1
}
steps_of() { [ "$(wc -l < "$run/metrics.jsonl")" -gt 5 ]; }
code_of() { cat "$work/$1.code"; }
worked() { grep -q 'step  tokens' "$work/$1.said"; }

# outer_number: of the jobs that run, whatever namespace they are in
outer_number() {
    grep -lsa -e "$work/deck.yaml" /proc/[0-9]*/cmdline | xargs -r grep -lsa "^$COPPICE" | sed 's/[^0-9]//g'
}
trap 'for p in $(outer_number); do kill -s KILL "$p"; done 2> /dev/null; rm -rf "$work"' EXIT

# holder NAME PREFIX ARGUMENTS...: a job without end, once it steps; $holder is its process as this script sees it
holder() {
    name=$1 prefix=$2
    shift 2
    STEPS=1000000000 job "$name" "$prefix" --set checkpoint.every=never "$@"
    until_true steps_of
    holder=$(outer_number)
}

# left_behind AGE MEMBERS: a lock, touched at this date
left_behind() {
    mkdir -p "$run"
    echo "{\"host\":\"gone\",\"boot\":\"x\",\"pid\":4711,\"started\":1,$2}" > "$run/run.lock"
    touch -d "$1" "$run/run.lock"
}

# once NAMES...: one of these jobs did all the work, in one go; the others were refused, or came when it was done
once() {
    at_work=0
    for name; do
        worked "$name" && at_work=$((at_work + 1))
        case $(code_of "$name") in
        0) ;;
        64) grep -q 'in use by' "$work/$name.said" || return 1 ;;
        *) cp "$work/$name.said" "$work/said"; return 1 ;;
        esac
    done
    [ $at_work -eq 1 ] || { echo "$at_work jobs at work" >> "$work/said"; return 1; }
    sed -n 's/^{"step":\([0-9]*\),.*"grad_norm".*/\1/p' "$run/metrics.jsonl" > "$work/steps"
    seq $STEPS | diff - "$work/steps" >> "$work/said" && [ ! -e "$run/run.lock" ] &&
        [ "$(ls "$run"/run.lock.* 2> /dev/null)" = "" ]
}

# three: jobs at once, every other one in a namespace of its own
three() {
    job 1 ""
    job 2 "$space"
    job 3 "$space"
    wait
}

# rounds WHAT COMMAND...: COUNT times
rounds() {
    what=$1 good=0
    shift
    for _ in $(seq "$COUNT"); do
        rm -rf "$run"
        : > "$work/said"
        "$@" && good=$((good + 1)) || cp "$work/said" "$work/bad"
    done
    [ ! -e "$work/bad" ] || mv "$work/bad" "$work/said"
    [ $good -eq "$COUNT" ]
    verdict $? "three jobs at once, $what: one at work, $good of $COUNT rounds"
}

on_nothing() { three; once 1 2 3; }
on_old() { left_behind '2 hours ago' '"job":"7"'; three; once 1 2 3; }
on_killed() {
    holder h "$space" --set checkpoint.every=50
    kill -s KILL "$holder"
    until_true test -e "$work/h.code"
    rm -rf "$run/ckpt" "$run/metrics.jsonl"
    three
    once 1 2 3 && cat "$work"/[123].said | grep -q "^lock .*taken over from .*which is gone"
}
on_living() {
    holder h "$space"
    three_refused
    refused=$?
    touch "$run/stop"
    until_true test -e "$work/h.code"
    grep -q 'stopped at step .* by RUN/stop' "$work/h.said" && [ $refused -eq 0 ] && [ ! -e "$run/run.lock" ]
}
three_refused() {
    for j in 1 2 3; do
        [ $j = 1 ] && job $j "" || job $j "$space"
    done
    for j in 1 2 3; do
        until_true test -e "$work/$j.code" && [ "$(code_of $j)" -eq 64 ] && grep -q 'in use by' "$work/$j.said" || return 1
    done
}

# ---- --fresh ----

# Two at once: one moves and trains, the other is refused or (when it comes after it) moves again; nothing is lost.
fresh() {
    rm -rf "$run" "$run".2*
    "$COPPICE" train "$work/deck.yaml" --set "run.dir=$run" --set run.steps=3 > "$work/said" 2>&1 || return 1
    job 1 "" --fresh
    job 2 "$space" --fresh
    wait
    cp "$work/2.said" "$work/said"
    moved=$(echo "$run".2*/ckpt/step_00000003) && [ -d "$moved" ] &&
        case "$(code_of 1) $(code_of 2)" in
        "0 64" | "64 0") once 1 2 && [ "$(ls -d "$run".2* | wc -l)" -eq 1 ] ;;
        "0 0") [ "$(ls -d "$run".2* | wc -l)" -eq 2 ] ;;
        *) false ;;
        esac
}

# The folder is a link to another place: what it held stays there, and the link stays a link.
fresh_link() {
    rm -rf "$run" "$run".2*
    mkdir "$work/far" && ln -s "$work/far" "$run" &&
        ends 0 "$COPPICE" train "$work/deck.yaml" --set "run.dir=$run" --set run.steps=3 &&
        ends 0 "$COPPICE" train "$work/deck.yaml" --set "run.dir=$run" --set run.steps=4 --fresh &&
        [ -L "$run" ] && [ -d "$work/far/ckpt/step_00000004" ] && [ -d "$(echo "$work"/far.2*)/ckpt/step_00000003" ]
    linked=$?
    rm -f "$run"
    return $linked
}

# ---- requeued, chained ----

requeues() {
    rm -rf "$run"
    left_behind '5 seconds ago' '"job":"77"'
    job 1 "env SLURM_JOB_ID=77 SLURM_RESTART_COUNT=1"
    wait
    cp "$work/1.said" "$work/said"
    [ "$(code_of 1)" -eq 0 ] && said 'taken over from job 77'
    verdict $? "a requeued job takes its own lock at once, wherever its older leg was"
    rm -rf "$run"
    holder h "$space"
    same="$COPPICE train $work/deck.yaml --set run.dir=$run --set run.steps=$STEPS"
    ends 75 env SLURM_JOB_ID=78 SLURM_RESTART_COUNT=1 $same && said 'in use by' &&
        ends 75 env SLURM_JOB_ID=79 SLURM_JOB_DEPENDENCY=afterany:78 $same && ends 64 env SLURM_JOB_ID=80 $same
    verdict $? "a folder in use: a requeued or chained job ends with 75, any other one with 64"
    touch "$run/stop"
    until_true test -e "$work/h.code"
}

# Another job took the lock while this one did not answer: it stops, saves nothing, leaves the other's lock. A checkpoint
# that it had begun to write stays as a draft, since the folder is not its own any more. The next job removes it.
loses() {
    rm -rf "$run"
    holder h "" --set checkpoint.every=20
    echo '{"token":"00112233445566778899aabbccddeeff","host":"n2","pid":12,"job":"8"}' > "$run/new" &&
        mv "$run/new" "$run/run.lock"
    until_true test -e "$work/h.code"
    sleep 0.2
    before=$(ls -lR "$run")
    cp "$work/h.said" "$work/said"
    [ "$(code_of h)" -eq 64 ] && said "no longer this job's (now: job 8, process 12 on n2)" &&
        grep -q 0011223344 "$run/run.lock" && [ "$before" = "$(ls -lR "$run")" ]
    verdict $? "a job whose lock was taken stops with 64 and leaves the folder alone"
    rm "$run/run.lock"
    mkdir -p "$run/ckpt/step_00000007.tmp"
    ends 0 "$COPPICE" train "$work/deck.yaml" --set "run.dir=$run" --set run.steps=1 &&
        [ "$(echo "$run"/ckpt/*.tmp)" = "$run/ckpt/*.tmp" ]
    verdict $? "... and the next job removes what it had begun to write"
}

# ---- hosts of their own: a boot id and a name each, in mount and name spaces ----

# on HOST COMMAND...
on() {
    host=$1
    shift
    unshare --mount --uts --pid --fork --mount-proc sh -c '
        hostname "$1" && mount --bind "$2" /proc/sys/kernel/random/boot_id || exit 77
        shift 2; exec "$@"' on "$host" "$work/boot.$host" "$@"
}

hosts() {
    echo aaaaaaaa-0001 > "$work/boot.n1.a"
    echo aaaaaaaa-0002 > "$work/boot.n1.b"
    if [ "${CHECK_LEVEL:-}" != long ] || ! on n1.a true 2> /dev/null; then
        verdict 0 "# SKIP hosts of their own: CHECK_LEVEL=long and the right to mount"
        return
    fi
    rm -rf "$run"
    holder h "on n1.a"
    job 1 "on n1.b"
    until_true test -e "$work/1.code"
    cp "$work/1.said" "$work/said"
    [ "$(code_of 1)" -eq 64 ] && said 'waiting up to' && said 'in use by job -, process .* on n1.a'
    verdict $? "a living job on n1.a, one more on n1.b: it waits for a heartbeat, then 64"

    kill -s STOP "$holder"
    begin=$(date +%s)
    job 1 "on n1.b"
    job 2 "on n1.b"
    wait_two=0
    until_true test -e "$work/1.code" || until_true test -e "$work/1.code" || wait_two=1
    until_true test -e "$work/2.code" || until_true test -e "$work/2.code" || wait_two=1
    seconds=$(($(date +%s) - begin))
    cat "$work/1.said" "$work/2.said" > "$work/said"
    [ $wait_two -eq 0 ] && said 'taken over from job -, process .* on n1.a' && [ $seconds -lt 90 ] &&
        [ "$(worked 1 && echo 1)$(worked 2 && echo 2)" != 12 ]
    verdict $? "it is stopped (SIGSTOP): one of two on n1.b takes over, after ${seconds} s"
    before=$(ls -lR "$run")
    kill -s CONT "$holder"
    until_true test -e "$work/h.code"
    cp "$work/h.said" "$work/said"
    [ "$(code_of h)" -eq 64 ] && said "no longer this job's" && [ "$before" = "$(ls -lR "$run")" ]
    verdict $? "it goes on: 64, and nothing in the folder changes"
}

rounds "no lock" on_nothing
rounds "a lock of two hours ago" on_old
rounds "a killed job's lock" on_killed
what="a folder in use" && rounds "$what" on_living
fresh
verdict $? "two --fresh at once: the old run is moved once and whole"
fresh_link
verdict $? "--fresh on a link to another place"
requeues
loses
hosts
finish
