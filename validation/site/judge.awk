# The table of site/report again, with figures judged and the verdict. Figures that no reference has are told, not judged.
BEGIN { FS = OFS = "\t" }
$1 == "M" { meta[$2] = $3 }
$1 == "T" {
    tests++; must[$2] = $5
    if ($3 == "waived") waived++
    else if ($3 == "skipped" && $5 == "yes") skipped++
    else if ($3 == "skipped") left++
    else if ($3 == "failed") failed++
    else passed++
}
$1 == "R" { if ($2 ~ /\.band$/) { name = $2; sub(/\.band$/, "", name); band_of[name] = $3 } else reference[$2] = $3 }
$1 == "W" { waiver[$2] = $3 }
$1 == "K" { known[$2] = 1; better[$2] = $3; band[$2] = $4; about[$2] = $6 }
$1 == "F" { n++; name_of[n] = $2; value[n] = $3; unit[n] = $4; test[n] = $5; next }
{ print }
END {
    void = failed > 0
    for (i = 1; i <= n; i++) {
        name = name_of[i]; state = "-"
        b = name in band_of ? band_of[name] : band[name]
        if (known[name] && b != "-" && name in reference) {
            good = better[name] == "high" ? value[i] + 0 >= reference[name] * (1 - b) : value[i] + 0 <= reference[name] * (1 + b)
            state = void ? "void" : good ? "good" : name in waiver ? "waived" : "out"
            if (state == "waived") waived++
            else { judged++; within += state == "good" }
        }
        print "F", name, value[i], unit[i], test[i], reference[name], b, better[name], state, about[name]
    }
    total = passed + failed + skipped
    word = failed || (judged > within && !void) ? "FAILED" : skipped || total == 0 ? "INCOMPLETE" : "PASSED"
    speed = void ? "speed void" : judged ? "speed " within + 0 "/" judged " within " meta["reference_name"] : "speed not judged"
    rest = skipped ? ", " skipped " skipped that must run" : ""
    print "M", "word", word
    print "M", "passed", passed + 0
    print "M", "total", total
    print "M", "speed", speed
    print "M", "waived", waived + 0
    print "M", "verdict", "VALIDATION: " word " " passed + 0 "/" total rest ", " speed ", " waived + 0 " waived"
}
