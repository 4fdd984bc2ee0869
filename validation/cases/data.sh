#!/bin/sh
# Token data: messages at the start about windows, epochs, ids, and files that are not a token set.
. "${srcdir:-.}/validation/scripts/tap.sh"
cd "$work" || exit 73
tokens t
tiny 'experts: 2, top_k: 2' t > d.yaml
run() {
    wanted=$1
    shift
    ends "$wanted" "$COPPICE" train d.yaml --fresh --set run.steps=1 --set checkpoint.final=false "$@"
}

run 0 --set eval.tokens=15 && said 'eval.tokens: 15 is less than one window' && ! said ' nan'
verdict $? "eval.tokens below a window: one window is used, and said"
run 0 && said '128 tokens a step, 0.03.* epochs' && ! said 'less than one window'
verdict $? "tokens a step and epochs on the data line"
# Byte 4000 lies in the validation part, behind the windows that are used: only the look at start can find it.
cp t.idx far.idx; { head -c 4000 t.bin; printf '\177'; tail -c 95 t.bin; } > far.bin
run 65 --set data.train=far --set model.vocab=127 && said 'far.bin: document 0 holds token 127'
verdict $? "a token beyond the vocabulary: refused before the first step"
cp t.bin raw.bin
run 65 --set data.train=raw.bin && said 'raw.bin has no .*raw.idx beside it'
verdict $? "a .bin without its .idx"
cp t.idx u_text_document.idx; cp t.bin u_text_document.bin
run 65 --set data.train=u && said 'give .*u_text_document'
verdict $? "a prefix without _text_document"
echo hello > x.txt
run 65 --set data.train=x.txt && said 'x.txt is no token set'
verdict $? "text instead of tokens"
cp t.idx web.idx; cp t.bin web.bin
run 65 --set data.train=wed && said 'wed.bin does not exist; did you mean .*/web?'
verdict $? "a misspelt prefix: the nearest one"
run 65 --set data.batches=wat.safetensors --set data.train=~ --set data.split=~ && ! said 'did you mean'
verdict $? "... and none where none is near"
{ sed '/^data/d' d.yaml; printf 'data:\n  sequence: 16\n  train:\n  - t\n  - {weight: 2, path: far}\n'; } > two.yaml
ends 65 "$COPPICE" train two.yaml --fresh --set run.steps=1 --set model.vocab=127 &&
    said '^coppice: two.yaml:[0-9]*:23: data.train.1.path: .*far.bin: document 0 holds token 127'
verdict $? "the place of the data set at fault"
if test_ranks 4 2; then
    ends 0 launch 4 "$COPPICE" train d.yaml --fresh --set run.steps=1 && ! said 'looked at'
    verdict $? "4 ranks: each looks at its share of the ids"
    ends 65 launch 4 "$COPPICE" train two.yaml --fresh --set run.steps=1 --set model.vocab=127 &&
        [ "$(grep -c 'two.yaml:[0-9]*:23: data.train.1.path: .*far.bin: document 0 holds token 127' said)" -eq 1 ]
    verdict $? "4 ranks: the place of the data set at fault, once"
fi
# 64 sequences of 2^31 - 1 tokens that all lie at byte 0 of a file with a hole
truncate -s 2147483647 hole.bin
{
    printf 'MMIDIDX\0\0\1\0\0\0\0\0\0\0\1\100\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0'
    for _ in $(seq 64); do printf '\377\377\377\177'; done
    head -c 520 /dev/zero
    printf '\100\0\0\0\0\0\0\0'
} > hole.idx
run 0 --set data.train=hole && said 'ids: looked at [0-9.]* [MG] of 137 G tokens'
verdict $? "a set too large to look at all of it: the start stays short, and says so"
ends 64 "$COPPICE" deck check d.yaml --set data.split=969,30,1 && said 'is \[0.97, 0.03\] here'
verdict $? "... without brackets too"
ends 64 "$COPPICE" deck check d.yaml --set 'data.split=[1.5, -0.5]' && said 'out of range (0 to 1)$'
verdict $? "a split out of range"
ends 64 "$COPPICE" deck check d.yaml --set 'data.train=0.3 t 0.7 far' && said 'write \[{path: t, weight: 0.3}, {path: far'
verdict $? "Megatron's blend: the spelling that works"
ends 64 "$COPPICE" deck check d.yaml --set 'data.split=[969,30,1]' && said '0.97, 0.03'
verdict $? "Megatron's split: the spelling that works"
ends 0 "$COPPICE" deck keys data.split && said '^data.split ' && [ "$(grep -c '; default ' said)" -eq 1 ]
verdict $? "deck keys NAME shows one key"
ends 64 "$COPPICE" deck keys zzz
verdict $? "deck keys of no key: exit code 64"
ends 0 "$COPPICE" env && said 'libyaml [0-9]' && said 'xxHash [0-9]' && ! said 'compiled by [0-9]'
verdict $? "env names the compiler and all libraries"
finish
