#!/bin/sh
# The closed form of Megatron-Core's step beside the reference implementation in Python that it was made from, where that is there: MFU of
# every published row to 0.1 %.
. "${srcdir:-.}/validation/scripts/tap.sh"
shared=${COPPICE_SHARED:-$top/../shared}
rows=${builddir:-$top/build}/validation/plan/rows
python=${PYTHON:-python3}
if [ ! -e "$shared/plan/model.py" ] || ! "$python" -c 'import numpy' 2> /dev/null || [ ! -x "$rows" ]; then
    echo "1..0 # SKIP no reference implementation (../shared/plan/model.py with python and numpy), or no $rows"
    exit 0
fi
cat > "$work/theirs.py" << 'PYTHON'
import sys
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
from model import M, H100, predict
machine = dict(H100, gemm=690e12, kern=8e-6, dp_ov=1.0)
for line in open(sys.argv[2]):
    w = line.split()
    if not w or w[0] == '#':
        continue
    n = [float(x) if '.' in x else int(x) for x in w[3:]]
    plan = dict(gpus=n[1], tp=n[2], cp=n[3], ep=n[4], etp=n[5], pp=n[6], vpp=n[7], seq=n[8], gbs=n[9], mbs=n[10], load=n[11],
                tp_ov=n[12], ep_ov=n[13], dedup=n[14], even_head=n[15], recompute=['', 'norm+act', 'full'][n[16]])
    print(f"{100 * predict(machine, M[w[2]], plan)['mfu']:.2f}")
PYTHON
"$python" "$work/theirs.py" "$shared/plan" "$top/validation/plan/rows.txt" > "$work/theirs" 2> "$work/said"
srcdir=$top "$rows" --table | awk '/^# (fit|rest|out) / { print $7 }' > "$work/ours"
paste "$work/ours" "$work/theirs" | awk '{ n++; d = $1 > $2 ? $1 - $2 : $2 - $1; if (d > 0.001 * $2 + 0.005) bad++ } END { exit !(n == 67 && bad == 0) }'
verdict $? "67 rows: MFU as the reference implementation has it"
finish
