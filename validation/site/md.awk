END {
    print "# " meta["verdict"] "\n"
    split("date program host system processor placement launcher batch reference time", key, " ")
    print "| | |\n| --- | --- |"
    for (i = 1; i <= 10; i++) print "| " key[i] " | " meta[key[i]] " |"
    print "| libraries | " meta["MPI and libraries"] " |\n"
    print "## Tests\n\n| test | result | time | what |\n| --- | --- | ---: | --- |"
    for (i = 1; i <= tests; i++) { t = id[i]; print "| " t " | " state[t] " | " seconds[t] " s | " what[t] (reason(t) != "" ? ": " reason(t) : "") " |" }
    print "\n## Figures\n\n| figure | value | reference | deviation | judged |\n| --- | ---: | ---: | ---: | --- |"
    for (f = 1; f <= figures; f++)
        print "| " name[f] " | " human(value[f], unit[f]) " | " (reference[f] != "" ? human(reference[f], unit[f]) : "-") " | " deviation(f) " | " (judged[f] == "-" ? "not judged" : judged[f]) " |"
    print "\nAccepted by: ______________________    Date: ____________"
}
