# shellcheck shell=sh
# L1: each node by itself, all ranks at once.
t_L1_repeat() { checks node repeat; }
t_L1_outliers() { checks node 'outliers[.][^ ]*'; }
t_L1_rates() {
    machine node > /dev/null
    for name in gemm_fp32 gemm_bf16 memory; do
        value=$(awk -v name=$name '$1 == "figure" && $2 == name { print $3 }' "$work/said")
        [ -n "$value" ] && awk -v x="$value" 'BEGIN { exit !(x > 0) }'
        verdict $? "$name was measured"
    done
    figures node '\(gemm_fp32\|gemm_bf16\|memory\)'
}
