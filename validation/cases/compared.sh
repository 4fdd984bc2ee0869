#!/bin/sh
# A comparison must not pass because nothing was compared: probe --expect needs every array of its mode in its shape, and
# inspect --diff also sees settings that no tensor shows.
. "${srcdir:-.}/validation/scripts/tap.sh"
export OMP_NUM_THREADS=1
tokens "$work/t"
tiny "experts: 4, top_k: 2, aux_loss_coeff: 0.02, max_z_loss_coeff: 0.001" "$work/t" > "$work/deck.yaml"
cd "$work" || exit 73
echo "run: {steps: 2, dir: $work/run}" >> deck.yaml
probe() { "$COPPICE" probe deck.yaml "$@"; }

# without NAME FILE: a copy of reference.safetensors in which the array is called otherwise, so that it is missing
without() { sed "s/\"$1\":/\"$(echo "$1" | tr a-z A-Z)\":/" "$2" > other.safetensors; }

ends 0 probe --out batch.safetensors && ends 0 probe --expect batch.safetensors && said '^PASSED' && said '^max_z_loss '
verdict $? "one batch against itself, max_z_loss too"
for name in logits loss cross_entropy aux_loss max_z_loss; do
    without $name batch.safetensors
    ends 65 probe --expect other.safetensors && said "other.safetensors: no $name in it" && ! said PASSED
    verdict $? "no $name in the reference: exit code 65"
done
without z_loss batch.safetensors
ends 0 probe --expect other.safetensors && said '^PASSED'
verdict $? "a loss that is not in the total is not needed"
without loss batch.safetensors && cp other.safetensors two.safetensors && without logits two.safetensors
ends 65 probe --expect other.safetensors && said 'no logits in it' && said 'no loss in it'
verdict $? "all that is missing at once"
ends 65 probe --expect batch.safetensors --set batch.sequences=4 && said 'logits has another shape'
verdict $? "logits of another shape"

ends 0 probe --curve --out curve.safetensors && ends 0 probe --curve --expect curve.safetensors && said '^PASSED'
verdict $? "a training curve against itself"
for name in train.loss train.grad_norm train.lr; do
    without $name curve.safetensors
    ends 65 probe --curve --expect other.safetensors && said "no $name in it"
    verdict $? "no $name in the reference: exit code 65"
done
ends 65 probe --curve --expect curve.safetensors --set run.steps=1 && said 'train.loss has another shape'
verdict $? "a curve that is longer than the run"
ends 0 probe --curve --expect curve.safetensors --set run.steps=0 --set run.tokens=256 && said '^PASSED' && said 'train.loss\[1\]'
verdict $? "run.tokens: as many steps as reach them are compared"

"$builddir/validation/cases/hf_model" "$work/a" && "$builddir/validation/cases/hf_model" "$work/b" --set rope_theta=5000
ends 0 "$COPPICE" inspect a --diff a && said '^EQUAL' && ends 1 "$COPPICE" inspect a --diff b && said 'rope_theta' &&
    said '^DIFFERENT: settings' && ! said '^EQUAL'
verdict $? "inspect --diff: equal weights with other settings are different"
finish
