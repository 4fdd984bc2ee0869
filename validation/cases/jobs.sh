#!/bin/sh
# The job scripts with stand-ins for Slurm's commands and for coppice: which exit codes requeue, try again (how often) or end,
# with a line in the log for each decision.
. "${srcdir:-.}/validation/scripts/tap.sh"
command -v bash > /dev/null || { verdict 0 "job scripts # SKIP no bash"; finish; }
run=$work/run
mkdir "$work/bin"
standin() { { echo '#!/bin/sh'; cat; } > "$work/bin/$1"; chmod +x "$work/bin/$1"; }
standin coppice <<'END'
[ "$1" != site ] || { echo "$SITE"; exit 0; }
[ "$1" != deck ] || { printf 'run:\n  steps: 5  # x\n  dir: "%s"  # --set\nmodel:\n  dir: no  # x\n' "$RUN"; exit; }
mkdir -p "$RUN/ckpt/step_00000$SAVES" && echo '{"state": "running"}' > "$RUN/status.json"
echo "$@" > "$RUN/arguments"
exit "$CODE"
END
for name in srun mpirun; do
    standin $name <<'END'
while [ $# -gt 0 ]; do case $1 in -c | --map-by | --bind-to) [ "$1" = --bind-to ] || shift; shift ;; -*) shift ;; *) break ;; esac; done
[ "$1" = core ] && shift
exec "$@"
END
done
standin scontrol <<'END'
echo "$@" >> "$NOTES"; exit "${REFUSED:-0}"
END
standin sbatch <<'END'
echo "next $*" >> "$NOTES"; [ -z "$REFUSED" ] && echo 78
END
standin module <<'END'
echo "module $*" >> "$NOTES"
END
standin scancel <<'END'
echo "cancel $*" >> "$NOTES"
END

# job CODE NOTES SCRIPT VARIABLE=VALUE...: the script ends with the code, and asked Slurm for this
job() {
    asked=$2
    : > "$work/notes"
    code=$1 script=$3
    shift 3
    ends "$code" env PATH="$work/bin:$PATH" NOTES="$work/notes" CODE="$code" RUN="$run" SAVES=005 SLURM_JOB_ID=77 \
        SLURM_CPUS_PER_TASK=1 "$@" bash "$top/jobscripts/$script" deck.yaml --set a=b || return 1
    noted=$(sed 's/--parsable.*/.../' "$work/notes" | tr '\n' ';')
    [ "$noted" = "$asked" ] || { echo "asked: $noted" >> "$work/said"; return 1; }
}
fresh() { rm -rf "$run"; }

job 0 "module load gcc/13 openmpi;" node.sbatch SITE="export COPPICE_MODULES='gcc/13 openmpi'"
verdict $? "modules of a site file are loaded"
ends 64 env PATH=/usr/bin:/bin SLURM_JOB_ID=77 bash "$top/jobscripts/node.sbatch" deck.yaml && said 'no program coppice is in PATH'
verdict $? "without the program no leg begins, and the reason is said"
fresh

for script in node.sbatch nodes.sbatch gpus.sbatch preemptible.sbatch mpirun.sbatch; do
    fresh
    job 75 "requeue 77;" "$script" && said 'job 77, leg 1: stopped in good order at step 5' && said 'requeued' &&
        grep -q '^train deck.yaml --set a=b$' "$run/arguments" &&
        job 79 "" "$script" && said 'leg 1: stopped by the user' && job 0 "" "$script" && said 'leg 1: done'
    verdict $? "$script: 75 requeues, RUN/stop and the run's end do not"
done
for wrong in 64 65 70 71 73 76; do
    job $wrong "" node.sbatch && said "exit code $wrong needs a person" || break
done
verdict $? "64, 65, 70, 71, 73 and 76 end the chain"

for wrong in 72 74 137 139 1; do
    fresh
    job $wrong "requeue 77;" node.sbatch && said "exit code $wrong, saved from step 0 to 5: try 1 of 3" &&
        job $wrong "requeue 77;" node.sbatch SAVES=006 && job $wrong "requeue 77;" node.sbatch SAVES=007 && said 'try 3 of 3' &&
        job $wrong "" node.sbatch SAVES=008 && said '3 legs in a row have failed' && grep -q '"killed"' "$run/status.json" || break
done
verdict $? "72, 74, 137, 139 and 1 are tried again, three times in a row; status.json says killed"
job 75 "requeue 77;" node.sbatch SAVES=009 && job 72 "requeue 77;" node.sbatch SAVES=010 && said 'try 1 of 3'
verdict $? "a good leg between them begins the count anew"
job 72 "" node.sbatch SAVES=010 && said 'nothing new was saved (step 10): no more legs'
verdict $? "a leg that saved nothing is not tried again"

fresh
for script in node.sbatch mpirun.sbatch; do
    job 75 "requeue 77;" "$script" REFUSED=1 && said 'could not be requeued: submit it again'
    verdict $? "$script: a requeue that failed is told"
    job 75 "requeue 77;" "$script" SLURM_RESTART_COUNT=1 COPPICE_LEGS=3 && job 75 "" "$script" SLURM_RESTART_COUNT=2 COPPICE_LEGS=3 &&
        said 'leg 3: COPPICE_LEGS allows no more than 3'
    verdict $? "$script: at most COPPICE_LEGS legs"
done
job 75 "next ...;" chain.sbatch && said 'job 78 is the next leg' &&
    grep -q 'afterany:77 --export=ALL,COPPICE_LEG=2 .*chain.sbatch deck.yaml --set a=b$' "$work/notes" &&
    job 79 "next ...;cancel 78;" chain.sbatch && said 'took job 78 back' && job 0 "next ...;cancel 78;" chain.sbatch
verdict $? "chain.sbatch: the next job waits from the start, and goes when the run is done or was stopped"
job 75 "" chain.sbatch COPPICE_LEG=3 COPPICE_LEGS=3 && said 'COPPICE_LEGS allows no more' &&
    job 75 "next ...;" chain.sbatch REFUSED=1 && said 'could not be submitted'
verdict $? "chain.sbatch: at most COPPICE_LEGS legs; a submission that failed is told"

# ---- signals to the batch shell: the script lives on and takes the leg's own code ----
standin coppice <<'END'
[ "$1" != site ] || exit 0
[ "$1" != deck ] || { printf 'run:\n  dir: %s  # x\n' "$RUN"; exit; }
trap 'exit 75' USR1
echo $$ > "$RUN.ready"
while :; do sleep 0.05; done
END
for script in mpirun.sbatch node.sbatch; do
    rm -f "$run.ready"
    : > "$work/notes"
    env PATH="$work/bin:$PATH" NOTES="$work/notes" RUN="$run" SLURM_JOB_ID=77 SLURM_CPUS_PER_TASK=1 \
        bash "$top/jobscripts/$script" deck.yaml > "$work/said" 2>&1 &
    shell=$!
    for _ in $(seq 500); do [ -s "$run.ready" ] && break; sleep 0.02; done
    kill -s TERM $shell
    sleep 0.3
    kill -s 0 $shell 2> /dev/null && [ $script = node.sbatch ] && kill -s USR1 "$(cat "$run.ready")"
    wait $shell
    code=$?
    [ $code -eq 75 ] && grep -q 'requeue 77' "$work/notes"
    verdict $? "$script: TERM to the script itself: the leg's own end counts"
done
finish
