#!/bin/sh
# device.type: cuda, on the CPU (validation/cuda-on-cpu): the whole program, its ranks joined by NCCL's stand-in or by
# staging over MPI. The reference is the CPU device; golden compares with double precision.
. "${srcdir:-.}/validation/scripts/tap.sh"
cpu=$COPPICE cuda=${builddir:-$top/build}/validation/cuda-on-cpu/coppice
[ -x "$cuda" ] || { echo "1..0 # SKIP no C++ compiler: there is no $cuda"; exit 0; }
[ -e "$top/input/war-and-peace.bin" ] || gunzip -c "$top/input/war-and-peace.txt.gz" > "$work/war-and-peace.bin"
[ -e "$work/war-and-peace.bin" ] || ln -s "$top/input/war-and-peace.bin" "$work/war-and-peace.bin"
for file in demo.yaml tiny-dense war-and-peace.idx; do ln -s "$top/input/$file" "$work/$file"; done

# train PROGRAM RANKS RUN ARGUMENT...: the demonstration with little data
train() {
    program=$1 on=$2 run=$3
    shift 3
    launch "$on" "$program" train "$work/demo.yaml" --set "run.dir=$work/$run" --set data.sequence=32 --set batch.sequences=4 \
        --set batch.micro=2 --set optimizer.warmup=1 --set eval.tokens=64 --set eval.every=0 --set log.every=1 \
        --set checkpoint.every=2 "$@"
}

# losses RUN: step and loss, the last of a step counts
losses() {
    sed -n 's/^{"step":\([0-9]*\),.*"loss":\([^,]*\),.*/\1 \2/p' "$work/$1/metrics.jsonl" |
        awk '{ last[$1] = $2 } END { for (i = 1; i in last; i++) print i, last[i] }'
}

# near RUN RUN BAR: as many steps, losses that differ by BAR at most, relatively. $close: 100 units in the last place
# of fp32. A loss is a mean of logarithms
# whose errors are those of sums of some hundred terms in another order: sqrt(128) units each, and several layers.
# $restart: also, one of 128 tokens took another of two experts that were all but equal, and are two steps apart.
close=5.96e-6 restart=1e-4
near() {
    losses "$1" > "$work/one"
    losses "$2" | paste -d ' ' "$work/one" - | awk -v bar="$3" '
        { d = $2 / $4 - 1; d = d < 0 ? -d : d; if (!(d <= bar) || NF != 4) print "step " $1 ": " $2 " and " $4 }
        END { if (NR == 0) print "no steps" }' > "$work/said"
    [ ! -s "$work/said" ]
}

# curve RANKS RUN REFERENCE WHAT ARGUMENT...: two steps by CUDA are as the CPU's
curve() {
    ranks=$1 run=$2 reference=$3 what=$4
    shift 4
    test_ranks "$ranks" 1 || return
    ends 0 train "$cuda" "$ranks" "$run" --set run.steps=2 --set device.type=cuda "$@" && near "$run" "$reference" $close
    verdict $? "CUDA, ranks: $ranks, $what"
}

export CUDA_ON_CPU_DEVICES=0
ends 69 train "$cuda" 1 none --set run.steps=2 --set device.type=cuda --set parallel.tensor=1 --set parallel.expert=1 &&
    said 'no GPU: no CUDA-capable device is detected'
verdict $? "no GPU: 69"
ends 0 train "$cuda" 1 none --set run.steps=2 --set parallel.tensor=1 --set parallel.expert=1
verdict $? "no GPU: decks for the CPU run"
export CUDA_ON_CPU_DEVICES=1
CUDA_ON_CPU_MEMORY=150000000 ends 69 train "$cuda" 1 none --fresh --set run.steps=2 --set data.sequence=128 --set device.type=cuda --set parallel.tensor=1 \
    --set parallel.expert=1 && said 'of its GPU, where .* are free; what would fit: device.recompute: moe (.*), full (.*); more ranks'
verdict $? "a GPU with too little memory: 69, and what would fit"
if test_ranks 2 1; then
    ends 64 train "$cuda" 2 none --fresh --set run.steps=2 --set device.type=cuda --set device.transport=nccl \
        --set parallel.expert=2 && said 'NCCL wants a GPU for each rank'
    verdict $? "NCCL for two ranks of one GPU is refused"
fi
unset CUDA_ON_CPU_DEVICES

ends 0 train "$cpu" 1 dropless --set run.steps=2 --set parallel.tensor=1 --set parallel.expert=1
verdict $? "the CPU's curve"
ends 0 train "$cpu" 1 capacity --set run.steps=2 --set parallel.tensor=1 --set parallel.expert=1 --set model.moe.capacity=1.0
verdict $? "the CPU's curve with a capacity"
curve 1 cuda1 dropless "dropless" --set parallel.tensor=1 --set parallel.expert=1
curve 1 again1 dropless "recompute: full" --set device.recompute=full --set parallel.tensor=1 --set parallel.expert=1
ends 0 "$cpu" inspect "$work/cuda1" --diff "$work/again1" && said 'EQUAL: every bit'
verdict $? "recompute changes no bit"
CUDA_ON_CPU_DEVICES=1 curve 2 cuda2 dropless "one GPU: staging over MPI" --set parallel.expert=2
curve 4 cuda4 dropless "NCCL, TP 2 x EP 4, dropless"
CUDA_ON_CPU_STREAMS=eager CUDA_ON_CPU_ORDER=7 curve 4 capacity4 capacity "NCCL, TP 2 x EP 4, capacity, other order" \
    --set model.moe.capacity=1.0
if [ "${CHECK_LEVEL:-}" = long ] && test_ranks 4 1; then # t_waits compares such runs, too
    curve 4 plain4 dropless "NCCL, nothing overlaps" --set parallel.overlap_gradients=false --set parallel.overlap_weights=false
    ends 0 "$cpu" inspect "$work/cuda4" --diff "$work/plain4" && said 'EQUAL: every bit'
    verdict $? "what overlaps changes no bit"
fi
curve 4 any4 dropless "NCCL's own sums" --set device.deterministic=false
if test_ranks 4 1; then
    # What the stand-in adds in another order must differ in some bit: else these sums were not asked for.
    ends 1 "$cpu" inspect "$work/cuda4" --diff "$work/any4" && said 'DIFFERENT: [0-9]* tensors'
    verdict $? "NCCL's own sums: other bits"
fi

# Checkpoints know no device.
ends 0 train "$cpu" 1 dropless --set run.steps=3 --set parallel.tensor=1 --set parallel.expert=1
ends 0 train "$cpu" 1 cuda1 --set run.steps=3 --set parallel.tensor=1 --set parallel.expert=1 && near cuda1 dropless $restart
verdict $? "the CPU goes on from CUDA's checkpoint"
ends 0 train "$cpu" 1 back --set run.steps=2 --set parallel.tensor=1 --set parallel.expert=1 &&
    ends 0 train "$cuda" 1 back --set run.steps=3 --set device.type=cuda --set parallel.tensor=1 --set parallel.expert=1 &&
    near back dropless $restart
verdict $? "CUDA goes on from the CPU's checkpoint"

if test_ranks 2 1; then
    CUDA_ON_CPU_NCCL_FAIL=1:40 ends 74 train "$cuda" 2 failing --set run.steps=2 --set device.type=cuda \
        --set parallel.expert=2 && said 'communication failed (NCCL, a collective): remote process exited'
    verdict $? "an error of NCCL ends all ranks: 74"
fi

# golden FOLDER RANKS TENSOR EXPERT PRECISION
golden() {
    what="$(basename "$1") on $2 ranks, $5, by CUDA"
    if [ ! -d "$1" ]; then
        verdict 0 "$what # SKIP there is no $1"
        return
    fi
    test_ranks "$2" 1 || return
    COPPICE=$cuda ends 0 "$top/validation/golden" "$1" --ranks "$2" --tensor "$3" --expert "$4" --precision "$5" --device cuda
    verdict $? "$what"
}
golden "$top/validation/reference/mixtral-losses" 2 2 2 fp32
golden "$top/validation/reference/wide-margins" 1 1 1 bf16
golden "$top/validation/reference/documents-padding" 2 2 2 fp32
shared=${COPPICE_SHARED:-$top/../shared}/golden
[ "${CHECK_LEVEL:-}" = long ] || shared="$shared (only with CHECK_LEVEL=long)"
golden "$shared" 1 1 1 fp32
golden "$shared" 1 1 1 bf16
finish
