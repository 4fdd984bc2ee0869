# For the reports: the judged table in arrays, and numbers with units for people.
BEGIN { FS = "\t" }
$1 == "M" { meta[$2] = $3 }
$1 == "T" { id[++tests] = $2; state[$2] = $3; seconds[$2] = $4; must[$2] = $5; what[$2] = $6 }
$1 == "D" { k = ++details[$2]; kind[$2, k] = $3; text[$2, k] = $4 }
$1 == "F" {
    f = ++figures; name[f] = $2; value[f] = $3; unit[f] = $4; of[f] = $5; reference[f] = $6; band[f] = $7; better[f] = $8
    judged[f] = $9; about[f] = $10
}
function level(t) { sub(/\..*/, "", t); return t }
function title(l) {
    return l == "L0" ? "Environment" : l == "L1" ? "Node" : l == "L2" ? "Fabric" : l == "L3" ? "Numbers" : l == "L4" ? "Storage" : \
        l == "L5" ? "Batch life" : l == "L6" ? "Scale" : "Long"
}
# first detail of a kind, "" if none
function first(t, k,   i) {
    for (i = 1; i <= details[t]; i++) if (kind[t, i] == k) return text[t, i]
    return ""
}
function reason(t) { return state[t] == "skipped" ? first(t, "skip") : first(t, "not") }
# 3.9e10 FLOP/s -> 39.0 GFLOP/s
function human(x, u,   p, k) {
    x += 0
    if (u == "1") return sprintf("%.3g", x)
    if (u == "s") {
        if (x == 0) return "0 s"
        if (x < 1e-3) return sprintf("%.3g µs", 1e6 * x)
        return x < 1 ? sprintf("%.3g ms", 1e3 * x) : sprintf("%.3g s", x)
    }
    if (u != "B" && u != "B/s" && u != "FLOP/s") return sprintf("%.4g %s", x, u)
    k = 0
    while (x >= 1000 && k < 5) { x /= 1000; k++ }
    return sprintf(x >= 100 ? "%.0f %s%s" : x >= 10 ? "%.1f %s%s" : "%.2f %s%s", x, substr(" kMGTP", k + 1, 1) == " " ? "" : substr(" kMGTP", k + 1, 1), u)
}
function deviation(f) { return reference[f] + 0 == 0 ? "" : sprintf("%+.1f %%", 100 * (value[f] / reference[f] - 1)) }
function xml(s) { gsub(/&/, "\\&amp;", s); gsub(/</, "\\&lt;", s); gsub(/>/, "\\&gt;", s); gsub(/"/, "\\&quot;", s); return s }
