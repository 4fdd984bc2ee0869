#!/bin/sh
# The site file: what show, get and check say of it, mistakes with their places, and who reads it.
. "${srcdir:-.}/validation/scripts/tap.sh"
site=$work/site.yaml
COPPICE_SITE=$site
export COPPICE_SITE
unset SBATCH_ACCOUNT SBATCH_PARTITION COPPICE_MPI COPPICE_LAUNCHER
mkdir -p "$work/bin" "$work/scratch/me"
standin() { { echo '#!/bin/sh'; cat; } > "$work/bin/$1"; chmod +x "$work/bin/$1"; }
standin srun <<'END'
[ "$1" = --mpi=list ] && echo "MPI plugin types are: none pmi2 pmix"
END
standin sinfo <<'END'
[ "$3" = cpu ] && echo cpu; true
END
PATH=$work/bin:$PATH

echo "partitions: [cpu, cpu]
launcher_flags: \"--a='b c' \$HOME\"
account: project1
mpi: pmi2
machine: mine.yaml
scratch: scratch/\${WHO:-me}" > "$site"
sed 's/^name: .*/name: my own machine/' "$top/input/machines/cpu.yaml" > "$work/mine.yaml"
ends 0 "$COPPICE" site show && said "^site file  *$site" && said '^launcher: srun  # default' && said "^mpi: pmi2  # $site:4:1"
verdict $? "show: every key with where it came from"
[ "$("$COPPICE" site get scratch)" = "$work/scratch/me" ] && [ "$("$COPPICE" site get partitions)" = "cpu cpu" ] &&
    [ -z "$("$COPPICE" site get stripe)" ] && [ -r "$("$COPPICE" site get machines)/cpu.yaml" ] &&
    [ -r "$("$COPPICE" site get jobscripts)/common.sh" ]
verdict $? "get: a value, a path with its variable, a list, nothing, and folders of the program's files"
ends 64 "$COPPICE" site get laucher && said 'no key laucher; there are launcher, ' && ends 64 "$COPPICE" site get &&
    ends 64 "$COPPICE" site get ../etc
verdict $? "get: what is no key"
(eval "$("$COPPICE" site show --shell)" && [ "$COPPICE_LAUNCHER_FLAGS" = "--a='b c' \$HOME" ] && [ "$SBATCH_PARTITION" = cpu ] &&
    [ "$SBATCH_ACCOUNT" = project1 ] && [ "$COPPICE_MPI" = pmi2 ] && [ "${COPPICE_STRIPE-none}" = none ] &&
    [ "$(sh -c 'echo "$COPPICE_MPI"')" = pmi2 ])
verdict $? "show --shell: a shell reads back the same texts"
(COPPICE_MPI=mine && export COPPICE_MPI && eval "$("$COPPICE" site show --shell)" && [ "$COPPICE_MPI" = mine ])
verdict $? "show --shell: a user's own variable comes first"
ends 0 "$COPPICE" site show --json && said '"exists": true' && said '"value": "project1"' && said "\"origin\": \"$site:3:1\""
verdict $? "show --json"
ends 0 "$COPPICE" site check && said '^good ' && said "^scratch  *$work/scratch/me, .* free"
verdict $? "check: a good file"

# wrong LINE MESSAGE: this line, as the last of a good file, is a mistake at its place
wrong() {
    printf 'account: project1\n%s\n' "$1" > "$site"
    ends 64 "$COPPICE" site check && said "$site:2:$2"
    verdict $? "check: $1"
}
wrong 'partition: cpu' '1: partition: unknown key of a site file; did you mean partitions'
wrong 'account: again' '1: this key was given before'
wrong 'launcher: aprun' '1: launcher: expected one of srun mpirun, not aprun'
wrong 'partitions: [cpu, gpu]' '1: partitions: gpu is no partition'
wrong 'mpi: pmix_v9' '1: mpi: pmix_v9 is not in what srun --mpi=list says'
wrong 'scratch: ${NOBODY_SETS_THIS}/x' '1: scratch: ${NOBODY_SETS_THIS} is not set'
wrong 'scratch: /nowhere/at/all' '1: scratch: /nowhere/at/all is no folder'
wrong 'stripe: nolfs setstripe -c 4' '1: stripe: nolfs is not in PATH'
wrong 'stripe: "$(touch /tmp/x)"' '1: stripe: $(touch is not in PATH'
wrong 'machine: nowhere' '1: machine: nowhere cannot be used'
wrong 'modules: [nomodule/9]' '1: modules: nomodule/9 is no module here'
wrong 'mpi: {a: b}' '6: expected a value, or a list'
wrong 'stripe:' '1: stripe: no value'
printf 'launcher: mpirun\n' > "$site"
mkdir "$work/few"
for tool in sh grep timeout; do ln -s "$(command -v $tool)" "$work/few/$tool"; done
PATH=$work/few "$COPPICE" site check > "$work/said" 2>&1
[ $? -eq 64 ] && said "$site:1:1: launcher: mpirun is not in PATH"
verdict $? "check: a launcher that is not in PATH"
COPPICE_SITE=$work/none ends 64 "$COPPICE" site show && said 'COPPICE_SITE: there is no file'
verdict $? "a file that COPPICE_SITE names must exist"

# Who reads it: plan has the site's machine file; a deck and the command line come first.
tokens "$work/tokens"
{ tiny "experts: 4, top_k: 2" "$work/tokens"; echo "run: {steps: 2}"; } > "$work/deck.yaml"
printf 'machine: mine.yaml\n' > "$site"
sed 's/^name: .*/name: of the deck/' "$work/mine.yaml" > "$work/theirs.yaml"
ends 0 "$COPPICE" plan "$work/deck.yaml" && said 'machine: my own machine' &&
    ends 0 "$COPPICE" plan "$work/deck.yaml" --set "run.machine=$work/theirs.yaml" && said 'machine: of the deck' &&
    ends 0 "$COPPICE" plan "$work/deck.yaml" --machine cpu && said 'machine: 2 cores'
verdict $? "plan: the site's machine file, unless deck or command line name another"
printf 'machine: dgx-h100\nmachine_cpu: mine.yaml\n' > "$site"
ends 0 "$COPPICE" plan "$work/deck.yaml" && said 'machine: my own machine'
verdict $? "plan: another machine file for CPUs"
printf 'account: project1\npartitions: cpu\nlauncher: mpirun\nlauncher_flags: --mca a b\nmodules: [x/1, y]\n' > "$site"
ends 0 "$COPPICE" plan "$work/deck.yaml" --job && said '^#SBATCH --account=project1$' && said '^#SBATCH --partition=cpu$' &&
    said '^mpirun --bind-to core --mca a b coppice train ' && said '^module load x/1 y$'
verdict $? "plan --job: account, partition, modules and launcher of the site"
printf 'machin: x\n' > "$site"
ends 64 "$COPPICE" plan "$work/deck.yaml" && said "$site:1:1: machin: unknown key" && ends 0 "$COPPICE" deck check "$work/deck.yaml"
verdict $? "plan refuses a site file with mistakes"
finish
