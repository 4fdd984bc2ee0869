#!/bin/sh
# Checkpoints of every format that was ever written, in validation/formats/N: 1 by Coppice 0.1 (1ffb67e), 2 by a042280, 3 by the
# first version that wrote it. The same two steps of the same model: read, verified, continued, exported.
. "${srcdir:-.}/validation/scripts/tap.sh"
export OMP_NUM_THREADS=1
want='hashes      weights a3c3d7f783f1b92b  moments 857ad358f43cf745 e64636c53bb6f982'
tokens "$work/t"
cat > "$work/deck.yaml" <<DECK
run: {dir: $work/trunk, steps: 3}
data: {sequence: 16, train: [$work/t], split: [0.9, 0.1]}
batch: {sequences: 4, micro: 2}
optimizer: {lr: 0.01, horizon: 1000, warmup: 3}
eval: {every: never, tokens: 16}
start: random
model: {hidden: 8, ffn: 8, layers: 1, heads: 2, kv_heads: 1, vocab: 128, tied: true, max_positions: 64,
        moe: {experts: 2, top_k: 1, router: softmax-topk, bias_update_rate: 0.001, aux_loss_coeff: 0}}
DECK
after=
for format in 1 2 3; do
    one=$work/trunk/ckpt/step_00000002
    rm -rf "$work/trunk" "$work/branch"
    mkdir -p "$work/trunk/ckpt"
    cp -r "$top/validation/formats/$format" "$one" && chmod -R u+w "$one"
    ends 0 "$COPPICE" inspect "$one" --verify && said "^$want\$"
    verdict $? "format $format: read and verified"
    ends 0 "$COPPICE" train "$work/deck.yaml" --branch "$work/branch" && said '^continue .*step 2 of 3' &&
        hashes=$("$COPPICE" inspect "$work/branch" --verify | grep '^hashes') && [ "${after:=$hashes}" = "$hashes" ]
    verdict $? "format $format: continued, all to the same weights"
    ends 0 "$COPPICE" inspect "$work/branch" --json && said '"step":3\|"step": 3'
    verdict $? "format $format: what comes after is of this version"
    printf x | dd of="$one/shard_0000.h5" bs=1 seek=$(($(wc -c < "$one/shard_0000.h5") - 9)) conv=notrunc 2> /dev/null
    ends 76 "$COPPICE" inspect "$one" --verify && said 'shard_0000.h5.*digest'
    verdict $? "format $format: a changed byte is found"
done
python=${PYTHON:-python3}
if "$python" -c 'import h5py, numpy' 2> /dev/null; then
    ends 0 "$python" "$top/validation/whole_tensors.py" "$COPPICE" "$work/branch/ckpt/step_00000003"
    verdict $? "h5py sees whole tensors with the same hashes"
else
    verdict 0 "h5py sees whole tensors # SKIP there is no h5py"
fi
finish
