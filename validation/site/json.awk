function json(s) { gsub(/\\/, "\\\\", s); gsub(/"/, "\\\"", s); gsub(/[[:cntrl:]]/, " ", s); return "\"" s "\"" }
END {
    printf "{\n \"verdict\": %s,\n \"result\": %s,\n \"passed\": %d,\n \"total\": %d,\n \"waived\": %d,\n", json(meta["verdict"]), json(meta["word"]), meta["passed"], meta["total"], meta["waived"]
    split("date program profile host system processor placement launcher batch reference", key, " ")
    for (i = 1; i <= 10; i++) printf " %s: %s,\n", json(key[i]), json(meta[key[i]])
    printf " \"seconds\": %d,\n \"tests\": [", meta["seconds"]
    for (i = 1; i <= tests; i++) {
        t = id[i]
        printf "%s\n  {\"id\": %s, \"result\": %s, \"seconds\": %d, \"must\": %s, \"what\": %s, \"details\": [", (i > 1 ? "," : ""), json(t), json(state[t]), seconds[t], must[t] == "yes" ? "true" : "false", json(what[t])
        for (d = 1; d <= details[t]; d++) printf "%s{\"%s\": %s}", (d > 1 ? ", " : ""), kind[t, d], json(text[t, d])
        printf "]}"
    }
    printf "\n ],\n \"figures\": ["
    for (f = 1; f <= figures; f++)
        printf "%s\n  {\"name\": %s, \"value\": %s, \"unit\": %s, \"test\": %s, \"reference\": %s, \"band\": %s, \"judged\": %s}", (f > 1 ? "," : ""), json(name[f]), value[f] + 0 == value[f] ? value[f] : json(value[f]), json(unit[f]), json(of[f]), reference[f] == "" ? "null" : reference[f], (band[f] == "" || band[f] == "-") ? "null" : band[f], judged[f] == "-" ? "null" : json(judged[f])
    print "\n ]\n}"
}
