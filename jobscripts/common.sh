# shellcheck shell=bash
# Sourced by the job scripts: one leg of a run, and what follows it. Every decision is a line that begins with "coppice: job".
#   75            the leg was stopped by the job's end, a signal or a preemption, and saved: another leg follows
#   0, 79         done; stopped by the user (touch RUN/stop): no more legs
#   64 65 70 71 73 76   a person must look at it first: no more legs
#   all others    a rank or node died or hung, or the network did: tried again, at most COPPICE_RETRIES times in a row, and only
#                 if the leg has saved something new, so that nothing fails in a circle

# shellcheck source=site.sh
. "$here/site.sh"
code=
leg=${COPPICE_LEG:-$((${SLURM_RESTART_COUNT:-0} + 1))}

say() { echo "coppice: job ${SLURM_JOB_ID:-none}, leg $leg: $*"; }

command -v coppice > /dev/null || { # no leg could begin, on any node
    say "no program coppice is in PATH: name it behind SITE in $here/site.sh, or modules in the site file; no more legs"
    exit 64
}

# run_folder ARGUMENT...: of coppice train with these arguments; nothing if it cannot be known
run_folder() {
    local decks=()
    while [ $# -gt 0 ]; do
        case $1 in
        --branch) echo "$2"; return ;;
        --set) decks+=("$1" "$2"); shift ;;
        --set=* | [!-]*) decks+=("$1") ;;
        esac
        shift
    done
    coppice deck show "${decks[@]}" 2> /dev/null | sed -n '/^run:/,/^[^ ]/s/^ *dir: *\(.*[^ ]\) *#.*/\1/p' | tr -d '"'
}

# newest_step: that has been saved; 0 if there is none
newest_step() {
    local step
    # shellcheck disable=SC2012 # our own names
    step=$(ls "$run/ckpt" 2> /dev/null | sed -n 's/^step_0*\([0-9]\{1,\}\)$/\1/p' | sort -n | tail -n 1)
    echo "${step:-0}"
}

# one_leg SIGNALS COMMAND...: the command's exit code is in $code. This shell gets TERM and USR1, too, and must live on; with
# `pass` it passes them on as USR1, for launchers that would take TERM as an order to end at once.
one_leg() {
    local signals=$1 launcher now noted=yes
    shift
    "$@" &
    launcher=$!
    trap 'noted=yes; [ "$signals" = keep ] || kill -s USR1 "$launcher"' USR1 TERM
    while [ -n "$noted" ]; do # a signal ended the wait, not the launcher
        noted=
        wait "$launcher"
        now=$?
        [ $now -eq 127 ] && [ -n "$code" ] || code=$now # 127: it has been waited for
    done
}

# killed: a leg that was killed as a whole could not say so itself
killed() {
    local state=$run/status.json
    grep -qE '"state": "(running|starting)"' "$state" 2> /dev/null || return 0
    sed -E 's/"state": "(running|starting)"/"state": "killed"/' "$state" > "$state.job" && mv "$state.job" "$state"
}

# retry: may a leg that failed be tried again? The count of failures in a row stands in the run folder.
retry() {
    local step tries
    step=$(newest_step)
    tries=$(cat "$run/retries" 2> /dev/null)
    tries=$((${tries:-0} + 1))
    if [ "$step" -le "$began" ]; then
        say "exit code $code and nothing new was saved (step $step): no more legs; look at $run/run.log"
    elif [ "$tries" -gt "$COPPICE_RETRIES" ]; then
        say "exit code $code, and $COPPICE_RETRIES legs in a row have failed: no more legs; look at $run/run.log"
    else
        echo "$tries" > "$run/retries"
        say "exit code $code, saved from step $began to $step: try $tries of $COPPICE_RETRIES"
        return 0
    fi
    return 1
}

# goes_on: does another leg follow the one that ended with $code?
goes_on() {
    case $code in
    0) say "done"; return 1 ;;
    79) say "stopped by the user (RUN/stop): no more legs"; return 1 ;;
    64 | 65 | 70 | 71 | 73 | 76) say "exit code $code needs a person: no more legs"; return 1 ;;
    75) rm -f "$run/retries"; say "stopped in good order at step $(newest_step)" ;;
    *) killed; retry || return 1 ;;
    esac
    [ "$leg" -ge "$COPPICE_LEGS" ] || return 0
    say "COPPICE_LEGS allows no more than $COPPICE_LEGS legs: submit the job again to continue"
    return 1
}

# flags_of LAUNCHER: those of the site file, if it is the site's launcher
flags_of() { [ "${COPPICE_LAUNCHER:-}" != "$1" ] || echo "${COPPICE_LAUNCHER_FLAGS:-}"; }

# new_folder: a new run folder is striped as the site file says
new_folder() {
    [ -n "${COPPICE_STRIPE:-}" ] && [ -n "$run" ] && [ ! -e "$run" ] || return 0
    mkdir -p "$run" && $COPPICE_STRIPE "$run" > /dev/null || say "$COPPICE_STRIPE $run failed; the run goes on without"
}

# train_by SIGNALS LAUNCH ARGUMENT...: one leg
train_by() {
    local signals=$1 launch=$2
    shift 2
    run=$(run_folder "$@")
    began=$(newest_step)
    new_folder
    say "begins on ${SLURM_JOB_NODELIST:-$(hostname)}, ${run:-(no run folder)}, from step $began"
    one_leg "$signals" "$launch" "$@"
}

# on_srun ARGUMENT...: -K1: a rank that dies takes the others along. Some versions of srun do not inherit -c.
on_srun() {
    # shellcheck disable=SC2046
    exec srun -K1 --mpi="$COPPICE_MPI" --cpu-bind=cores -c "${SLURM_CPUS_PER_TASK:-1}" $(flags_of srun) coppice train "$@"
}

# on_mpirun ARGUMENT...
on_mpirun() {
    # shellcheck disable=SC2046
    exec mpirun --map-by "ppr:${SLURM_NTASKS_PER_NODE:-1}:node:PE=$OMP_NUM_THREADS" --bind-to core $(flags_of mpirun) coppice train "$@"
}

# requeue: this job runs again where another leg follows; then the script ends with the leg's code
requeue() {
    if goes_on; then
        if scontrol requeue "$SLURM_JOB_ID"; then
            say "requeued"
        else
            say "could not be requeued: submit it again, the same command continues"
        fi
    fi
    exit "$code"
}
