# report.html: one page that an admin signs; plots are inline SVG, and nothing is loaded.

# ---- plots: rows of label, value, text; a bar each. Widths in px; the page is 1000 wide and prints on A4 ----
function clear() { rows = 0 }
function row(label, x, shown, colour) { rows++; r_label[rows] = label; r_value[rows] = x + 0; r_shown[rows] = shown; r_colour[rows] = colour }
# lo, hi, one: a band and a line, in the units of the values; hi < 0: none
function bars(heading, width, lo, hi, one,   i, most, y, x, w, left, room) {
    if (!rows) return
    left = 170; room = width - left - 130
    most = hi > 0 ? hi : 0
    for (i = 1; i <= rows; i++) if (r_value[i] > most) most = r_value[i]
    if (most <= 0) most = 1
    printf "<figure><figcaption>%s</figcaption>\n<svg viewBox=\"0 0 %d %d\" width=\"%d\" role=\"img\" aria-label=\"%s\">\n", xml(heading), width, rows * 20 + 6, width, xml(heading)
    if (hi > 0) printf "<rect x=\"%.1f\" y=\"0\" width=\"%.1f\" height=\"%d\" fill=\"#e3efe5\"/>\n", left + room * lo / most, room * (hi - lo) / most, rows * 20 + 2
    for (i = 1; i <= rows; i++) {
        y = (i - 1) * 20 + 3; w = room * r_value[i] / most
        printf "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>", left - 8, y + 12, xml(r_label[i])
        printf "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"13\" rx=\"1\" fill=\"%s\"/>", left, y + 1, w < 1 ? 1 : w, r_colour[i]
        printf "<text x=\"%.1f\" y=\"%d\" class=\"n\">%s</text>\n", left + w + 6, y + 12, xml(r_shown[i])
    }
    if (one > 0) printf "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"0\" y2=\"%d\" stroke=\"#2f6b3c\" stroke-width=\"1\"/>\n", left + room * one / most, left + room * one / most, rows * 20 + 2
    print "</svg></figure>"
}
function against_reference(   f, ratio) {
    clear()
    for (f = 1; f <= figures; f++) if (reference[f] + 0 > 0 && judged[f] != "-") {
        ratio = value[f] / reference[f]
        row(name[f], ratio, human(value[f], unit[f]) "  " deviation(f), judged[f] == "good" ? "#4b8f5a" : judged[f] == "void" ? "#9a9a9a" : "#b5442e")
    }
    bars("Figures over their reference (" meta["reference_name"] "; line: as recorded)", 480, 0, 0, 1)
}
function groups(what, heading,   f, part, n) {
    clear()
    for (f = 1; f <= figures; f++) {
        n = split(name[f], part, ".")
        if (n == 3 && part[3] == what) row(part[1] ", " part[2], value[f], human(value[f], unit[f]), part[2] == "world" ? "#35618f" : "#9db8d2")
    }
    bars(heading, 480, 0, 0, 0)
}
function storage(   f) {
    clear()
    for (f = 1; f <= figures; f++) {
        if (name[f] ~ /^checkpoint\.(write|read)$/) row(name[f], value[f], human(value[f], unit[f]), "#35618f")
        if (name[f] ~ /^dd\./) row(name[f], value[f], human(value[f], unit[f]), "#9db8d2")
    }
    bars("Storage, beside dd", 480, 0, 0, 0)
}
function scaling(   f, part) {
    clear()
    for (f = 1; f <= figures; f++) if (name[f] ~ /^weak\.ranks\./) {
        split(name[f], part, ".")
        row(part[3] " rank" (part[3] > 1 ? "s" : ""), value[f], human(value[f], unit[f]), "#35618f")
    }
    bars("Weak scaling: tokens a second of a rank", 480, 0, 0, 0)
}
function times(   i, l, sum, order, n) {
    clear(); n = 0
    for (i = 1; i <= tests; i++) { l = level(id[i]); if (!(l in sum)) order[++n] = l; sum[l] += seconds[id[i]] }
    for (i = 1; i <= n; i++) row(order[i] " " title(order[i]), sum[order[i]], sum[order[i]] " s", "#b9a86f")
    bars("Time by level", 480, 0, 0, 0)
}

# ---- tables ----
function facts(   key, n, i) {
    n = split("date program profile host system processor placement launcher batch reference time", key, " ")
    print "<table class=\"facts\">"
    for (i = 1; i <= n; i++) printf "<tr><th>%s</th><td>%s</td></tr>\n", key[i], xml(meta[key[i]])
    printf "<tr><th>libraries</th><td>%s</td></tr></table>\n", xml(meta["MPI and libraries"])
}
function test_rows(   i, l, t, last, note) {
    print "<table class=\"tests\"><thead><tr><th>test</th><th>what it shows</th><th>result</th><th class=\"r\">time</th></tr></thead>"
    for (i = 1; i <= tests; i++) {
        t = id[i]; l = level(t)
        if (l != last) { printf "%s<tbody><tr class=\"level\"><td colspan=\"4\">%s &nbsp;%s</td></tr>\n", last == "" ? "" : "</tbody>", l, title(l); last = l }
        note = state[t] == "waived" ? first(t, "note") : reason(t)
        printf "<tr><td class=\"id\">%s</td><td>%s%s</td><td class=\"%s\">%s</td><td class=\"r\">%d s</td></tr>\n", t, xml(what[t]), \
            note == "" ? "" : "<div class=\"why\">" xml(note) "</div>", state[t], state[t], seconds[t]
    }
    print "</tbody></table>"
}
# Columns of the reference stand only where there is one.
function figure_rows(   f, some, part) {
    for (f = 1; f <= figures; f++) some = some || reference[f] != ""
    printf "<table class=\"tests\"><thead><tr><th>figure</th><th>what</th><th class=\"r\">value</th>%s</tr></thead><tbody>\n", \
        some ? "<th class=\"r\">reference</th><th class=\"r\">deviation</th><th class=\"r\">allowed</th><th>judged</th>" : ""
    for (f = 1; f <= figures; f++) {
        if (split(name[f], part, ".") == 3) continue
        printf "<tr><td class=\"id\">%s</td><td>%s</td><td class=\"r\">%s</td>", xml(name[f]), xml(about[f]), human(value[f], unit[f])
        if (some && reference[f] == "") printf "<td></td><td></td><td></td><td></td>"
        else if (some) printf "<td class=\"r\">%s</td><td class=\"r\">%s</td><td class=\"r\">%s%.0f %%</td><td class=\"%s\">%s</td>", \
            human(reference[f], unit[f]), deviation(f), better[f] == "high" ? "&minus;" : "+", 100 * band[f], \
            judged[f] == "good" ? "passed" : judged[f] == "out" ? "failed" : "skipped", judged[f] == "good" ? "within" : judged[f]
        print "</tr>"
    }
    print "</tbody></table>"
}
END {
    print "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">"
    printf "<title>%s</title>\n", xml(meta["verdict"])
    print "<style>"
    print "@page { size: A4; margin: 14mm }"
    print "body { font: 14px/1.4 'DejaVu Sans', 'Liberation Sans', Arial, sans-serif; color: #222; max-width: 1000px; margin: 24px auto; padding: 0 16px }"
    print "h1 { font-size: 1.6em; margin: 0 } h2 { font-size: 1.15em; margin: 1.8em 0 0.4em; border-bottom: 1px solid #bbb; padding-bottom: 3px }"
    print ".verdict { margin: 10px 0 14px; padding: 10px 14px; color: #fff; font-size: 1.3em; font-weight: bold; -webkit-print-color-adjust: exact; print-color-adjust: exact }"
    print ".PASSED { background: #2f6b3c } .FAILED { background: #a23a25 } .INCOMPLETE { background: #8a6d12 }"
    print "table { border-collapse: collapse; width: 100% } th { text-align: left; font-weight: 600 } td, th { padding: 2px 10px 2px 0; vertical-align: top }"
    print ".facts th { width: 8em; color: #555; font-weight: normal } .facts td { overflow-wrap: anywhere }"
    print ".tests thead th { border-bottom: 1px solid #888; font-size: 0.86em; color: #555 } .tests td { border-bottom: 1px solid #e6e6e6 }"
    print ".level td { background: #f1f1ec; font-weight: 600; padding-left: 6px; -webkit-print-color-adjust: exact; print-color-adjust: exact }"
    print ".id { font-family: 'DejaVu Sans Mono', monospace; font-size: 0.86em; white-space: nowrap } .r { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums }"
    print "td.passed { color: #2f6b3c } td.failed { color: #a23a25; font-weight: bold } td.waived, td.skipped { color: #8a6d12 } .why { color: #a23a25; font-size: 0.86em; overflow-wrap: anywhere }"
    print ".plots { display: grid; grid-template-columns: 1fr 1fr; gap: 14px 20px; align-items: start } figure { margin: 0; break-inside: avoid } figcaption { font-weight: 600; margin-bottom: 4px }"
    print "svg { max-width: 100%; height: auto; -webkit-print-color-adjust: exact; print-color-adjust: exact } svg text { font: 11px 'DejaVu Sans', Arial, sans-serif; fill: #333 }"
    print "tr { break-inside: avoid } .sign { margin-top: 40px; display: grid; grid-template-columns: 2fr 2fr 1fr; gap: 30px; break-inside: avoid } .sign div { border-top: 1px solid #222; padding-top: 4px; font-size: 0.86em; color: #555 }"
    print "@media print { body { font-size: 8.6px; line-height: 1.25; margin: 0; padding: 0; max-width: none } td, th { padding-top: 1px; padding-bottom: 1px } .plots { gap: 6px 20px } .sign { margin-top: 30px } }"
    print "</style></head><body>"
    print "<h1>Coppice: acceptance of a machine</h1>"
    printf "<div class=\"verdict %s\">%s</div>\n", meta["word"], xml(meta["verdict"])
    if (meta["speed"] == "speed not judged" && meta["word"] == "PASSED") print "<p>Correct; speed is not judged, because there is no reference (--machine FILE; --record FILE writes one).</p>"
    if (meta["speed"] == "speed void") print "<p>A test of correctness failed, so the figures of speed mean nothing.</p>"
    facts()
    print "<h2>Tests</h2>"; test_rows()
    print "<h2>Figures</h2>"; figure_rows()
    print "<h2>Plots</h2><div class=\"plots\">"
    groups("rate", "Fabric: received by a rank, 4 MiB (dark: all ranks)"); groups("latency", "Fabric: latency, 256 bytes a rank (dark: all ranks)")
    against_reference(); storage(); scaling(); times()
    print "</div>"
    print "<div class=\"sign\"><div>accepted by</div><div>signature</div><div>date</div></div>"
    print "</body></html>"
}
