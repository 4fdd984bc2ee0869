# shellcheck shell=sh
# L0: the environment.

t_L0_pmi() {
    TEST_TIMEOUT=90
    placed "$COPPICE" machine place > "$work/said" 2>&1
    code=$?
    cat "$work/said"
    ranks=$(grep -c '^rank [0-9]' "$work/said")
    [ $code -le 1 ] && [ "$ranks" -eq "$V_RANKS" ]
    verdict $? "$V_LAUNCH -n $V_RANKS: $ranks ranks find each other"
    [ $code -gt 1 ] || { cp "$work/said" "$V_OUT/work/machine.place" && echo $code > "$V_OUT/work/machine.place.code"; }
    sed -n 's/^rank \([0-9]*\) \([^ ]*\) node \([0-9]*\) cores \([^ ]*\) threads \([0-9]*\)$/rank \1 on \2, cores \4, threads \5/p' \
        "$work/said" | head -n 64 | while read -r line; do note "$line"; done
}
t_L0_program() { checks place program; }
t_L0_threads() { checks place threads; }
t_L0_binding() { checks place binding; }
t_L0_clocks() { checks place clocks; }
t_L0_locks() { checks folder locks; }
t_L0_files() { checks folder '\(visible\|rename\|file_clock\)'; }

# at_least VERSION OLDEST: compares numbers between points
at_least() {
    [ "$(printf '%s\n%s\n' "$1" "$2" | sort -t. -k1,1n -k2,2n -k3,3n | head -n 1)" = "$2" ]
}
one_library() { # NAME VERSION
    line=$(grep "^$1 |" "$V_VERSIONS") || { note "$1 $2: no rule"; return; }
    oldest=$(echo "$line" | cut -d'|' -f2 | tr -d ' ') bad_ones=$(echo "$line" | cut -d'|' -f3 | tr -d ' ')
    reason=$(echo "$line" | cut -d'|' -f4 | sed 's/^ *//')
    if ! at_least "$2" "$oldest"; then bad "$1 $2 is older than $oldest: $reason"
    elif case ",$bad_ones," in *",$2,"*) true ;; *) false ;; esac; then bad "$1 $2 is known to be bad: $reason"
    else good "$1 $2"; fi
}
t_L0_libraries() {
    missing=$(ldd "$COPPICE" 2> /dev/null | grep 'not found')
    if [ -n "$missing" ]; then bad "a library is not found: $(echo "$missing" | head -n 3 | tr -s '\n\t ' ' ')"; return; fi
    "$COPPICE" env --json > "$work/said" 2>&1 || { bad "coppice env does not start$(why)"; return; }
    sed -n '/"libraries"/,/}/s/^ *"\([^"]*\)": "\([^"]*\)".*/\1=\2/p' "$work/said" > "$work/libraries"
    while IFS='=' read -r name version; do one_library "$name" "$version"; done < "$work/libraries"
    "$COPPICE" env | whole /dev/stdin | sed -n 's/^caution  *//p' | while read -r text; do note "caution: $text"; done
}

limit() { # WHAT VALUE LEAST
    if [ "$2" = unlimited ] || [ "$2" -ge "$3" ]; then good "$1: $2"; else bad "$1: $2, less than $3"; fi
}
t_L0_limits() {
    # shellcheck disable=SC3045 # dash and bash know these
    limit "open files" "$(ulimit -n)" 1024
    # shellcheck disable=SC3045
    limit "stack (kB)" "$(ulimit -s)" 8192
    [ ! -d /sys/class/infiniband ] || [ -z "$(ls /sys/class/infiniband)" ] ||
        limit "locked memory (kB), for InfiniBand" "$(awk '/^Max locked memory/ { print $4 == "unlimited" ? $4 : $4 / 1024 }' /proc/self/limits)" 1048576
    limit "processes" "$(awk '/^Max processes/ { print $3 }' /proc/self/limits)" 256
    limit "file size" "$(awk '/^Max file size/ { print $4 }' /proc/self/limits)" 1099511627776
}
t_L0_variables() {
    "$COPPICE" env > "$work/said" 2>&1
    whole "$work/said" | grep '^variable' > "$work/variables"
    grep -q 'unknown to Coppice' "$work/variables" && bad "$(grep -m 1 'unknown to Coppice' "$work/variables" | tr -s ' ')"
    for name in COPPICE_FAIL COPPICE_FAULT COPPICE_TRIAL; do
        ! env | grep -q "^$name=" || bad "$name is set: a fault is planned for tests"
    done
    good "variables were looked at"
    while read -r _ text; do note "$text"; done < "$work/variables"
}
t_L0_anywhere() {
    mkdir "$work/empty" && chmod 555 "$work/empty" && cd "$work/empty" || return
    ends 0 env HOME=/nonexistent "$COPPICE" deck keys && said 'model.moe.top_k' &&
        ends 0 env -u HOME "$COPPICE" --version && ends 0 "$COPPICE" help
    verdict $? "coppice works in a read-only folder, without a home"
}
t_L0_space() {
    free=$(df -Pk "$V_OUT" | awk 'NR == 2 { print $4 }')
    if [ "$free" -ge "$V_ROOM" ]; then good "$((free / 1024)) MiB are free at $V_OUT"
    else bad "$((free / 1024)) MiB are free at $V_OUT, and $((V_ROOM / 1024)) are needed"; fi
    figure space.free "$((free * 1024))" B
}
