#!/bin/sh
# The certificate of every kind of upcycling on 1 and 4 ranks: what theory promises, the verdict, and each gain in the derived
# range (src/weights/gain.h).
. "${srcdir:-.}/validation/scripts/tap.sh"
dense=$top/validation/reference/dense-bias-llama3 # 2 layers x 44, FFN 54

# figure NAME FIELD: of certificate.json, over its layers
figure() {
    awk -v name="\"$1\":" -v field="\"$2\":" '$1 == name { on = 1 } on && $1 == field { print $2 + 0; exit }' \
        "$work/run/certificate.json"
}

# within LO X HI
within() {
    awk -v lo="$1" -v x="$2" -v hi="$3" 'BEGIN { exit !(x != "" && lo <= x + 0 && x + 0 <= hi) }'
}

deck() {
    echo "model: {like: $dense, moe: {$1}}"
    echo "start: {from: $dense, upcycle: {$2}}"
    echo "run: {steps: 1, dir: $work/run}"
    echo "data: {sequence: 13, batches: $dense/expect.safetensors}"
    echo "batch: {sequences: 6, micro: 1}"
    echo "checkpoint: {every: never, final: false}"
    echo "eval: {every: never}"
}

# judged SPLIT VERDICT THEORY FIGURE LO HI MOE UPCYCLE: on one rank and, unless SPLIT is -, on TP:EP:ETP of four
judged() {
    split=$1
    shift
    deck "$6" "$7" > "$work/deck.yaml"
    certified "one rank" 1 "$@" --set device.check=true
    [ "$split" = - ] && return
    echo "$split" | tr : ' ' > "$work/split"
    read -r tensor expert expert_tensor < "$work/split"
    test_ranks 4 1 && certified "$split of four ranks" 4 "$@" --set "parallel.tensor=$tensor" \
        --set "parallel.expert=$expert" --set "parallel.expert_tensor=$expert_tensor"
}

# certified WHERE RANKS VERDICT THEORY FIGURE LO HI MOE UPCYCLE ARGUMENTS...
certified() {
    where=$1 ranks=$2 verdict=$3 theory=$4 name=$5 lo=$6 hi=$7
    what="$8; $9: $verdict, $theory, $name $lo to $hi ($where)"
    shift 9
    launch "$ranks" "$COPPICE" train "$work/deck.yaml" --fresh "$@" > "$work/said" 2>&1 &&
        said "CERTIFICATE $verdict .*theory: $theory" &&
        { [ "$theory" != approximate ] || within 0 "$(figure deviation max)" 1e-6; } &&
        within "$lo" "$(figure "$name" mean)" "$hi"
    verdict $? "$what"
}

# Bounds: where (*) of gain.h gives the gain, that; softmax-topk: 1 to 1.25 times that of a router that does not
# discriminate; a scale on gate and up: 5 % more or less for silu.
st="router: softmax-topk"
judged 1:4:1 PASS exact gain 0.999999 1.000001 "experts: 4" ""
judged - PASS exact gain 0.999999 1.000001 "experts: 4, $st, top_k: 4" ""
judged - PASS exact gain 0.999999 1.000001 "experts: 4, $st, renormalise: true" "router: normal"
judged 4:2:1 PASS approximate gain 0.25 0.3125 "experts: 8, $st" "weight_scale: none"
judged 2:2:2 PASS approximate gain 1.05 1.25 "experts: 8, $st" "weight_scale: auto"
judged - PASS approximate gain 0.999999 1.000001 "experts: 8, $st" "weight_scale: down, router: zero"
judged 4:4:1 PASS approximate gain 1.05 1.25 "experts: 8, $st" "weight_scale: down"
judged - PASS approximate gain 0.665 0.735 "experts: 4, layers: [1]" "weight_scale: 0.7"
judged 4:1:4 PASS approximate gain 0.95 1.05 "experts: 8, top_k: 4, granularity: 2" "weight_scale: auto"
judged 2:2:2 PASS exact gain 0.999999 1.000001 "experts: 8, top_k: 4, granularity: 2" "weight_scale: down"
judged - PASS approximate gain 0.499999 0.500001 "experts: 8, top_k: 4, granularity: 2" "weight_scale: none"
judged - PASS approximate gain 0.0833 0.1042 "experts: 24, top_k: 6, granularity: 3, $st" "weight_scale: none"
judged - PASS approximate gain 1 1.3125 "experts: 16, top_k: 4, granularity: 2, $st" ""
judged 1:4:1 "NOT JUDGED" none relative_error 0.5 2 "experts: 48, top_k: 6, granularity: 6" "router: normal"
judged - "NOT JUDGED" none gain 0.95 1.05 "experts: 4" "noise: 0.01"
judged - "NOT JUDGED" none relative_error 0.1 2 "experts: 4" "reinit: 0.5"
judged - "NOT JUDGED" none gain 1.999999 2.000001 "experts: 4, shared: 1" ""
finish
