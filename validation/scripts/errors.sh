#!/bin/sh
# An error on one rank must end all ranks, with one message and its exit code, without a hang or a lock left behind. Every
# rank reads the same names in a folder of its own (/proc/self/cwd).
. "${srcdir:-.}/validation/scripts/tap.sh"
TEST_TIMEOUT=${TEST_TIMEOUT:-120}
mkdir "$work/good"
tokens "$work/good/tokens"
tiny "experts: 4, top_k: 2, aux_loss_coeff: 0.02" tokens > "$work/good/random.yaml"
export work
steps=2

# start RANKS DECK ARGUMENTS...: one rank works in `bad`, the others in `good`: the last one, or rank 0 (who=first), which
# reads for all what is read once. EXTRA: an argument of that rank alone.
who=last EXTRA=
start() {
    started=$1
    shift
    [ $who = first ] && victim=0 || victim=$((started - 1))
    victim=$victim EXTRA=$EXTRA launch "$started" sh -c '
        rank=${OMPI_COMM_WORLD_RANK:-${PMI_RANK:-0}}
        if [ "$rank" -eq "$victim" ]; then cd "$work/bad"; else cd "$work/good"; EXTRA=; fi
        exec "$@" $EXTRA' start "$COPPICE" train --set "run.dir=$work/run" --set "run.steps=$steps" "$@"
}

# one_message: of the program, on all ranks together
one_message() {
    [ "$(grep -c '^coppice: ' "$work/said")" -eq 1 ] || { echo "not one message" >> "$work/said"; return 1; }
}

# ended CODE MESSAGE WHAT RANKS DECK...: with exit code and message
ended() {
    code=$1 message=$2 title=$3 on=$4
    shift 4
    rm -rf "$work/run"
    ends "$code" start "$on" "$@" && one_message && said "$message" && [ ! -e "$work/run/run.lock" ]
    verdict $? "$on ranks, $title: exit code $code"
}

# damage: `bad` begins as a copy of `good`
damage() {
    rm -rf "$work/bad"
    cp -R "$work/good" "$work/bad"
}

here=/proc/self/cwd
failures() {
    on=$1
    damage
    ends 0 start "$on" $here/random.yaml && [ "$(grep -c '^coppice: ' "$work/said")" -eq 0 ]
    verdict $? "$on ranks, nothing wrong"

    who=first
    rm "$work/bad/random.yaml"
    ended 64 'random.yaml' "no deck" "$on" $here/random.yaml
    sed 's/lr:/lrr:/' "$work/good/random.yaml" > "$work/bad/random.yaml"
    ended 64 'random.yaml:6:.*lrr' "an unknown key" "$on" $here/random.yaml
    damage
    head -c 60 "$work/good/tokens.idx" > "$work/bad/tokens.idx"
    ended 65 'tokens.idx' "index cut short" "$on" $here/random.yaml
    who=last
    damage
    head -c 4000 "$work/good/tokens.bin" > "$work/bad/tokens.bin"
    ended 65 'tokens.idx.*4000 bytes' "token file cut short" "$on" $here/random.yaml
    damage
    tr a '\377' < "$work/good/tokens.bin" > "$work/bad/tokens.bin"
    ended 65 'tokens.bin.*255' "token id beyond the vocabulary" "$on" $here/random.yaml
    damage
    rm -r "$work/bad/model"
    ended 65 'model: there is no such folder' "no model" "$on" $here/model.yaml
    mkdir "$work/bad/model"
    ended 65 'model: no model is in this folder' "a folder without a model" "$on" $here/model.yaml
    damage
    head -c 150000 "$work/good/model/model.safetensors" > "$work/bad/model/model.safetensors"
    ended 65 'model.safetensors' "model cut short" "$on" $here/model.yaml
    damage
    ended 64 'batch.sequences: 4.*have 6' "batches of another size" "$on" $here/model.yaml \
        --set batch.sequences=4
    ended 64 'run.steps: 11.*holds 10' "more steps than batches" "$on" $here/model.yaml --set run.steps=11
    ended 73 'good/tokens.bin' "a run folder that cannot be made" "$on" $here/random.yaml \
        --set "run.dir=$work/good/tokens.bin/run"
    weights=$work/good/model/model.safetensors
    header=$(($(od -An -tu8 -N 8 "$weights") + 8))
    filled() { head -c "$header" "$weights"; tail -c "+$((header + 1))" "$weights" | tr '\000-\377' "[$1*]"; }
    filled '\377' > "$work/bad/model/model.safetensors"
    ended 65 'model.safetensors: tensor .*not a finite number' "weights that are NaN" "$on" $here/model.yaml
    filled '~' > "$work/bad/model/model.safetensors" # 8e37 each
    ended 71 'step 1 .*not finite' "weights that are too large" "$on" $here/model.yaml
}

cp -R "$top/validation/reference/mixtral-losses" "$work/good/model"
{
    echo "model: {like: model, moe: {aux_loss_coeff: 0.02}}"
    echo "data: {sequence: 13, batches: model/expect.safetensors}"
    echo "batch: {sequences: 6, micro: 1}"
} > "$work/good/model.yaml"

failures 1
damage
sed 's/"num_local_experts": 8/"num_local_experts": 4/' "$work/good/model/config.json" \
    > "$work/bad/model/config.json"
ended 65 'experts' "another configuration beside the weights" 1 $here/model.yaml
if test_ranks 4 15; then
    failures 4
    damage
    EXTRA="--set=optimizer.warmup=4"
    ended 64 'rank 3 reads another deck than rank 0: " *warmup: 4.*" *warmup: 3' "another deck" 4 \
        $here/random.yaml
    EXTRA=
    damage
    sed 's/warmup: 3/warmup: 4/' "$work/good/random.yaml" > "$work/bad/random.yaml"
    sed 's/"rope_theta": 1/"rope_theta": 2/' "$work/good/model/config.json" > "$work/bad/model/config.json"
    rm -rf "$work/run"
    ends 0 start 4 $here/random.yaml && rm -rf "$work/run" && ends 0 start 4 $here/model.yaml
    verdict $? "4 ranks, other files of these names for rank 3: what rank 0 reads counts"
fi
finish
