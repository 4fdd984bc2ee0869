#!/bin/sh
# Exports describe the model that was trained: in the right form, with the files of the source's folder, also after several
# runs. A model that no form describes is refused. Existing folders are not changed.
. "${srcdir:-.}/validation/scripts/tap.sh"
export OMP_NUM_THREADS=1
make_model=$builddir/validation/cases/hf_model
tokens "$work/t"
tr a-z A-Z < "$work/t.bin" > "$work/upper" && mv "$work/upper" "$work/t.bin" # below 96, the least vocabulary here

# train NAME MODEL-KEYS [LINE...]: one step in $work/NAME
train() {
    { echo "model: {$2}"
      echo "run: {steps: 1, dir: $work/$1}"
      echo "data: {sequence: ${sequence:-16}, train: [$work/t], split: [0.9, 0.1]}"
      echo "batch: {sequences: 2, micro: 1}"
      echo "optimizer: {lr: 0.001, warmup: 0}"
      shift 2
      for line; do echo "$line"; done; } > "$work/deck.yaml"
    ends 0 "$COPPICE" train "$work/deck.yaml" --set eval.every=never
}

# exported NAME [OPTION...]: $work/NAME as $work/NAME-hf
exported() { name=$1; shift; rm -rf "$work/$name-hf"; ends 0 "$COPPICE" export "$work/$name" --out "$work/$name-hf" "$@"; }

# has NAME TEXT...: does its config.json hold all of them, whatever the blanks?
has() {
    tr -d ' \n' < "$work/$1-hf/config.json" > "$work/config"
    shift
    for text; do grep -qF -e "$text" "$work/config" || { echo "no $text in $(cat "$work/config")" > "$work/said"; return 1; }; done
}

# same_file NAME FILE: is it the base's?
same_file() { cmp "$work/base/$2" "$work/$1-hf/$2" > "$work/said" 2>&1; }

# ---- what goes along ----

"$make_model" "$work/base" --family mistral --set sliding_window=32 --set bos_token_id=7 --set 'eos_token_id=[8,9]' \
    --set pad_token_id=null --set initializer_range=0.01 --set rms_norm_eps=0.00001
files="tokenizer.json tokenizer.model tokenizer_config.json special_tokens_map.json added_tokens.json vocab.json
    merges.txt chat_template.jinja generation_config.json"
for file in $files; do echo "the $file" > "$work/base/$file"; done
echo "not a companion" > "$work/base/training_args.bin"

train run "like: $work/base, moe: {experts: 4, top_k: 2}" && exported run &&
    has run '"model_type":"mixtral"' '"sliding_window":32' '"max_position_embeddings":64' '"initializer_range":0.01' \
        '"rms_norm_eps":1e-05' "\"bos_token_id\":7" '"eos_token_id":[8,9]' '"pad_token_id":null'
verdict $? "token ids, window, positions and initializer_range are the source's; reals are short"
good=0
for file in $files; do same_file run "$file" || good=1; done
[ ! -e "$work/run-hf/training_args.bin" ] || good=1
for left in "$work"/run-hf/*partial* "$work"/run-hf/*tmp* "$work"/run-hf/*coppice*; do [ ! -e "$left" ] || good=1; done
verdict $good "tokenizer, chat template and generation settings are copied, and nothing else"

train next "like: $work/run, moe: {experts: 8}" && exported next &&
    has next '"sliding_window":32' '"bos_token_id":7' '"num_local_experts":8' && same_file next tokenizer.json
verdict $? "through a run that was upcycled from a run"
train onward "like: $work/run" "start: {from: $work/run}" && exported onward && has onward '"eos_token_id":[8,9]' &&
    same_file onward tokenizer.json
verdict $? "through model.like and start.from that are both a run"
"$make_model" "$work/bare" --family mistral --set sliding_window=32
rm "$work/bare/model.safetensors"
train bare-run "like: $work/bare, moe: {experts: 4}" "start: {from: $work/base}" && exported bare-run &&
    has bare-run '"bos_token_id":7' && same_file bare-run tokenizer.json
verdict $? "model.like is a config.json alone: ids and tokenizer are those of start.from"
ends 0 "$COPPICE" upcycle "$work/deck.yaml" --out "$work/offline-hf" && has offline '"bos_token_id":7' &&
    same_file offline tokenizer.json
verdict $? "coppice upcycle writes them too"
(cd "$work" && ends 0 "$COPPICE" train "$work/deck.yaml" --set model.like=base --set "start.from=base" --set "run.dir=$work/rel") &&
    exported rel && same_file rel tokenizer.json
verdict $? "a folder that was named from another working folder is found"
mv "$work/base" "$work/moved"
exported run && said "$work/base: is gone" && said "copy it from there" && has run '"bos_token_id":7'
verdict $? "the source is gone: a line says what to copy from where"
mv "$work/moved" "$work/base"
rm "$work/base/tokenizer.json" && mkfifo "$work/base/tokenizer.json"
exported run && said "tokenizer.json: not a regular file" && [ -s "$work/run-hf/merges.txt" ]
verdict $? "a pipe in the place of a tokenizer does not hang"
sequence=33
train long "like: $work/run" && exported long && has long '"sliding_window":32'
verdict $? "a sequence may be longer than a checkpoint's window, which is exported again"
sequence=16

# ---- which form ----

# loss_of MODEL: the cross-entropy of a batch
loss_of() {
    sed "s|^model: .*|model: {like: $1}|" "$work/deck.yaml" > "$work/probe.yaml"
    "$COPPICE" probe "$work/probe.yaml" > "$work/said" 2>&1 && sed -n 's/.*cross_entropy \([0-9.]*\).*/\1/p' "$work/said"
}

# form WHAT TYPE MODEL-KEYS [OPTION...]: trained, exported as TYPE, and the same model when it is read. Losses have about 5;
# sums in another order change them by some units in the last place.
form() {
    what=$1 type=$2 keys=$3; shift 3
    rm -rf "$work/form"
    train form "$keys" && exported form "$@" && has form "\"model_type\":\"$type\"" &&
        trained=$(loss_of "$work/form") && read_again=$(loss_of "$work/form-hf") &&
        awk -v a="$trained" -v b="$read_again" 'BEGIN { d = a - b; exit !(a > 1 && d <= 5e-6 && d >= -5e-6) }'
    verdict $? "$what is exported as $type and read again: losses ${trained:-none} and ${read_again:-none}"
    trained='' read_again=''
}
form "a dense Mistral with a window" mistral "like: $work/base"
form "a mixed model" qwen2_moe "like: $work/base, moe: {experts: 4, top_k: 2, layers: every 2}"
has form '"mlp_only_layers":[1]' '"use_sliding_window":true' '"sliding_window":32' '"bos_token_id":7'
verdict $? "its dense layer, window and ids"
ends 65 "$COPPICE" export "$work/form" --out "$work/no" --as mixtral && said "model.moe.layers" && [ ! -e "$work/no" ]
verdict $? "as Mixtral it is refused by the key's name"
ends 64 "$COPPICE" export "$work/form" --out "$work/no" --as gpt2 && said "qwen2_moe"
verdict $? "an unknown form is refused with those that there are"
"$make_model" "$work/qwen2" --family qwen2
form "an upcycled Qwen2" qwen2_moe "like: $work/qwen2, moe: {experts: 4, top_k: 2}"
"$make_model" "$work/llama" --family llama
form "a shared expert" qwen2_moe "like: $work/llama, moe: {experts: 4, top_k: 2, shared: 1}"
form "a gated shared expert, wide" qwen2_moe "like: $work/llama, moe: {experts: 8, top_k: 2, granularity: 2, shared: 2, shared_gate: true, router: softmax-topk}"
form "a Mixtral, if asked for," qwen2_moe "like: $work/llama, moe: {experts: 4, top_k: 2}" --as qwen2_moe
form "an upcycled Qwen3 of two kinds of layers" qwen3_moe "like: $top/validation/reference/qwen3-yarn, moe: {experts: 8, top_k: 2, granularity: 2, layers: [1]}"
train on "like: $work/form-hf" && grep -q "^model .*E4G2T2 in 1 layer:" "$work/on/run.log"
verdict $? "an export is trained on, with the experts of its config.json"
form "an upcycled Granite" granitemoe "like: $top/validation/reference/granite-multipliers, moe: {experts: 4, top_k: 2}"
form "a Llama, if asked for," qwen2 "like: $work/llama" --as qwen2
rm -rf "$work/form"
train form "like: $work/llama, moe: {experts: 4, top_k: 2, bias_update_rate: 0.001, aux_loss_coeff: 0}" &&
    ends 65 "$COPPICE" export "$work/form" --out "$work/no" && said "model.moe.bias_update_rate" &&
    [ ! -e "$work/no" ] && [ ! -e "$work/no.partial" ]
verdict $? "a balancing bias is refused with the reason, and nothing is left"

# ---- folders of other people ----

train other "like: $work/llama, moe: {experts: 4, top_k: 2}"
for command in "export $work/other" "upcycle $work/deck.yaml"; do
    rm -rf "$work/new" "$work/new.partial"
    mkdir "$work/new.partial" && echo mine > "$work/new.partial/thesis.tex"
    ends 64 "$COPPICE" $command --out "$work/new" && said "new.partial: exists" && [ -s "$work/new.partial/thesis.tex" ]
    verdict $? "coppice ${command%% *}: a folder OUT.partial that is not ours stays"
done
finish
