# Reads run folders and answers what a run measured. Files: WORK/RUN-SEED/{metrics.jsonl, experts.jsonl, cosine.txt}.
function number(key) {
    return match($0, "\"" key "\":[^,}]*") ? substr($0, RSTART + length(key) + 3, RLENGTH - length(key) - 3) : ""
}

FNR == 1 {
    n = split(FILENAME, part, "/")
    file = part[n]
    run = seed = part[n - 1]
    sub(/-[0-9]+$/, "", run)
    sub(/.*-/, "", seed)
    if (!(seed in seen))
        seen[seeds[++n_seeds] = seed]
}
file == "metrics.jsonl" && /"valid_loss"/ {
    step = number("step")
    valid[run, seed, step] = number("valid_loss")
    evals[run, seed] = evals[run, seed] " " step
    if (!((run, seed) in first))
        first[run, seed] = step
    last[run, seed] = step
}
file == "metrics.jsonl" && /"grad_norm"/ {
    step = number("step")
    metric["loss", run, seed, step] = digits = number("loss")
    metric["load", run, seed, step] = number("load_max_over_mean")
    metric["drop", run, seed, step] = number("dropped_fraction")
    metric["z", run, seed, step] = number("z_loss")
    if (step > 1)
        rates[run, seed] = rates[run, seed] " " number("tokens_per_s")
    gsub(/[^0-9]/, "", digits)
    for (i = 1; i <= length(digits); i++) # below 2^53: exact
        curve[run, seed] = (curve[run, seed] * 31 + substr(digits, i, 1)) % 2147483647
}
file == "experts.jsonl" && /"counts":\[/ { counts[run, seed] = $0 }
file == "cosine.txt" && /(gate_up|down) / && match($0, /cosine [^ ]*/) {
    cosine[run, seed] += substr($0, RSTART + 7, RLENGTH - 7)
    cosines[run, seed]++
}

# Share of experts that got less than a tenth of their layer's mean in the last step that was recorded.
function dead(run, seed,    layer, load, n, x, l, e, sum, few, all) {
    layer[0] = counts[run, seed]
    sub(/.*\[\[/, "", layer[0])
    sub(/\]\].*/, "", layer[0])
    n = split(layer[0], layer, /\],\[/)
    for (l = 1; l <= n; l++) {
        x = split(layer[l], load, ",")
        sum = 0
        for (e = 1; e <= x; e++)
            sum += load[e]
        for (e = 1; e <= x; e++) {
            few += load[e] < sum / x / 10
            all++
        }
    }
    return all ? few / all : ""
}

function median(list,    x, n, i, j, t) {
    n = split(list, x, " ")
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && x[j] + 0 < x[j - 1] + 0; j--) {
            t = x[j]; x[j] = x[j - 1]; x[j - 1] = t
        }
    return n ? (x[int((n + 1) / 2)] + x[int(n / 2) + 1]) / 2 : ""
}

# Mean of a metric over steps "A-B"; nothing if one is missing.
function over_steps(what, run, seed, span,    ends, i, sum) {
    split(span, ends, "-")
    for (i = ends[1]; i <= ends[2]; i++) {
        if (!((what, run, seed, i) in metric))
            return ""
        sum += metric[what, run, seed, i]
    }
    return sum / (ends[2] - ends[1] + 1)
}

# What a run measured with a seed, "" if it did not.
function measured(run, what, seed,    dot, span) {
    dot = index(what, ".")
    span = dot ? substr(what, dot + 1) : ""
    if (what == "start")
        return first[run, seed] == 0 ? valid[run, seed, 0] : ""
    if (what == "final")
        return valid[run, seed, last[run, seed]]
    if (what == "dead")
        return dead(run, seed)
    if (what == "rate")
        return median(rates[run, seed])
    if (what == "curve")
        return curve[run, seed]
    if (what == "cosine")
        return cosines[run, seed] ? cosine[run, seed] / cosines[run, seed] : ""
    if (what ~ /^valid\./)
        return valid[run, seed, span]
    return over_steps(substr(what, 1, dot - 1), run, seed, span)
}
