/* The events of a YAML text, one after the other. Only parse.c and events.c include this. libyaml's loader is
 * not used, because it merges nothing, keeps duplicate keys and follows aliases. */
#ifndef DECK_EVENTS_H
#define DECK_EVENTS_H
#include <yaml.h>
#include "deck/inside.h"

struct events {
    yaml_parser_t yaml;
    yaml_event_t event; /* the current one */
    struct deck *deck;
    struct errors *errors;
    const char *file, *folder, *text;
    size_t size;
    char *where; /* FILE:LINE:COLUMN of the current event */
    int depth;
    bool broken;    /* the text is not YAML from here on */
    bool refused;   /* the current node was refused with an error */
    bool *seen;     /* [keys] given in this deck */
    char **section; /* section paths given in this deck */
    int sections;
};

/** Begin to read a text. False, with an error unless the text is empty, if it has no document. */
bool events_open(struct events *, const char *text, int64_t size);
void events_close(struct events *);
/** Step to the next event. If the YAML is broken, the event stays YAML_NO_EVENT. Refused events add an error.
 */
void events_next(struct events *);
/** Skip the node that begins with the current event: afterwards it is the node's last one. */
void events_skip(struct events *);
bool events_is(const struct events *, yaml_event_type_t);
/** What the current event begins: "a mapping", "a list" or "a value". */
const char *events_kind(const struct events *);
/** The current scalar event as a value. Its texts stay until the next event. */
struct scalar events_scalar(const struct events *);

#endif
