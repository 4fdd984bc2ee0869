#!/bin/sh
# What stops a run besides the signals of signals.sh: a second INT, USR2, QUIT, XCPU; what must not: HUP under nohup, a closed
# stdout. Stacks that are too small. And the job scripts, with stand-ins for Slurm's commands: who requeues, and how often.
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
options="--set batch.sequences=30000"
begin env && kill -s INT $job && sleep 0.8 && kill -s INT $job && ended 130 && ! saved
verdict $? "INT, and again later: ends at once, unsaved"
options="--set run.steps=1"
ends 0 "$COPPICE" train "$work/deck.yaml" --set "run.dir=$work/run" --set run.steps=1
verdict $? "the next start takes its lock over"
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

# ---- job scripts: stand-ins note what they are asked ----
mkdir "$work/bin"
standin() { { echo '#!/bin/sh'; cat; } > "$work/bin/$1"; chmod +x "$work/bin/$1"; }
standin coppice <<'END'
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
standin scancel <<'END'
echo "cancel $*" >> "$NOTES"
END

# job CODE NOTES SCRIPT VARIABLE=VALUE...: the script ends with the code, and asked Slurm for this
job() {
    asked=$2
    : > "$work/notes"
    code=$1 script=$3
    shift 3
    ends "$code" env PATH="$work/bin:$PATH" NOTES="$work/notes" CODE="$code" SLURM_JOB_ID=77 SLURM_CPUS_PER_TASK=1 "$@" \
        bash "$top/jobscripts/$script" deck.yaml || return 1
    noted=$(sed 's/--parsable.*/.../' "$work/notes" | tr '\n' ';')
    [ "$noted" = "$asked" ] || { echo "asked: $noted" >> "$work/said"; return 1; }
}

if ! command -v bash > /dev/null; then
    verdict 0 "job scripts # SKIP no bash"
    finish
fi
for script in train.sbatch mpirun.sbatch; do
    job 75 "requeue 77;" "$script" && job 79 "" "$script" && job 0 "" "$script" && job 73 "" "$script"
    verdict $? "$script: 75 requeues, RUN/stop and other codes do not"
    job 75 "requeue 77;" "$script" REFUSED=1 && said 'could not be requeued: submit it again'
    verdict $? "$script: a requeue that failed is told"
    job 75 "requeue 77;" "$script" SLURM_RESTART_COUNT=1 COPPICE_LEGS=3 && job 75 "" "$script" SLURM_RESTART_COUNT=2 COPPICE_LEGS=3 &&
        said 'leg 3, and COPPICE_LEGS allows no more'
    verdict $? "$script: at most COPPICE_LEGS legs"
done
job 75 "next ...;" chain.sbatch && grep -q 'afterany:77 --export=ALL,COPPICE_LEG=2 .*chain.sbatch deck.yaml$' "$work/notes" &&
    job 79 "next ...;cancel 78;" chain.sbatch && job 0 "next ...;cancel 78;" chain.sbatch
verdict $? "chain.sbatch: the next job waits from the start, and goes when the run is done or was stopped"
job 75 "" chain.sbatch COPPICE_LEG=3 COPPICE_LEGS=3 && said 'leg 3, and COPPICE_LEGS allows no more' &&
    job 75 "next ...;" chain.sbatch REFUSED=1 && said 'could not be submitted'
verdict $? "chain.sbatch: at most COPPICE_LEGS legs; a submission that failed is told"
finish
