# shellcheck shell=bash
# L5: the life of a job. With a batch system: through sbatch and the job scripts (copies of which lie in jobs/); else
# through the launcher, and this shell starts the next leg.

run=$work/run
PATH=$(dirname "$COPPICE"):$PATH
[ $((V_RANKS % 2)) -eq 0 ] && EXPERTS="--set parallel.expert=2" || EXPERTS=
endless="--set run.steps=1000000000 --set batch.sequences=8 --set checkpoint.every=never"

# within SECONDS COMMAND...: it becomes true
within() {
    end=$(($(date +%s) + $1))
    shift
    until "$@" > /dev/null 2>&1; do
        [ "$(date +%s)" -lt $end ] || { echo "not in time: $*" >> "$work/said"; return 1; }
        sleep 0.3
    done
}
deck_of_job() { # a run whose job may end at any time
    deck "experts: 4, top_k: 2"
    sed -i 's/^eval: .*/eval: {every: never, tokens: 64}/' "$work/deck.yaml"
}
steps() { [ "$(curve "$run" 2> /dev/null | wc -l)" -gt "$1" ]; }
leg_goes() { grep -q "\"leg\":$1," "$run/metrics.jsonl"; } # LEG: has it taken a step?
legs_said() { grep -ch "$1" "$work"/*.said | awk '{ n += $1 } END { print n + 0 }'; }

# ---- with a batch system ----

# job_start RANKS ARGUMENT...: on all nodes, or for fewer ranks on one; $job is its number
job_start() {
    ranks=$1
    shift
    cp "$V_JOBS"/*.sh "$V_JOBS"/nodes.sbatch "$V_OUT/jobs/"
    [ "$ranks" -eq "$V_RANKS" ] && shape="--nodes=$V_NODES --ntasks-per-node=$V_TASKS" || shape="--nodes=1 --ntasks-per-node=$ranks"
    # shellcheck disable=SC2086
    job=$(sbatch --parsable $V_SBATCH $shape --cpus-per-task="$V_THREADS" --time=30 --output="$work/%j.said" \
        "$V_OUT/jobs/nodes.sbatch" "$work/deck.yaml" --set "run.dir=$run" $EXPERTS "$@")
    job=${job%%;*}
}
job_gone() { [ -z "$(squeue -h -j "$job" 2> /dev/null)" ]; }
job_signal() { scancel --signal=USR1 "$job"; }
# on_last_node SCRIPT: in the job
on_last_node() {
    last=$(scontrol show hostnames "$(squeue -h -j "$job" -o %N)" | tail -n 1)
    srun --jobid="$job" --overlap --mpi=none -N1 -n1 -w "$last" sh -c "$1"
}

# ---- without ----

local_leg() { # the job's next leg, in the background
    leg=$((leg + 1))
    # shellcheck disable=SC2086
    $V_PLAIN -n "$ranks" "$COPPICE" train "$work/deck.yaml" --set "run.dir=$run" $EXPERTS $arguments > "$work/$leg.said" 2>&1 &
    launcher=$!
}

# ---- both: a job that goes on by itself ----

begin() { # RANKS ARGUMENT...
    if [ "$V_BATCH" = slurm ]; then job_start "$@"; return; fi
    ranks=$1 leg=0
    shift
    arguments=$*
    local_leg
}
ask_to_stop() { if [ "$V_BATCH" = slurm ]; then job_signal; else kill -s USR1 "$launcher"; fi; }
# next_leg SECONDS LEG: it takes steps, after the leg before has ended by itself
next_leg() {
    if [ "$V_BATCH" != slurm ]; then
        wait "$launcher"
        echo "coppice: job, leg $leg: exit code $?" >> "$work/$leg.said"
        local_leg
    fi
    within "$1" leg_goes "$2"
}
finish_job() { # by the user's stop
    touch "$run/stop"
    if [ "$V_BATCH" = slurm ]; then
        within 600 job_gone
    else
        wait "$launcher"
        [ ! -e "$run/stop" ] || { local_leg && wait "$launcher"; } # the leg ended by itself before
    fi
    cat "$work"/*.said > "$work/said"
    [ ! -e "$run/stop" ]
}
pid_of_last_rank="for p in /proc/[0-9]*; do tr '\\0' ' ' < \$p/cmdline 2> /dev/null | grep -q '^[^ ]*coppice train .*run.dir=$run ' && echo \${p#/proc/}; done | sort -n | tail -n 1"
strike() { # the last rank of the last node
    script="pid=\$($pid_of_last_rank); kill -s KILL \$pid"
    if [ "$V_BATCH" = slurm ]; then on_last_node "$script"; else sh -c "$script"; fi
}

# ---- the tests ----

t_L5_signal() {
    deck_of_job
    # shellcheck disable=SC2086
    begin "$V_RANKS" $endless
    within 300 steps 5 && ask_to_stop && next_leg 400 2
    state=$?
    finish_job && [ $state -eq 0 ] && grep -q '"event":"stop"' "$run/events.jsonl" && said 'stopped at step [0-9,]* of' && said '^continue'
    verdict $? "USR1 to the job: it saves, and the next leg continues"
}

t_L5_legs() {
    deck_of_job
    # shellcheck disable=SC2086
    begin "$V_RANKS" $endless --set run.time_limit=15s
    within 300 steps 2 && next_leg 400 2 && next_leg 400 3
    state=$?
    finish_job && [ $state -eq 0 ] && [ "$(grep -c '"event":"stop".*"kind":"limit"' "$run/events.jsonl")" -ge 2 ]
    verdict $? "three legs, ended by the time limit, then by RUN/stop"
    n=$(curve "$run" | tail -n 1 | cut -d ' ' -f 1)
    rm -f "$work"/*.said
    one=$run run=$work/whole
    if [ "$V_BATCH" = slurm ]; then
        # shellcheck disable=SC2086
        job_start "$V_RANKS" $endless --set "run.steps=$n" && within 600 job_gone
    else
        # shellcheck disable=SC2086
        begin "$V_RANKS" $endless --set "run.steps=$n" && wait "$launcher"
    fi
    cat "$work"/*.said > "$work/said"
    same "$one" "$run"
    verdict $? "their $n steps have the losses, weights and moments of one leg, bit for bit"
}

t_L5_killed() {
    deck_of_job
    # shellcheck disable=SC2086
    begin "$V_RANKS" $endless --set checkpoint.every=20 --set run.watchdog=20s
    within 300 steps 50 && strike && next_leg 600 2
    state=$?
    finish_job && [ $state -eq 0 ] && said '^continue' && { grep -q 'died: rank' "$run/run.log" || said 'died'; }
    verdict $? "a rank that is killed takes the job along; run.log names it, and the next leg continues: $(grep -h -o 'died: rank [^:]*' "$run/run.log" | head -n 1)"
}

t_L5_ranks() {
    deck_of_job
    # shellcheck disable=SC2086
    begin "$V_RANKS" $endless
    within 300 steps 5 && finish_job
    state=$?
    before=$(hashes "$run" | sed 's/.*weights \([^ ]*\).*/\1/')
    half=$((V_RANKS / 2)) && [ $((half % 2)) -eq 0 ] || EXPERTS=
    rm -f "$work"/*.said
    # shellcheck disable=SC2086
    begin $half $endless
    within 300 leg_goes 2 && finish_job && [ $state -eq 0 ] && said "^continue.*$before\|hashes $before"
    verdict $? "$V_RANKS ranks, then $half: it continues with the weights $before"
}
