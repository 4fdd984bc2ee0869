/* The deck: an accepted input is written as the resolved deck, which must read back as the same deck. */
#include <string.h>
#include "deck/deck.h"
#include "fuzz.h"

static status parse(struct deck *d, const char *text, size_t size)
{
    deck_init(d);
    TRY(deck_parse(d, "fuzz.yaml", text, (int64_t)size, "/nowhere"));
    return deck_check(d);
}

static void round_trip(const struct deck *d)
{
    struct deck again;
    char *first = deck_resolved(d);
    if (parse(&again, first, strlen(first)) != OK)
        bug("a resolved deck is refused: %s", status_text());
    char *difference = deck_restart_diff(&again, d);
    if (difference)
        bug("a resolved deck differs: %s", difference);
    deck_free(&again);
    free(first);
}

status fuzz_parse(const uint8_t *data, size_t size)
{
    struct deck d;
    status s = parse(&d, (const char *)data, size);
    if (s == OK)
        round_trip(&d);
    deck_free(&d);
    return s;
}
