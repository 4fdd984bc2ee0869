/* The settings of a run: RUN/resolved.yaml as deck_resolved writes it, whatever version wrote it. Keys that
 * this program does not know stay. Not collective. */
#ifndef REPORT_SETTINGS_H
#define REPORT_SETTINGS_H
#include <stdint.h>

struct setting {
    char *key, *value, *origin; /* "model.moe.top_k", "2", "deck.yaml:3:5"; origin "" if unknown */
};
struct settings {
    int n;
    struct setting *setting;
};

/** From the text of the file; lines of another form are passed over. settings_free ends it. */
void settings_parse(struct settings *, const char *text);
void settings_free(struct settings *);
/** The value of a key; NULL if there is none. Borrowed. */
const char *settings_value(const struct settings *, const char *key);

#endif
