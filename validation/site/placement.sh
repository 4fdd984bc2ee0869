# shellcheck shell=sh
# Sourced by site/drive: how ranks are started and placed here, and the job that runs levels on the nodes of a batch system.

here=''
if [ "$batch" = none ]; then batch=''
elif [ -n "${SLURM_JOB_ID:-}" ]; then here=job # of somebody else: its nodes are ours, and nothing is submitted
elif command -v sbatch > /dev/null && sinfo -h > /dev/null 2>&1; then here=slurm
fi

# site KEY: of the site file, if there is one
site() { "$COPPICE" site get "$1" 2> /dev/null; }

cores_here() { # that this process may use
    if [ -n "${SLURM_CPUS_ON_NODE:-}" ]; then echo "$SLURM_CPUS_ON_NODE"; else nproc; fi
}
cores_of_a_node() { # of Slurm's nodes, the fewest
    sinfo -h -N -o %c | sort -n | head -n 1 | tr -dc 0-9
}
tensor_of() { # RANKS_OF_A_NODE: the largest of 8, 4, 2 that divides it
    for t in 8 4 2; do [ $(($1 % t)) -eq 0 ] && echo $t && return; done
    echo 1
}

# open_mpi LAUNCHER: is it Open MPI's mpirun?
open_mpi() {
    case $("${1%% *}" --version 2> /dev/null) in *"Open MPI"* | *OpenRTE*) return 0 ;; esac
    return 1
}
# the site's launcher, with its flags; nothing if there is no site file, or it is srun and there is no Slurm
site_launcher() {
    case $(site launcher):$here in
    srun:slurm | srun:job) echo "srun --mpi=$(site mpi) $(site launcher_flags)" ;;
    :slurm | :job) echo "srun --mpi=pmix" ;;
    mpirun:*) echo "mpirun $(site launcher_flags)" ;;
    esac
}
site_batch() {
    account=$(site account) partition=$(site partitions)
    echo "${account:+--account=$account} ${partition:+--partition=${partition%% *}}"
}
# plain LAUNCHER: for more ranks than cores, anywhere
plain() {
    case $1 in
    srun*) echo "env OMPI_MCA_mpi_yield_when_idle=1 $1 --overcommit" ;;
    *) if open_mpi "$1"; then echo "${1%% *} --oversubscribe --bind-to none"; else echo "$1"; fi ;;
    esac
}
nodes_up() { sinfo -h -N -t idle,mix,alloc | awk '!seen[$1]++ { n++ } END { print n + 0 }'; }

V_BATCH=$here V_HOURS=$hours
[ "$here" != job ] || V_BATCH=''
if [ "$inside" = yes ]; then
    V_BATCH='' # the job is there already
    . "$V_OUT/work/placement"
else
    : "${launcher:=$(site_launcher | sed 's/ *$//')}" "${batch:=$(site_batch)}"
    if [ "$V_BATCH" = slurm ]; then
        cores=$(cores_of_a_node)
        [ -n "$nodes" ] || { [ "$profile" != quick ] && [ "$(nodes_up)" -ge 2 ] && nodes=2; }
    else
        cores=$(cores_here) nodes=${nodes:-${SLURM_NNODES:-1}}
        : "${launcher:=$(plain mpiexec)}"
    fi
    V_NODES=${nodes:-1} V_TASKS=${ranks:-$((cores > 8 ? 8 : cores))}
    [ $((V_TASKS * V_NODES)) -ge 2 ] || V_TASKS=2
    V_RANKS=$((V_TASKS * V_NODES)) V_THREADS=${threads:-$((cores / V_TASKS))}
    [ $V_THREADS -ge 1 ] || V_THREADS=1
    V_LAUNCH=$launcher V_PLAIN=$(plain "$launcher") V_SBATCH=$batch
    case $launcher in
    srun*) V_LAUNCH="$launcher --ntasks-per-node=$V_TASKS --cpus-per-task=$V_THREADS --cpu-bind=cores" ;;
    esac
fi
# Groups of every kind: tensor inside a node, experts over all ranks, expert-tensor where four ranks divide.
V_GROUPS="--set parallel.tensor=$(tensor_of $((V_TASKS > 1 ? V_TASKS : V_RANKS)))"
if [ $((V_RANKS % 4)) -eq 0 ]; then
    V_GROUPS="$V_GROUPS --set parallel.expert=$((V_RANKS / 2)) --set parallel.expert_tensor=2"
else
    V_GROUPS="$V_GROUPS --set parallel.expert=$V_RANKS"
fi
MPIEXEC=${V_PLAIN%% *} MPIEXEC_FLAGS=${V_PLAIN#"${V_PLAIN%% *}"}
export V_BATCH V_HOURS V_NODES V_TASKS V_RANKS V_THREADS V_LAUNCH V_PLAIN V_SBATCH V_GROUPS MPIEXEC MPIEXEC_FLAGS

level_job() { # the job script of the levels that run on nodes
    cat <<JOB
#!/bin/sh
#SBATCH --job-name=coppice-validate
#SBATCH --nodes=$V_NODES
#SBATCH --ntasks-per-node=$V_TASKS
#SBATCH --cpus-per-task=$V_THREADS
#SBATCH --time=$([ "$profile" = soak ] && echo $((V_HOURS * 60 + 120)) || echo 60)
#SBATCH --exclusive
#SBATCH --mem=0
#SBATCH --no-requeue
#SBATCH --output=$V_OUT/log/levels.txt
export COPPICE=$COPPICE
unset SLURM_CPU_BIND SLURM_EXPORT_ENV # those of the login shell
exec sh $V_SITE/drive --inside $V_OUT
JOB
}

submit_levels() {
    level_job > "$V_OUT/jobs/levels.sbatch"
    for name in V_NODES V_TASKS V_RANKS V_THREADS V_LAUNCH V_PLAIN V_SBATCH V_HOURS; do
        eval "printf \"%s='%s'\\n\" $name \"\$$name\""
    done > "$V_OUT/work/placement"
    # shellcheck disable=SC2086
    sbatch --wait $V_SBATCH "$V_OUT/jobs/levels.sbatch" || echo "the job of the levels ended with $?: see log/levels.txt"
    cat "$V_OUT/log/levels.txt"
    while IFS='|' read -r id must _ _ what; do # what the job did not reach
        case $id in
        L5.*) ;;
        *) grep -q "^$id|" "$V_OUT/work/status" || { echo "skip the job ended before" > "$V_OUT/tests/$id"; echo "$id|skipped|0|$must|$what" >> "$V_OUT/work/status"; } ;;
        esac
    done < "$V_OUT/work/selected"
}

# --record: a machine file of coppice plan, and behind it the figures of this validation
record_machine() {
    rm -f "$V_OUT/work/machine.yaml"
    # shellcheck disable=SC2086
    (cd "$V_OUT/work" && OMP_NUM_THREADS=$V_THREADS $V_LAUNCH -n "$V_RANKS" "$COPPICE" plan --measure --out "$V_OUT/work/machine.yaml") > "$V_OUT/log/record.txt" 2>&1 ||
        { echo "coppice-validate: --record: coppice plan --measure failed: see $V_OUT/log/record.txt" >&2; return; }
    {
        cat "$V_OUT/work/machine.yaml"
        echo "# Recorded by coppice-validate $profile on $V_RANKS ranks of $V_NODES node(s); validate.NAME.band: BAND allows another deviation"
        lines "$V_SITE/figures.list" | while IFS='|' read -r name _ band unit _; do
            value=$(sed -n "s/^figure $name \([^ ]*\) .*/\1/p" "$V_OUT"/tests/* | tail -n 1)
            [ "$band" = - ] || [ -z "$value" ] || echo "validate.$name: $value # $unit"
        done
    } > "$record" || { echo "coppice-validate: --record $record: cannot be written" >&2; return; }
    echo "recorded $record"
}
