#!/bin/sh
# Reference cases on several layouts: our own, and those of ../shared if it exists.
src=${srcdir:-.}
shared=${COPPICE_SHARED:-$src/../shared}/golden
out=$(mktemp)
trap 'rm -f "$out"' EXIT
count=0
bad=0

# golden FOLDER RANKS TENSOR EXPERT EXPERT_TENSOR [PRECISION]
golden() {
    count=$((count + 1))
    what="$(basename "$1") on $2 ranks, tensor $3, expert $4, expert tensor $5${6:+, $6}"
    if [ ! -d "$1" ]; then
        echo "ok $count - $what # SKIP there is no $1"
    elif [ "$2" -gt 1 ] && [ "$MPIEXEC" = no ]; then
        echo "ok $count - $what # SKIP configure found no MPI launcher"
    elif "$src/validation/golden" "$1" --ranks "$2" --tensor "$3" --expert "$4" --expert-tensor "$5" \
        --precision "${6:-fp32}" > "$out" 2>&1; then
        echo "ok $count - $what: $(sed -n '$s/.*: \(.*\): .*/\1/p' "$out")"
    else
        bad=1
        echo "not ok $count - $what"
        grep -E '^===|^coppice|FAIL' "$out" | sed 's/^/# /'
    fi
}

echo 1..16
golden "$src/validation/reference" 1 1 1 1
golden "$src/validation/reference" 2 2 1 1
golden "$src/validation/reference" 4 4 4 1
golden "$src/validation/reference" 4 2 2 2
golden "$src/validation/reference" 8 4 2 4
golden "$src/validation/reference" 1 1 1 1 bf16
for layout in "2 2 1 1" "4 1 4 1" "4 2 2 2"; do
    # shellcheck disable=SC2086
    golden "$src/validation/reference/wide-margins" $layout bf16
done
golden "$shared" 1 1 1 1
golden "$shared" 1 1 1 1 bf16
golden "$shared" 2 2 1 1
golden "$shared" 3 1 3 1
golden "$shared" 4 1 4 1
golden "$shared" 4 2 4 1
golden "$shared" 8 2 2 2
exit $bad
