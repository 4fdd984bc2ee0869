# shellcheck shell=sh
# L2: messages in the groups of a training run.
operation() {
    checks fabric "$1[.][^ ]*"
    figures fabric "$1[.][^ ]*"
    # the world's stand for the operation
    sed -n "s/^figure $1\.world\.\([^ ]*\)  *\([^ ]*\) \([^ ]*\) .*/\1 \2 \3/p" "$V_OUT/work/machine.fabric" |
        while read -r kind value unit; do figure "$1.$kind" "$value" "$unit"; done
}
t_L2_all_gather() { operation all_gather; }
t_L2_reduce_scatter() { operation reduce_scatter; }
t_L2_all_reduce() { operation all_reduce; }
t_L2_all_to_all() { operation all_to_all; }
