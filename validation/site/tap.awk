END {
    print "TAP version 13"
    for (i = 1; i <= tests; i++) {
        t = id[i]
        good = state[t] != "failed"
        line = (good ? "ok " : "not ok ") i " - " t " " what[t]
        if (state[t] == "skipped") line = line " # SKIP " reason(t)
        if (state[t] == "waived") line = line " # TODO " first(t, "note")
        print line
        for (d = 1; d <= details[t]; d++) print "# " kind[t, d] " " text[t, d]
        for (f = 1; f <= figures; f++) if (of[f] == t) print "# figure " name[f] " " value[f] " " unit[f] (judged[f] != "-" ? " (" judged[f] ", reference " reference[f] ")" : "")
    }
    print "1.." tests
    print "# " meta["verdict"]
}
