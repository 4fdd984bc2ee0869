# The plots of claims.list as SVG: FOLDER/claim-NN.svg. Curves: mean over the seeds in a band from the lowest to the highest;
# bars: mean, and a dot for each seed.
# -f measure.awk -f plot.awk -v claims=FILE -v folder=FOLDER RUN FILES...
function put(text) { print text > svg }

function label(x, y, text, more) {
    put("<text x=\"" x "\" y=\"" y "\" " more ">" text "</text>")
}

# A round step for about `parts` ticks over a span.
function tick(span, parts,    power, x) {
    if (span <= 0)
        return 1
    power = 10 ^ int(log(span / parts) / log(10) - (span < parts ? 1 : 0))
    for (x = 1; span / (power * x) > parts; x = x == 1 ? 2 : x == 2 ? 5 : x * 2)
        ;
    return power * x
}

function page(height) {
    svg = sprintf("%s/claim-%02d.svg", folder, id)
    put("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 840 " height "\" font-family=\"Helvetica,Arial,sans-serif\" font-size=\"13\" fill=\"#333\">")
    put("<rect width=\"840\" height=\"" height "\" fill=\"#fff\"/>")
    label(24, wrapped(sprintf("Claim %d: %s", id, title)) + 20, what, "fill=\"#777\"")
}

# The title on as many lines as it needs; returns where the last one stands.
function wrapped(text,    cut, y) {
    for (y = 26; length(text) > 90; y += 19) {
        for (cut = 90; substr(text, cut, 1) != " "; cut--)
            ;
        label(24, y, substr(text, 1, cut), "font-size=\"15\" font-weight=\"bold\" fill=\"#111\"")
        text = substr(text, cut + 1)
    }
    label(24, y, text, "font-size=\"15\" font-weight=\"bold\" fill=\"#111\"")
    return y
}

function sx(step) { return sprintf("%.1f", 70 + 580 * step / x1) }
function sy(y) { return sprintf("%.1f", 410 - 305 * (y - y0) / (y1 - y0)) }

# Lowest, mean and highest validation loss of a run at a step, over the seeds.
function spread(run, step,    i, v, n) {
    low = high = middle = ""
    for (i = 1; i <= n_seeds; i++) {
        if (!((run, seeds[i], step) in valid))
            continue
        v = valid[run, seeds[i], step] + 0
        low = n == 0 || v < low ? v : low
        high = n == 0 || v > high ? v : high
        middle += v
        n++
    }
    if (n)
        middle /= n
    return n
}

# Ranges over all runs. A start far above the rest is cut off: the band of interest is what comes later.
function ranges(    i, j, n, step, most) {
    x1 = 0
    y0 = y1 = most = ""
    for (i = 1; i <= n_runs; i++) {
        n = split(evals[runs[i], seeds[1]], step, " ")
        for (j = 1; j <= n; j++) {
            if (!spread(runs[i], step[j]))
                continue
            x1 = step[j] > x1 ? step[j] + 0 : x1
            y0 = y0 == "" || low < y0 ? low : y0
            most = most == "" || high > most ? high : most
            if (j > 2 || n < 3)
                y1 = y1 == "" || high > y1 ? high : y1
        }
    }
    y1 = most < y0 + 2.5 * (y1 - y0) ? most : y0 + 2.5 * (y1 - y0)
    y0 -= 0.05 * (y1 - y0)
    y1 += 0.05 * (y1 - y0)
}

function frame(    d, y, x) {
    d = tick(y1 - y0, 6)
    for (y = d * int(y0 / d + 1); y <= y1; y += d) {
        put("<path d=\"M70 " sy(y) "H650\" stroke=\"#e4e4e4\"/>")
        label(62, sy(y) + 4, sprintf("%.4g", y), "text-anchor=\"end\"")
    }
    d = tick(x1 * tokens_a_step / 1000, 6)
    for (x = 0; x <= x1 * tokens_a_step / 1000; x += d)
        label(sx(x * 1000 / tokens_a_step), 430, sprintf("%g", x), "text-anchor=\"middle\"")
    put("<path d=\"M70 410H650\" stroke=\"#999\"/>")
    label(360, 452, "thousand tokens after the start", "text-anchor=\"middle\" fill=\"#777\"")
    put("<clipPath id=\"plot\"><rect x=\"70\" y=\"95\" width=\"580\" height=\"316\"/></clipPath>")
}

function one_curve(run, color,    n, j, step, line, up, down) {
    n = split(evals[run, seeds[1]], step, " ")
    for (j = 1; j <= n; j++) {
        if (!spread(run, step[j]))
            continue
        line = line (line ? "L" : "M") sx(step[j]) " " sy(middle)
        up = up (up ? "L" : "M") sx(step[j]) " " sy(high)
        down = "L" sx(step[j]) " " sy(low) down
        end[run] = sy(middle)
        final[run] = middle
    }
    put("<g clip-path=\"url(#plot)\"><path d=\"" up down "Z\" fill=\"" color "\" opacity=\"0.18\"/>" \
        "<path d=\"" line "\" fill=\"none\" stroke=\"" color "\" stroke-width=\"2.2\" stroke-linejoin=\"round\"/></g>")
}

# Names at the curves' right ends, at least a line apart.
function names(    i, j, t, place, by) {
    for (i = 1; i <= n_runs; i++) {
        by[i] = i
        for (j = i; j > 1 && end[runs[by[j]]] + 0 < end[runs[by[j - 1]]] + 0; j--) {
            t = by[j]; by[j] = by[j - 1]; by[j - 1] = t
        }
    }
    for (i = 1; i <= n_runs; i++) {
        place = i == 1 || end[runs[by[i]]] - place > 17 ? end[runs[by[i]]] + 0 : place + 17
        label(658, place + 4, runs[by[i]] sprintf(" %.4f", final[runs[by[i]]]), "fill=\"" palette[by[i]] "\" font-weight=\"bold\"")
    }
}

function curves(    i) {
    page(466)
    ranges()
    frame()
    for (i = 1; i <= n_runs; i++)
        one_curve(runs[i], palette[i])
    names()
    put("</svg>")
    close(svg)
}

function bars(    i, j, v, n, sum, most, y, width, dots) {
    page(110 + 34 * n_runs)
    for (i = 2; i <= n_runs; i++)
        for (j = 1; j <= n_seeds; j++) {
            v = measured(runs[i], runs[1], seeds[j])
            most = v + 0 > most ? v + 0 : most
        }
    for (i = 2; i <= n_runs; i++) {
        n = sum = 0
        dots = ""
        y = 66 + 34 * (i - 1)
        for (j = 1; j <= n_seeds; j++) {
            v = measured(runs[i], runs[1], seeds[j])
            if (v == "")
                continue
            n++
            sum += v
            dots = dots sprintf("<circle cx=\"%.1f\" cy=\"%d\" r=\"3\" fill=\"#222\" opacity=\"0.7\"/>", 150 + (most ? 480 * v / most : 0), y + 11)
        }
        if (!n)
            continue
        width = most ? 480 * sum / n / most : 0
        put(sprintf("<rect x=\"150\" y=\"%d\" width=\"%.1f\" height=\"22\" rx=\"2\" fill=\"%s\" opacity=\"0.75\"/>", y, width, palette[i - 1]) dots)
        label(140, y + 16, runs[i], "text-anchor=\"end\"")
        label(sprintf("%.1f", 160 + width + 4), y + 16, sprintf("%.5g", sum / n), "font-weight=\"bold\"")
    }
    put("</svg>")
    close(svg)
}

END {
    split("#0072b2 #d55e00 #009e73 #cc79a7 #e69f00 #56b4e9 #777777 #8c6bb1", palette, " ")
    while ((getline line < claims) > 0) {
        text = substr(line, 10)
        if (line ~ /^claim/) {
            id = substr(line, 7, 3) + 0
            title = text
        } else if (line ~ /^(curves|bars)/) {
            what = substr(text, 1, index(text, ": ") - 1)
            n_runs = split(substr(text, index(text, ": ") + 2), runs, " ")
            if (line ~ /^curves/) {
                what = "validation loss, nats/token (" what ")"
                curves()
            } else
                bars()
        }
    }
}
