#!/bin/sh
# Token data: what is said at start of windows, epochs, ids and files that are no token set.
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
ends 64 "$COPPICE" deck check d.yaml --set 'data.split=[969,30,1]' && said '0.97, 0.03'
verdict $? "Megatron's split: the spelling that works"
ends 0 "$COPPICE" deck keys data.split && said '^data.split ' && [ "$(grep -c '; default ' said)" -eq 1 ]
verdict $? "deck keys NAME shows one key"
ends 64 "$COPPICE" deck keys zzz
verdict $? "deck keys of no key: exit code 64"
ends 0 "$COPPICE" env && said 'libyaml [0-9]' && said 'xxHash [0-9]' && ! said 'compiled by [0-9]'
verdict $? "env names the compiler and all libraries"
finish
