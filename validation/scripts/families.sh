#!/bin/sh
# Every family of dense models against Hugging Face transformers, behind CHECK_LEVEL=long: needs a python (PYTHON) with torch,
# transformers 5 and safetensors.
[ "${CHECK_LEVEL:-}" = long ] || { echo "1..0 # SKIP CHECK_LEVEL=long asks for it"; exit 0; }
python=${PYTHON:-python3}
"$python" -c 'import torch, transformers, safetensors' 2> /dev/null ||
    { echo "1..0 # SKIP $python has no torch, transformers and safetensors"; exit 0; }
said=$(OMP_NUM_THREADS=1 "$python" "${srcdir:-.}/validation/families.py" --program "$COPPICE" 2>&1)
verdict=$?
echo "$said" | sed 's/^/# /'
[ $verdict = 0 ] && echo "ok 1 - families in transformers" || echo "not ok 1 - families in transformers"
echo "1..1"
exit $verdict
