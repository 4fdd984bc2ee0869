#!/bin/sh
# The acceptance suite proves itself: each fault that is made here turns exactly its test red. Faults are real where they can
# be: ranks on one core, a small disk, a library of another version, a CPU limit (CHECK_LEVEL=long); else they are planned.
. "${srcdir:-.}/validation/scripts/tap.sh"
test_ranks 2 1 || finish
here=$(cd "$top" && pwd)
COPPICE=$(realpath "$COPPICE")
real=$COPPICE out=0
export COPPICE
unset SLURM_CONF

# validate ARGUMENT...: into a new folder $dir; what it says in $work/said, its exit code in $code
validate() {
    out=$((out + 1))
    dir=${place:-$work}/out$out
    "$here/validation/coppice-validate" --batch none --ranks 2 --out "$dir" "$@" > "$work/said" 2>&1
    code=$?
}
# red ID...: these tests failed and no other
red() {
    sed -n 's/^not ok [0-9]* - \([^ ]*\) .*/\1/p' "$dir/results.tap" > "$work/red"
    [ "$(tr '\n' ' ' < "$work/red")" = "$*${1:+ }" ] || { echo "red: $(tr '\n' ' ' < "$work/red")" >> "$work/said"; return 1; }
}
last() { tail -n 1 "$work/said" | grep -q -e "$1" || { echo "the last line has no: $1" >> "$work/said"; return 1; }; }
# program SHELL: in place of coppice; "$@" are its arguments, $real is the program
program() {
    printf '#!/bin/sh\nreal=%s\n%s\n' "$real" "$1" > "$work/coppice"
    chmod +x "$work/coppice"
    export COPPICE="$work/coppice"
}
own() { export COPPICE="$real"; }

# ---- the verdict, from tables ----

# judged WHAT LAST_LINE COMMAND: of the table that the command prints
judged() {
    eval "$3" | awk -f "$here/validation/site/judge.awk" > "$work/judged"
    sed -n 's/^M	verdict	//p' "$work/judged" > "$work/said"
    [ "$(cat "$work/said")" = "VALIDATION: $2" ]
    verdict $? "verdict, $1: $2"
}
# table PASSED FAILED SKIPPED: so many tests; a figure of 100, high is better, 10 % are allowed
table() {
    for i in $(seq "$1"); do printf 'T\tp%d\tpassed\t1\tyes\twhat\n' "$i"; done
    [ "$2" -eq 0 ] || printf 'T\tf\tfailed\t1\tyes\twhat\n'
    [ "$3" -eq 0 ] || printf 'T\ts\tskipped\t1\tyes\twhat\n'
    printf 'K\tgemm\thigh\t0.10\tFLOP/s\twhat\nF\tgemm\t100\tFLOP/s\tp1\nM\treference_name\tnode\n'
}
reference() { printf 'R\tgemm\t%s\n' "$1"; }
entry() { echo "$*" | tr ' ' '\t'; }
judged "no reference" "PASSED 3/3, speed not judged, 0 waived" "table 3 0 0"
judged "9 % slower" "PASSED 3/3, speed 1/1 within node, 0 waived" "table 3 0 0; reference 109"
judged "13 % slower" "FAILED 3/3, speed 0/1 within node, 0 waived" "table 3 0 0; reference 115"
judged "its own band" "PASSED 3/3, speed 1/1 within node, 0 waived" "table 3 0 0; reference 115; entry R gemm.band 0.2"
judged "a figure is waived" "PASSED 3/3, speed not judged, 1 waived" "table 3 0 0; reference 115; entry W gemm known"
judged "a test failed" "FAILED 3/4, speed void, 0 waived" "table 3 1 0; reference 100"
judged "a test was skipped that must run" "INCOMPLETE 3/4, 1 skipped that must run, speed not judged, 0 waived" "table 3 0 1"
judged "a test is waived, and one skipped that need not run" "PASSED 1/1, speed not judged, 1 waived" \
    "entry T w waived 1 yes what; entry T p passed 1 yes what; entry T l skipped 1 no what"

# ---- nothing is wrong ----

validate --only L0
[ $code -eq 0 ] && red && last '^VALIDATION: PASSED 12/12, speed not judged, 0 waived$' && [ "$(grep -c '^ok ' "$dir/results.tap")" -eq 12 ] &&
    (cd "$dir" && sha256sum --quiet -c SHA256SUMS >> "$work/said" 2>&1)
verdict $? "the environment as it is: passed; checksums of the reports are right"
! grep -qE '": *(-[^0-9]|,|\})' "$dir/results.json" && [ "$(tr -cd '{[' < "$dir/results.json" | wc -c)" -eq "$(tr -cd '}]' < "$dir/results.json" | wc -c)" ]
verdict $? "results.json has a value behind each name, and as many brackets closed as opened"
if command -v xmllint > /dev/null; then
    xmllint --noout "$dir/junit.xml" > "$work/said" 2>&1 && { [ -z "${JUNIT_XSD:-}" ] || xmllint --noout --schema "$JUNIT_XSD" "$dir/junit.xml" >> "$work/said" 2>&1; }
    verdict $? "junit.xml is XML${JUNIT_XSD:+, and valid by its schema}"
else
    verdict 0 "junit.xml # SKIP there is no xmllint"
fi

# ---- faults, and the test that each turns red ----

if command -v taskset > /dev/null && taskset -c 0 true 2> /dev/null; then
    taskset -c 0 "$here/validation/coppice-validate" --batch none --ranks 2 --out "$work/one-core" --only L0 > "$work/said" 2>&1
    code=$? dir=$work/one-core
    [ $code -eq 1 ] && red L0.binding && last 'speed void'
    verdict $? "two ranks on one core: L0.binding"
    taskset -c 0 "$here/validation/coppice-validate" --batch none --ranks 2 --out "$work/waived" --only L0.binding --waive "L0.binding:one core is all there is" > "$work/said" 2>&1
    [ $? -eq 77 ] || last '0/0.*1 waived'
    verdict $? "the same, waived: no test is left, and one is waived"
else
    verdict 0 "two ranks on one core # SKIP there is no taskset"
fi

# srun with another --mpi: each task takes itself for alone
cat > "$work/srun" <<'SRUN'
#!/bin/sh
shift 2
for i in 0 1; do SLURM_STEP_NUM_TASKS=2 SLURM_PROCID=$i "$@" & done
wait $!
SRUN
chmod +x "$work/srun"
validate --only L0 --launcher "$work/srun"
[ $code -eq 1 ] && red L0.pmi && grep -q 'PMIx\|--mpi=pmix' "$dir/results.tap"
verdict $? "srun with the wrong --mpi: L0.pmi, which names --mpi=pmix"

program 'case $1 in machine) COPPICE_FAIL=link:0:1+:EPERM; export COPPICE_FAIL ;; esac; exec "$real" "$@"'
validate --only L0
[ $code -eq 1 ] && red L0.locks
verdict $? "a file system without hard links: L0.locks"

if ${CC:-cc} --version > /dev/null 2>&1; then
    echo 'const char *yaml_get_version_string(void) { return "0.1.3"; }' > "$work/other.c"
    ${CC:-cc} -shared -fPIC -o "$work/other.so" "$work/other.c"
    program "case \$1 in env) LD_PRELOAD=$work/other.so; export LD_PRELOAD ;; esac; exec \"\$real\" \"\$@\""
    validate --only L0
    [ $code -eq 1 ] && red L0.libraries && grep -q 'libyaml 0.1.3 is older than' "$dir/results.tap"
    verdict $? "a library of another version: L0.libraries"
else
    verdict 0 "a library of another version # SKIP there is no compiler"
fi
own

if unshare -rm true 2> /dev/null; then
    mkdir "$work/disk"
    unshare -rm sh -c 'mount -t tmpfs -o size=64m tmpfs "$1/disk" && shift && exec "$@"' sh "$work" \
        sh -c '"$0" --batch none --ranks 2 --out "$1/disk/out" --only L0; code=$?; cp -r "$1/disk/out" "$1/small"; exit $code' \
        "$here/validation/coppice-validate" "$work" > "$work/said" 2>&1
    code=$? dir=$work/small
    [ $code -eq 1 ] && red L0.space
    verdict $? "a disk that is full: L0.space"
else
    verdict 0 "a disk that is full # SKIP a user may not mount one here"
fi

program 'case $2 in fabric) COPPICE_TRIAL=flip.all_to_all:1; export COPPICE_TRIAL ;; esac; exec "$real" "$@"'
validate --only L2
[ $code -eq 1 ] && red L2.all_to_all && last 'speed void'
verdict $? "a bit that changes on its way: L2.all_to_all"

program 'case $2 in node) COPPICE_TRIAL=drift:1; export COPPICE_TRIAL ;; esac; exec "$real" "$@"'
validate --only L1.repeat
[ $code -eq 1 ] && red L1.repeat
verdict $? "a product with another last bit: L1.repeat"
own
[ "${CHECK_LEVEL:-}" = long ] || finish

# ---- real and slow: a quiet machine of two cores ----

program 'case $2 in node) COPPICE_TRIAL=slow:1:18; export COPPICE_TRIAL ;; esac; exec "$real" "$@"'
validate --only L1
[ $code -eq 1 ] && red L1.outliers
verdict $? "products of one rank take 18 % longer: L1.outliers"

# a control group that gives one rank 85 % of a core
group=
for folder in /sys/fs/cgroup/cpu /sys/fs/cgroup; do
    mkdir "$folder/coppice-validate.$$" 2> /dev/null && group=$folder/coppice-validate.$$ && break
done
if [ -n "$group" ] && { { echo 100000 > "$group/cpu.cfs_period_us" && echo 85000 > "$group/cpu.cfs_quota_us"; } 2> /dev/null || echo "85000 100000" > "$group/cpu.max"; } 2> /dev/null; then
    program "case \${OMPI_COMM_WORLD_RANK:-\${PMI_RANK:-0}}\$2 in 1node) echo \$\$ > $group/cgroup.procs ;; esac; exec \"\$real\" \"\$@\""
    validate --only L1
    [ $code -eq 1 ] && red L1.outliers
    verdict $? "a control group gives one rank 85 % of a core: L1.outliers: $(sed -n 's/^# not //p' "$dir/results.tap" | head -n 1)"
else
    verdict 0 "a control group gives one rank 85 % of a core # SKIP no control group can be made here"
fi
[ -z "$group" ] || rmdir "$group"
own

if unshare -rm true 2> /dev/null; then
    unshare -rm sh -c 'mount -t tmpfs -o size=120m tmpfs "$1/disk" && shift && exec "$@"' sh "$work" \
        sh -c 'V_ROOM=1 "$0" --batch none --ranks 2 --out "$1/disk/out" --only L0.space --only L4.write --only L4.cut; code=$?; cp -r "$1/disk/out" "$1/tiny"; exit $code' \
        "$here/validation/coppice-validate" "$work" > "$work/said" 2>&1
    code=$? dir=$work/tiny
    [ $code -eq 1 ] && red L4.write
    verdict $? "a disk that fills up under a checkpoint: L4.write"
fi

finish
