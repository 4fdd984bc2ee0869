# claims.list beside what the runs measured: a line per inequality, a verdict per claim; exit 1 if something certain fails.
# -f measure.awk -f judge.awk -v claims=FILE -v only_certain=0|1 RUN FILES...
function side(text, seed,    term, n, i, sign, value, factor, sum, dot) {
    n = split(text, term, " ")
    sign = 1
    for (i = 1; i <= n; i++) {
        if (term[i] == "+" || term[i] == "-") {
            sign = term[i] == "+" ? 1 : -1
            continue
        }
        factor = 1
        if (match(term[i], /^[0-9.]+\*/)) {
            factor = substr(term[i], 1, RLENGTH - 1)
            term[i] = substr(term[i], RLENGTH + 1)
        }
        dot = index(term[i], ".")
        value = measured(substr(term[i], 1, dot - 1), substr(term[i], dot + 1), seed)
        if (value == "")
            return ""
        sum += sign * factor * value
    }
    return sum
}

# One inequality over all seeds: left, right (means), d = right - left (mean, standard error), smallest and largest d.
function over_seeds(left, right,    i, a, b, d, sum, squares) {
    n = mean_left = mean_right = mean = error = sum = squares = 0
    for (i = 1; i <= n_seeds; i++) {
        a = side(left, seeds[i])
        b = side(right, seeds[i])
        if (a == "" || b == "")
            continue
        d = b - a
        least = n == 0 || d < least ? d : least
        most = n == 0 || d > most ? d : most
        n++
        mean_left += a
        mean_right += b
        sum += d
        squares += d * d
    }
    if (n == 0)
        return
    mean_left /= n
    mean_right /= n
    mean = sum / n
    error = n > 1 ? sqrt(((squares - sum * sum / n) > 0 ? squares - sum * sum / n : 0) / (n - 1) / n) : 0
}

function verdict(sort, relation, bar,    quantile, q) {
    split("6.31 2.92 2.35 2.13 2.02 1.94 1.89 1.86 1.83", quantile, " ") # Student's t, 95 %, one-sided
    if (n == 0)
        return "not run"
    if (relation == "=")
        return least >= -bar && most <= bar ? "holds" : sort == "certain" ? "FAILS" : "does not hold"
    if (sort == "certain")
        return least > 0 ? "holds" : "FAILS"
    if (n == 1)
        return "one seed"
    q = quantile[n - 1 > 9 ? 9 : n - 1] * error
    return mean > q ? "holds" : mean < -q ? "the opposite" : "undecided"
}

function judge(sort, text,    at, left, right, bar, relation, word) {
    bar = 0
    if (match(text, / within .*/)) {
        bar = substr(text, RSTART + 8) + 0
        text = substr(text, 1, RSTART - 1)
    }
    match(text, / [<=] /)
    relation = substr(text, RSTART + 1, 1)
    left = substr(text, 1, RSTART - 1)
    right = substr(text, RSTART + 3)
    over_seeds(left, right)
    word = verdict(sort, relation, bar)
    printf "   %-13s %-64s %11.5g %s %-10.5g  difference %+.5f +- %.5f  %d seeds\n", word,
        left " " relation " " right (relation == "=" ? " within " bar : ""), mean_left, relation, mean_right, mean, error, n
    tests++
    held += word == "holds"
    failed += word == "FAILS" || (word == "not run" && sort == "certain")
}

function claim_ends(    text) {
    if (title == "" || tests == 0)
        return
    text = held == tests ? "reproduced" : sprintf("%d of %d hold", held, tests)
    printf "   => claim %s: %s\n\n", id, text
    table = table sprintf("%5s  %-12s %s\n", id, text, title)
}

END {
    while ((getline line < claims) > 0) {
        text = substr(line, 10)
        if (line ~ /^claim/) {
            claim_ends()
            id = substr(line, 7, 3) + 0
            title = text
            held = tests = 0
            announced = 0
        } else if (line ~ /^certain/ || (line ~ /^expected/ && !only_certain)) {
            if (!announced++)
                printf "claim %s: %s\n", id, title
            judge(substr(line, 1, index(line, " ") - 1), text)
        }
    }
    claim_ends()
    printf "claim  verdict      what the papers say\n%s", table
    if (n_seeds == 0)
        failed++
    exit failed > 0
}
