# shellcheck shell=sh
# L4: storage: checkpoints on the file system that holds --out.

SIZES="--set model.hidden=512 --set model.ffn=1536 --set model.layers=4 --set model.vocab=8192"
saved=$V_OUT/work/large # of L4.write, for L4.read

event() { sed -n "s/.*\"event\":\"checkpoint\".*\"$2\":\([0-9.e+-]*\).*/\1/p" "$1/events.jsonl" | tail -n 1; }
rate() { awk -v bytes="$1" -v seconds="$2" 'BEGIN { printf "%.4g", bytes / seconds }'; }
now() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN { print b - a }'; }
drop_caches() { # files, unless all of the system's may go
    sync
    # shellcheck disable=SC2188
    { echo 3 > /proc/sys/vm/drop_caches; } 2> /dev/null && { dropped="the system's caches were dropped"; return; }
    for file in "$@"; do dd if="$file" of=/dev/null iflag=nocache count=0 2> /dev/null; done
    dropped="the files were put out of the cache"
}

t_L4_write() {
    deck "experts: 2"
    rm -rf "$saved"
    # shellcheck disable=SC2086
    ends 0 placed "$COPPICE" train "$work/deck.yaml" $SIZES --set "run.dir=$saved" --set run.steps=2 --set checkpoint.every=1 --set checkpoint.async=false \
        --set eval.every=never --set "batch.sequences=$V_RANKS" --set batch.micro=1
    verdict $? "a checkpoint was written by all ranks"
    bytes=$(event "$saved" bytes) seconds=$(event "$saved" seconds)
    [ -n "$bytes" ] || return
    begin=$(now)
    ends 0 dd if=/dev/zero of="$work/dd" bs=1048576 count=$((bytes / 1048576)) conv=fsync
    dd_seconds=$(since "$begin")
    verdict $? "dd wrote as many bytes"
    rm -f "$work/dd"
    figure checkpoint.bytes "$bytes" B
    figure checkpoint.write "$(rate "$bytes" "$seconds")" B/s
    figure dd.write "$(rate "$bytes" "$dd_seconds")" B/s
    figure checkpoint.write_of_dd "$(rate "$dd_seconds" "$seconds")" 1
}
t_L4_read() {
    [ -d "$saved/ckpt" ] || { skip "L4.write left no checkpoint"; return; }
    last=$(newest "$saved") bytes=$(event "$saved" bytes)
    drop_caches "$last"/*
    begin=$(now)
    ends 0 "$COPPICE" inspect --verify "$saved"
    verdict $? "all digests are right; $dropped"
    seconds=$(since "$begin")
    drop_caches "$last"/*
    begin=$(now)
    cat "$last"/*.h5 | dd of=/dev/null bs=1048576 2> /dev/null
    dd_seconds=$(since "$begin")
    figure checkpoint.read "$(rate "$bytes" "$seconds")" B/s
    figure dd.read "$(rate "$bytes" "$dd_seconds")" B/s
    figure checkpoint.read_of_dd "$(rate "$dd_seconds" "$seconds")" 1
    rm -rf "$saved"
}

# damaged HOW TEXT: the newest checkpoint is damaged; inspect says so, and the run goes on from the one before
damaged() {
    deck "experts: 4, top_k: 2"
    # shellcheck disable=SC2086
    ends 0 train 2 run --set run.steps=8 --set parallel.expert=2
    step=$(newest "$work/run")
    "$1" "$step/$(basename "$(ls -S "$step"/*.h5 | head -n 1)")"
    "$COPPICE" inspect --verify "$step" > "$work/said" 2>&1
    [ $? -ne 0 ]
    verdict $? "$2: coppice inspect --verify finds it"
    ends 0 train 2 run --set run.steps=9 --set parallel.expert=2 && said '^continue .*step 4' && said 'damaged\|not usable'
    verdict $? "$2: the run says so and goes on from the checkpoint before it"
}
cut_file() { head -c $(($(wc -c < "$1") / 2)) "$1" > "$work/half" && cp "$work/half" "$1"; }
t_L4_flip() { damaged flip "one bit changed"; }
t_L4_cut() { damaged cut_file "half of a file is gone"; }

t_L4_full() {
    deck "experts: 4, top_k: 2"
    ends 0 train 2 run --set run.steps=4 --set parallel.expert=2
    COPPICE_FAIL=pwrite:0:1+:ENOSPC ends 73 train 2 run --set run.steps=8 --set parallel.expert=2 && said 'No space left\|disk' &&
        ends 0 "$COPPICE" inspect --verify "$work/run" && said 'step_0*4$'
    verdict $? "no room for a checkpoint: the run says so, ends with 73, and the checkpoint before it is whole"
    ends 0 train 2 run --set run.steps=8 --set parallel.expert=2 && ends 0 "$COPPICE" inspect --verify "$work/run"
    verdict $? "when there is room, it continues to its end"
}
