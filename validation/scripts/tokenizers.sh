#!/bin/sh
# Token ids against Hugging Face's tokenizers, behind CHECK_LEVEL=long: needs a python (PYTHON) with tokenizers. The
# small tokenizers of t_tokenizer, and those beside the sources (COPPICE_SHARED) with their texts.
[ "${CHECK_LEVEL:-}" = long ] || { echo "1..0 # SKIP CHECK_LEVEL=long asks for it"; exit 0; }
python=${PYTHON:-python3}
"$python" -c 'import tokenizers' 2> /dev/null || { echo "1..0 # SKIP $python has no tokenizers"; exit 0; }
src=$(cd "${srcdir:-.}" && pwd)
shared=${COPPICE_SHARED:-$src/../shared}
work=$(mktemp -d) || exit 73
trap 'rm -rf "$work"' EXIT
kinds=
for file in $(cd "$work" && "$builddir/validation/unit/t_tokenizer" write); do
    kinds="$kinds $(basename "$file" .json)=$work/$file"
done
export RAYON_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false
# shellcheck disable=SC2086
"$python" "$src/validation/text/against-hf.py" "$builddir/validation/text/encode" $kinds --random 3000 > "$work/said" 2>&1
verdict=$?
if [ -e "$shared/data/tokenizers/llama3" ]; then
    "$python" "$src/validation/text/against-hf.py" "$builddir/validation/text/encode" --random 3000 \
        Llama-3="$shared/data/tokenizers/llama3/tokenizer.json" SmolLM2="$shared/data/smollm2-135m/tokenizer.json" \
        --text "$shared/data/text/war-and-peace.txt" --text "$shared/data/text/wikitext2-valid.txt" \
        --text "$shared/data/text/tinystories_975.txt" >> "$work/said" 2>&1 || verdict=1
fi
sed 's/^/# /' "$work/said"
[ $verdict = 0 ] && echo "ok 1 - ids as Hugging Face's tokenizers" || echo "not ok 1 - ids as Hugging Face's tokenizers"
echo "1..1"
exit $verdict
