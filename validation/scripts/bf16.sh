#!/bin/sh
# The training curve in bf16; only with CHECK_LEVEL=long (half an hour on two cores). The model of
# validation/bench/tiny-e8t2.yaml (ten million active parameters) trains for 200 steps with three seeds in fp32, and with the
# first of them in bf16. The mean loss of every 20 steps in bf16 must be nearer to fp32 with the same seed than the spread of
# the seeds (largest less smallest); so must the validation loss at the end. A seed changes the weights and the order of tokens.
# KEEP=FOLDER keeps the four run folders there.
[ "${CHECK_LEVEL:-}" = long ] || { echo "1..0 # SKIP CHECK_LEVEL=long asks for it"; exit 0; }
TEST_TIMEOUT=${TEST_TIMEOUT:-7200}
. "${srcdir:-.}/validation/scripts/tap.sh"
steps=200
gunzip -c "$top/input/war-and-peace.txt.gz" > "$work/tokens.bin" && cp "$top/input/war-and-peace.idx" "$work/tokens.idx"
export BENCH_TOKENS="$work/tokens"
runs=${KEEP:-$work}

# train RUN SEED PRECISION
train() {
    launch 1 "$COPPICE" train "$top/validation/bench/tiny-e8t2.yaml" --set "run.dir=$runs/$1" --set "run.seed=$2" \
        --set "device.precision=$3" --set "run.steps=$steps" --set run.profile=false --set device.threads=1 \
        --set data.sequence=128 --set "data.split=[0.9, 0.1]" --set batch.sequences=4 --set batch.micro=4 \
        --set optimizer.lr=1e-3 --set optimizer.warmup=20 --set eval.every=100 --set eval.tokens=16384 > "$work/$1.log" 2>&1
}

# means RUN: of the loss over every 20 steps, then the last validation loss
means() {
    sed -n 's/^{"step":\([0-9]*\),.*"loss":\([^,]*\),"aux.*/\1 \2/p' "$runs/$1/metrics.jsonl" |
        awk -v steps="$steps" '{ sum[int(($1 - 1) / 20)] += $2 / 20 } END { for (i = 0; i < steps / 20; i++) print sum[i] }'
    sed -n 's/^valid .* -> \([0-9.]*\) .*/\1/p' "$work/$1.log"
}

train one 1 fp32 & one=$!
train two 2 fp32 & two=$!
train three 3 fp32 & three=$!
train half 1 bf16 & half=$!
for p in $one $two $three $half; do
    wait "$p"
    verdict $? "a run of $steps steps"
done
for r in one two three half; do means $r > "$work/$r.means"; done
paste "$work/one.means" "$work/two.means" "$work/three.means" "$work/half.means" | awk -v steps="$steps" '
    BEGIN { print "# steps        fp32: seed 1    seed 2    seed 3  bf16: seed 1  difference   spread" }
    {
        top = $1 > $2 ? $1 : $2; top = $3 > top ? $3 : top
        low = $1 < $2 ? $1 : $2; low = $3 < low ? $3 : low
        d = $4 - $1; name = NR > steps / 20 ? "validation" : (20 * NR - 19) " - " 20 * NR
        good = NF == 4 && (d < 0 ? -d : d) <= top - low; n += good
        printf "# %-12s %14.4f %9.4f %9.4f %13.4f %11.4f %8.4f %s\n", name, $1, $2, $3, $4, d, top - low, good ? "ok" : "FAIL"
    }
    END { exit !(n == NR && NR == steps / 20 + 1) }'
verdict $? "bf16 lies within the spread of three seeds"
for r in one half; do sed -n "s/^memory /# $r: &/p" "$work/$r.log"; done
finish
