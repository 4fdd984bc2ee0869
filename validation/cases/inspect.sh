#!/bin/sh
# coppice inspect: the verdict comes first; tensors by kind, token sets, checkpoints; no control characters from files.
. "${srcdir:-.}/validation/scripts/tap.sh"
cd "$work" || exit 73
mixtral=$top/validation/reference/mixtral-losses

# begins TEXT: is this how the first line begins?
begins() {
    head -n 1 "$work/said" | grep -q -e "^$1" || { echo "the first line is none of: $1" >> "$work/said"; return 1; }
}
lines() {
    [ "$(wc -l < "$work/said")" -le "$1" ] || { echo "more than $1 lines" >> "$work/said"; return 1; }
}

ends 0 "$COPPICE" inspect "$mixtral" && begins 'trainable *yes' && lines 30 &&
    said '^layers 0-1  *block_sparse_moe.experts.0-7.w1.weight  *F32  *21 x 36$' && said '^  *lm_head.weight '
verdict $? "a model: the verdict, then a line for each kind of tensor"
ends 0 "$COPPICE" inspect "$mixtral" --all && begins 'trainable *yes' &&
    said '^model.layers.1.block_sparse_moe.experts.7.w1.weight ' && said '(--all'
[ $? -ne 0 ] && [ "$(grep -c '^model.layers' said)" -eq 62 ]
verdict $? "--all: a line for each tensor"
mkdir m && cp "$mixtral/config.json" m/
sed 's/layers\.0\.self_attn\.q_proj/layers.7.self_attn.q_proj/' "$mixtral/model.safetensors" > m/model.safetensors
ends 65 "$COPPICE" inspect m && begins 'trainable *no, because .*self_attn.q_proj' && said '^layers 1,7  *self_attn.q_proj'
verdict $? "a tensor that is elsewhere: no, because; and its kind shows where"
sed 's/layers\.1\.self_attn\.q_/layers.1.self_attn.X_/;s/layers\.1\.self_attn\.o_/layers.1.self_attn.q_/;s/layers\.1\.self_attn\.X_/layers.1.self_attn.o_/' \
    "$mixtral/model.safetensors" > m/model.safetensors
ends 65 "$COPPICE" inspect m && begins 'trainable *no' && said '^layers 0  *self_attn.q_proj.weight  *F32  *48 x 36$' &&
    said '^layers 1  *self_attn.q_proj.weight  *F32  *36 x 48$'
verdict $? "a layer of another shape has a line of its own"
# An escape sequence in a key, in a path, and bytes that are no UTF-8.
mkdir "$(printf 'e\033[31m\377')" && sed 's/{/{"\\u001b[31mred": 1,/' m/config.json > "$(printf 'e\033[31m\377')/config.json"
escapes() {
    ! LC_ALL=C grep -q "$(printf '[\033\377]')" said || { echo "control bytes" >> said; return 1; }
}
ends 65 "$COPPICE" inspect "$(printf 'e\033[31m\377')" && escapes && said 'e?\[31m?.*control bytes'
verdict $? "what a terminal would obey is masked"
ends 65 "$COPPICE" inspect "$(printf 'e\033[31m\377')" --json && escapes && said '"path": "e?\[31m?"' && said '"good": false'
verdict $? "... in JSON too"

tokens t
for path in t t.bin t.idx; do
    ends 0 "$COPPICE" inspect $path && begins 'trainable *yes.* ids 97 to 122$' && said '4,096 tokens of type u8 in 1 document, 4.1 kB' &&
        said 'of 4,096 (shortest)' && said '^first ids' && said '^digests .*[0-9a-f]\{16\}'
    verdict $? "a token set, named as $path"
done
# u64: documents of 2, 0 and 1 tokens; the last id is beyond INT64_MAX
le8() { for i in "$@"; do printf "\\$(printf %o "$i")\\0\\0\\0\\0\\0\\0\\0"; done; }
{ le8 5 9; printf '\377\377\377\377\377\377\377\377'; } > big.bin
{
    printf 'MMIDIDX\0\0\1\0\0\0\0\0\0\0\12\3\0\0\0\0\0\0\0\4\0\0\0\0\0\0\0'
    printf '\2\0\0\0\0\0\0\0\1\0\0\0'
    le8 0 16 16 0 1 2 3
} > big.idx
ends 65 "$COPPICE" inspect big && begins 'trainable *no, because .*big.bin: it holds token 18446744073709551615' &&
    said '3 tokens of type u64 in 3 documents' && said 'of 0 (shortest), 1 (median), 2 (longest) tokens; 1 empty' &&
    said '^first ids  *5 9 18446744073709551615$'
verdict $? "u64 ids above the largest i64 are told as what they are"
ends 65 "$COPPICE" inspect big --json && said '"kind": "tokens"' && said '"good": false' && said '"median": 1' &&
    said '"largest": "18446744073709551615"'
verdict $? "a token set as JSON"
rm big.bin
ends 65 "$COPPICE" inspect big && begins 'trainable *no, because big.idx has no big.bin'
verdict $? "half of a token set"

tiny 'experts: 4, top_k: 2' t > d.yaml
ends 0 "$COPPICE" train d.yaml --set run.steps=2 && ends 0 "$COPPICE" inspect runs/d &&
    begins 'continues *yes, from step 2 on' && said '^files .*kB' && said '^layers 0-1  *gate_up  *F32  *8 x 48 x 32$'
verdict $? "a run folder: can it be continued"
ends 0 "$COPPICE" inspect runs/d --json && said '"kind": "checkpoint"' && said '"step": 2'
verdict $? "... as JSON"
for file in runs/d/ckpt/step_00000002/*; do
    case $file in */index.h5) ;; *) : > "$file" ;; esac
done
ends 76 "$COPPICE" inspect runs/d/ckpt/step_00000002 && begins 'continues *no, because .*has 0 bytes'
verdict $? "a checkpoint whose file was cut"
ends 65 "$COPPICE" inspect nothing && begins 'trainable *no, because nothing: there is no such folder'
verdict $? "nothing"
finish
