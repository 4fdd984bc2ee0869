# shellcheck shell=sh
# F: the long suites of the source tree, each as one test; what it says last is its result.
long() {
    (cd "$V_TOP/build" 2> /dev/null || cd "$work" || exit 73; TEST_TIMEOUT=900 "$@") > "$work/said" 2>&1
    code=$?
    cat "$work/said"
    verdict $code "$(tail -n 1 "$work/said" | cut -c 1-200)"
}
t_F_golden() { long "$V_TOP/validation/golden" "$V_TOP/validation/reference"; }
t_F_layouts() { long "$V_TOP/validation/layouts"; }
t_F_faults() { long "$V_TOP/validation/faults/run"; }
t_F_science() { long "$V_TOP/validation/science/run" --quick; }
t_F_bench() { long env builddir="$V_TOP/build" "$V_TOP/validation/bench/ckpt" --size 0.25 --dir "$work"; }
