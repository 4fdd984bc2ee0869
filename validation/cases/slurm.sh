#!/bin/sh
# The life of a job under a real Slurm of two nodes (validation/slurm): legs that end by the time limit and requeue, the
# user's stop, a job that is preempted, a rank that is stopped or killed, a job whose node dies, a chain after a kill -9, a
# second job on one run folder, several tasks of a command for one. Behind CHECK_LEVEL=long: 20 minutes, mostly waiting.
#   ONLY="legs preempted" validation/cases/slurm.sh     some of: legs preempted stopped killed node_dies chain second several_tasks other_pmi
. "${srcdir:-.}/validation/scripts/tap.sh"
[ "${CHECK_LEVEL:-}" = long ] || { echo "1..0 # SKIP CHECK_LEVEL=long asks for it"; exit 0; }
PATH=$PATH:/usr/sbin:/sbin
for tool in slurmctld slurmd munged sbatch unshare; do
    command -v $tool > /dev/null || { echo "1..0 # SKIP no $tool (Debian: slurm-wlm)"; exit 0; }
done
[ "$(id -u)" -eq 0 ] || { echo "1..0 # SKIP two nodes on one machine need root"; exit 0; }
slurm=$work/slurm
trap '"$top/validation/slurm/stop" "$slurm"; sleep 1; rm -rf "$work"' EXIT
"$top/validation/slurm/start" "$slurm" || { echo "1..0 # SKIP Slurm does not start here"; exit 0; }
export SLURM_CONF="$slurm/slurm.conf"
COPPICE=$(realpath "$COPPICE")
PATH=$(dirname "$COPPICE"):$PATH

tokens "$work/tokens"
{ tiny "experts: 2" "$work/tokens"; echo "checkpoint: {every: 5, keep: 2}"; echo "log: {every: 1000}"; } |
    sed 's/^eval: .*/eval: {every: never, tokens: 64}/' > "$work/deck.yaml"
run=$work/run

# submit ARGUMENTS_OF_SBATCH...: a job of two ranks without end on the run folder; $job is its number
submit() {
    job=$(sbatch --parsable --nodes=1 --ntasks-per-node=2 --cpus-per-task=1 --time=30 --output="$work/%j.said" "$@" \
        "$top/jobscripts/node.sbatch" "$work/deck.yaml" --set "run.dir=$run" --set run.steps=1000000000)
}

# within SECONDS COMMAND...: $seconds says how long it took
within() {
    begin=$(date +%s) end=$(($(date +%s) + $1))
    shift
    until "$@" > /dev/null 2>&1; do
        [ "$(date +%s)" -lt $end ] || { echo "not in time: $*" >> "$work/said"; return 1; }
        sleep 0.2
    done
    seconds=$(($(date +%s) - begin))
}

# goes_on JOB LEG: has it saved in this leg?
goes_on() { awk -v leg="leg $2 " 'index($0, leg) { here = 1 } here && / saved step/ { good = 1 } END { exit !good }' "$work/$1.said"; }
two_idle() { [ "$(sinfo -h -N -p main -o %T | grep -c idle)" -eq 2 ]; }
node_of() { squeue -h -j "$1" -o %N; }
ended() { [ -z "$(squeue -h -j "$1" 2> /dev/null)" ]; }
code_of() { scontrol show job "$1" | sed -n 's/.*ExitCode=\([0-9]*\):.*/\1/p'; }

# processes_of NODE: all that run on it
processes_of() {
    space=$(readlink "/proc/$(cat "$slurm/slurmd.$1.pid")/ns/uts")
    for p in /proc/[0-9]*; do
        [ "$(readlink "$p/ns/uts")" = "$space" ] && basename "$p"
    done
}

# stop_job JOB
stop_job() {
    scancel "$1"
    within 60 ended "$1"
}

# submit_wide ARGUMENTS_OF_SBATCH... -- SETTING...: a job of four ranks on both nodes
submit_wide() {
    wide=
    while [ "$1" != -- ]; do wide="$wide $1"; shift; done
    shift
    # shellcheck disable=SC2086
    job=$(sbatch --parsable --nodes=2 --ntasks-per-node=2 --cpus-per-task=1 --mem=0 --output="$work/%j.said" $wide \
        "$top/jobscripts/${script:-nodes.sbatch}" "$work/deck.yaml" --set "run.dir=$run" --set run.steps=1000000000 "$@")
}
legs_of() { grep -c 'leg [0-9]*: begins' "$work/$1.said"; }
has_legs() { [ "$(legs_of "$1")" -ge "$2" ]; }
has_said() { grep -q -e "$2" "$work/$1.said"; }
# curve RUN: what each step gave
curve() { sed -n 's/^{"step":\([0-9]*\),.*"loss":\([^,]*\),.*"grad_norm":\([^,]*\),.*/\1 \2 \3/p' "$1/metrics.jsonl"; }
hashes() { "$COPPICE" inspect "$1" | grep '^hashes'; }
# rank_on NODE: the process of one rank there
rank_on() {
    for p in $(processes_of "$1"); do
        case $(tr "\\0" "\\n" < "/proc/$p/cmdline" | head -n 1) in */coppice) echo "$p"; return ;; esac
    done
}

# Legs of a minute, six at least; then the user stops the run; the unbroken run on as many ranks gives the same bits.
legs() {
    rm -rf "$run"
    slower="--set batch.sequences=256"
    # shellcheck disable=SC2086
    submit_wide --time=1 --signal=CONT@1 -- $slower # Slurm's own signal may come a minute early: none that stops
    within 1200 has_legs "$job" 6
    begun=$seconds
    within 60 grep -q "\"leg\":$(legs_of "$job")," "$run/metrics.jsonl"
    touch "$run/stop"
    within 120 has_said "$job" 'stopped by the user' && within 60 ended "$job"
    good=$?
    sleep 15
    cp "$work/$job.said" "$work/said"
    [ $good -eq 0 ] && ended "$job" && [ "$(grep -c 'leg [0-9]*: requeued' "$work/said")" -ge 5 ] &&
        [ "$(grep -c '"event":"stop".*"kind":"limit"' "$run/events.jsonl")" -ge 5 ] &&
        grep -q '"event":"stop".*"kind":"user"' "$run/events.jsonl" && ! grep -q 'tried again\|try [0-9]' "$work/said"
    verdict $? "$(legs_of "$job") legs of a minute requeue themselves in $begun s; RUN/stop ends the chain"
    steps=$(curve "$run" | tail -n 1 | cut -d ' ' -f 1)
    # shellcheck disable=SC2086
    ends 0 srun -N2 -n4 --ntasks-per-node=2 --mem=0 --mpi=pmix "$COPPICE" train "$work/deck.yaml" --set "run.dir=$work/whole" --set "run.steps=$steps" $slower
    curve "$run" > "$work/curve" && curve "$work/whole" | diff "$work/curve" - >> "$work/said" && [ "$(hashes "$run")" = "$(hashes "$work/whole")" ]
    verdict $? "their $steps steps and final weights are the unbroken run's, bit for bit"
}

preempted() {
    rm -rf "$run"
    script=preemptible.sbatch submit_wide --time=30 -- --set checkpoint.every=never
    within 60 test -s "$run/metrics.jsonl"
    other=$(sbatch --parsable --partition=urgent --nodes=2 --exclusive --time=1 --output=/dev/null --wrap "sleep 10")
    within 120 has_legs "$job" 2 && within 60 goes_past "$run"
    good=$?
    touch "$run/stop"
    within 60 ended "$job"
    cp "$work/$job.said" "$work/said"
    grep '"event":"stop"' "$run/events.jsonl" >> "$work/said"
    [ $good -eq 0 ] && said '"kind":"preemption"' && said 'leg 2: begins on .* from step [1-9]'
    verdict $? "a job that is preempted (job $other) saves and goes on as leg 2 after $seconds s"
}
# goes_past RUN: steps of a second leg
goes_past() { grep -q '"leg":2,' "$1/metrics.jsonl"; }

# struck SIGNAL WHAT PATTERN: one rank on the second node gets a signal; the leg ends, and the next one goes on
struck() {
    rm -rf "$run"
    submit_wide --time=30 -- --set run.watchdog=10s
    within 60 goes_on "$job" 1
    kill -s "$1" "$(rank_on n1)"
    within "$4" has_said "$job" 'leg 1: exit code' && took=$seconds && within 120 goes_past "$run"
    good=$?
    touch "$run/stop"
    within 60 ended "$job"
    cp "$work/$job.said" "$work/said"
    grep -A 1 '^coppice: rank\|^coppice: hang\|^coppice: job' "$work/said" | sed 's/^/# /'
    [ $good -eq 0 ] && grep -q "$3" "$run/run.log" && said 'leg 1: exit code .* try 1 of 3'
    verdict $? "$2: all down after $took s, named in run.log; the next leg goes on"
}
stopped() { struck STOP "a rank is stopped" 'hung: no progress .*: rank [0-9]* (process [0-9]* on n1) says nothing: it is stopped' 40; }
killed() { struck KILL "a rank is killed" 'died: rank [0-9]* (process [0-9]* on n1) died' 40; }

node_dies() {
    rm -rf "$run"
    within 120 two_idle
    submit
    within 60 goes_on "$job" 1
    node=$(node_of "$job")
    # shellcheck disable=SC2046
    kill -s KILL $(processes_of "$node")
    within 120 goes_on "$job" 2
    good=$?
    cp "$work/$job.said" "$work/said"
    [ $good -eq 0 ] && [ "$seconds" -le 90 ] && [ "$(node_of "$job")" != "$node" ] && said "taken over from job $job, .* on $node"
    verdict $? "a node dies: the requeued job goes on after $seconds s, on the other node"
    rm -f "$slurm/slurmd.$node.pid"
    "$top/validation/slurm/node" "$slurm" "$node"
    stop_job "$job"
}

chain() {
    rm -rf "$run"
    within 60 two_idle || sinfo -N -l >> "$work/said"
    submit --nodelist=n0
    first=$job
    within 60 goes_on "$first" 1
    submit --nodelist=n1 --dependency="afterany:$first"
    # shellcheck disable=SC2046
    kill -s KILL $(grep -lsa "$run" /proc/[0-9]*/cmdline | xargs -r grep -lsa "^$COPPICE" | sed 's/[^0-9]//g')
    within 120 goes_on "$job" 2
    good=$?
    cp "$work/$job.said" "$work/said"
    [ $good -eq 0 ] && [ "$seconds" -le 90 ] && said 'waiting up to' && said "taken over from job $first, .* on n0"
    verdict $? "kill -9: the next job of the chain (afterany) goes on after $seconds s, on the other node"
}

second() {
    other=$(sbatch --wait --parsable --nodes=1 --ntasks-per-node=1 --cpus-per-task=1 --nodelist=n0 --time=30 \
        --no-requeue --output="$work/%j.said" "$top/jobscripts/node.sbatch" "$work/deck.yaml" --set "run.dir=$run" --set run.steps=1000000000)
    cp "$work/$other.said" "$work/said"
    [ "$(code_of "$other")" -eq 64 ] && said "in use by job $job, process .* on n1"
    verdict $? "a second job on the folder: 64, it names the first"
    stop_job "$job"
}

several_tasks() {
    ends 64 srun -N2 -n2 --mpi=pmix "$COPPICE" upcycle "$work/deck.yaml" --set run.steps=1 --out "$work/hf" &&
        said 'on one rank, and srun started 2 tasks' &&
        ends 64 srun -n2 --mpi=pmix "$COPPICE" export "$run" --out "$work/hf" && [ ! -e "$work/hf" ] &&
        ends 0 srun -n1 --mpi=pmix "$COPPICE" export "$run" --out "$work/hf"
    verdict $? "srun of two tasks: upcycle and export refuse; one task exports"
}

# Open MPI would say 81 lines, none of which names the option.
other_pmi() {
    "$COPPICE" env | grep -q 'Open MPI' || return
    good=0
    for kind in pmi2 none; do
        ends 64 srun -n2 --mpi=$kind "$COPPICE" train "$work/deck.yaml" --set run.steps=1 --set "run.dir=$work/other" &&
            said 'srun --mpi=pmix' && [ "$(grep -c '^coppice: ' "$work/said")" -eq 1 ] && ! grep -qi 'open mpi was\|OMPI was' "$work/said" ||
            good=1
    done
    verdict $good "srun --mpi=pmi2 or none, and a library that needs PMIx: one message, before MPI starts"
}

for part in ${ONLY:-legs preempted stopped killed node_dies chain second several_tasks other_pmi}; do
    $part
done
finish
