# JUnit: a suite for each level, a case for each test; figures are properties.
function counts(l,   i) {
    n = bad = left = time = 0
    for (i = 1; i <= tests; i++) if (level(id[i]) == l) {
        n++; bad += state[id[i]] == "failed"; left += state[id[i]] == "skipped" || state[id[i]] == "waived"; time += seconds[id[i]]
    }
}
END {
    stamp = meta["date"]; sub(/ UTC/, ":00", stamp); sub(/ /, "T", stamp)
    print "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>"
    for (i = 1; i <= tests; i++) {
        l = level(id[i])
        if (l == last) continue
        last = l; counts(l)
        printf "  <testsuite name=\"%s %s\" package=\"coppice.%s\" id=\"%d\" hostname=\"%s\" timestamp=\"%s\" tests=\"%d\" failures=\"%d\" errors=\"0\" skipped=\"%d\" time=\"%d\">\n", \
            l, title(l), l, suites++, xml(meta["host"]), stamp, n, bad, left, time
        print "    <properties>"
        printf "      <property name=\"program\" value=\"%s\"/>\n", xml(meta["program"])
        for (f = 1; f <= figures; f++) if (level(of[f]) == l) printf "      <property name=\"%s\" value=\"%s %s\"/>\n", xml(name[f]), value[f], xml(unit[f])
        print "    </properties>"
        for (j = i; j <= tests && level(id[j]) == l; j++) {
            t = id[j]
            printf "    <testcase name=\"%s\" classname=\"coppice.%s\" time=\"%d\"", xml(t), l, seconds[t]
            if (state[t] == "failed") printf ">\n      <failure type=\"failed\" message=\"%s\">%s</failure>\n    </testcase>\n", xml(reason(t) == "" ? "no result" : reason(t)), xml(what[t])
            else if (state[t] == "skipped" || state[t] == "waived") printf ">\n      <skipped message=\"%s\"/>\n    </testcase>\n", xml(state[t] == "waived" ? first(t, "note") : reason(t))
            else print "/>"
        }
        print "    <system-out></system-out>\n    <system-err></system-err>\n  </testsuite>"
    }
    print "</testsuites>"
}
