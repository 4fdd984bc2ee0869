#!/bin/sh
# Locks under a real Slurm of two nodes (validation/slurm): a job whose node dies, a chain after a kill -9, a second job
# on one run folder, several tasks of a command for one. Behind CHECK_LEVEL=long: 4 minutes, mostly waiting.
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
        "$top/jobscripts/train.sbatch" "$work/deck.yaml" --set "run.dir=$run" --set run.steps=1000000000)
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
two_idle() { [ "$(sinfo -h -N -o %T | grep -c idle)" -eq 2 ]; }
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

node_dies() {
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
        --no-requeue --output="$work/%j.said" "$top/jobscripts/train.sbatch" "$work/deck.yaml" --set "run.dir=$run" --set run.steps=1000000000)
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
    good=0
    for kind in pmi2 none; do
        ends 64 srun -n2 --mpi=$kind "$COPPICE" train "$work/deck.yaml" --set run.steps=1 --set "run.dir=$work/other" &&
            said 'srun --mpi=pmix' && [ "$(grep -c '^coppice: ' "$work/said")" -eq 1 ] && ! grep -qi 'open mpi was\|OMPI was' "$work/said" ||
            good=1
    done
    verdict $good "srun --mpi=pmi2 or none, and a library that needs PMIx: one message, before MPI starts"
}

node_dies
chain
second
several_tasks
if "$COPPICE" env | grep -q 'Open MPI'; then other_pmi; fi
finish
