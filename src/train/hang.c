#include "train/hang.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/file.h"
#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"
#include "train/mark.h"

enum { LIMIT = 1 << 16, NAMED = 8 };

char *crew_text(const struct crew *c, int rank, char out[128])
{
    const struct mate *m = &c->mate[rank];
    snprintf(out, 128, "rank %d (process %lld on %s)", rank, (long long)m->pid, m->host);
    return out;
}

char crew_next_state(const struct crew *c)
{
    char path[64], text[512];
    if (c->next < 0)
        return '?';
    snprintf(path, sizeof path, "/proc/%lld/stat", (long long)c->mate[c->next].pid);
    FILE *file = fopen(path, "re");
    size_t n = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file)
        fclose(file);
    text[n] = '\0';
    const char *at = strrchr(text, ')'); /* the last one, because the name may hold some, too */
    return at && at[1] == ' ' && at[2] ? at[2] : '?';
}

/* ---- the report of a rank ---- */

static char *place_path(const struct crew *c, int rank)
{
    return mem_format("%s/hang/rank_%05d.json", c->dir, rank);
}

/* What the rank's file says. A new reference. */
static json_t *make_place(const struct crew *c, const struct progress *p, const char *text, double still)
{
    const char state[] = {crew_next_state(c), '\0'};
    const struct {
        const char *key, *value;
    } words[] = {{"token", c->token},
                 {"host", c->mate[c->rank].host},
                 {"text", text},
                 {"task", p->task},
                 {"part", p->part},
                 {"op", p->op},
                 {"collective", p->collective},
                 {"over", p->over},
                 {"next_state", state}};
    const struct {
        const char *key;
        int64_t value;
    } numbers[] = {{"rank", c->rank}, {"pid", c->mate[c->rank].pid},
                   {"step", p->step}, {"layer", p->layer},
                   {"all", p->all},   {"some", p->some},
                   {"next", c->next}};
    json_t *place = json_pack("{sfsb}", "still_s", still, "inside", p->inside);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        json_object_set_new(place, words[i].key, json_string(words[i].value));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        json_object_set_new(place, numbers[i].key, json_integer(numbers[i].value));
    return place;
}

static void write_place(const struct crew *c, const struct progress *p, const char *text, double still)
{
    char *folder = mem_format("%s/hang", c->dir), *path = place_path(c, c->rank);
    json_t *place = make_place(c, p, text, still);
    io_mkdir(folder, 0777);
    (void)!json_write_file(place, path, 1); /* if it fails, this rank counts as silent */
    json_decref(place);
    free(path);
    free(folder);
}

/* ---- the verdict ---- */

/* The report of a rank; NULL if there is none of this leg. A new reference. */
static json_t *read_place(const struct crew *c, int rank)
{
    char *path = place_path(c, rank);
    json_t *place = NULL;
    if (io_exists(path) && json_read_file(&place, path, LIMIT) == OK) {
        const char *token = json_string_value(json_object_get(place, "token"));
        if (!token || strcmp(token, c->token) != 0) {
            json_decref(place);
            place = NULL;
        }
    }
    free(path);
    return place;
}

static int64_t number(const json_t *place, const char *key)
{
    return json_integer_value(json_object_get(place, key));
}

/* Below 0 if a is behind b. At the same collective, a rank that is not in it is behind one that is. */
static int compare_places(const json_t *a, const json_t *b)
{
    const int64_t x[] = {number(a, "all"), number(a, "some"), json_is_true(json_object_get(a, "inside"))};
    const int64_t y[] = {number(b, "all"), number(b, "some"), json_is_true(json_object_get(b, "inside"))};
    for (int i = 0; i < 3; i++)
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    return 0;
}

/* The state of a silent rank, as the rank before it on its node reported it. */
static const char *state_of(json_t *const *place, int size, int rank)
{
    static const struct {
        char letter;
        const char *words;
    } known[] = {{'T', "it is stopped by a signal"},
                 {'t', "a debugger holds it"},
                 {'D', "it waits for a disk"},
                 {'Z', "it has died"},
                 {'R', "it computes"},
                 {'S', "it sleeps"}};
    for (int r = 0; r < size; r++) {
        const char *state = json_string_value(json_object_get(place[r], "next_state"));
        if (!place[r] || !state || number(place[r], "next") != rank)
            continue;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            if (known[i].letter == *state)
                return known[i].words;
    }
    return "it is stopped, or its node is gone";
}

/* The text of the verdict. Caller frees. */
static char *verdict(const struct crew *c, json_t *const *place, double still)
{
    char *text = mem_format("no progress for %.0f s: ", still), who[128];
    int silent = 0, behind = 0, first = -1, last = -1;
    for (int r = 0; r < c->size; r++) {
        if (!place[r] && silent++ < NAMED)
            mem_append(&text, "%s%s says nothing: %s", silent > 1 ? "; " : "", crew_text(c, r, who),
                       state_of(place, c->size, r));
        if (place[r] && (first < 0 || compare_places(place[r], place[first]) < 0))
            first = r;
        if (place[r] && (last < 0 || compare_places(place[r], place[last]) > 0))
            last = r;
    }
    if (silent > NAMED)
        mem_append(&text, "; and %d more", silent - NAMED);
    if (silent)
        return text;
    for (int r = 0; r < c->size && compare_places(place[first], place[last]) < 0; r++)
        if (compare_places(place[r], place[first]) == 0 && behind++ < NAMED)
            mem_append(&text, "%s%s is behind: %s", behind > 1 ? "; " : "", crew_text(c, r, who),
                       json_string_value(json_object_get(place[r], "text")));
    if (!behind)
        mem_append(&text, "%s: %s", c->size > 1 ? "all ranks are at one place" : crew_text(c, 0, who),
                   json_string_value(json_object_get(place[first], "text")));
    return text;
}

static void judge(const struct crew *c, json_t *const *place, int64_t step, double still)
{
    char *text = verdict(c, place, still), *path = mem_format("%s/hang/verdict", c->dir);
    mark_end(c->dir, "hung", text);
    mark_event(c->dir, "hung", (long long)step, text);
    dprintf(STDERR_FILENO, "coppice: hang: %s\n", text);
    (void)!file_replace(path, c->token);
    free(path);
    free(text);
}

/* Has the verdict of this leg been written? */
static bool is_judged(const struct crew *c)
{
    char *path = mem_format("%s/hang/verdict", c->dir), *text = NULL;
    int64_t size;
    bool judged = io_exists(path) && file_load(path, LIMIT, &text, &size) == OK && !strcmp(text, c->token);
    free(text);
    free(path);
    return judged;
}

/* Read the reports that exist. Returns how many there are. */
static int collect(const struct crew *c, json_t **place)
{
    int told = 0;
    for (int r = 0; r < c->size; r++) {
        if (!place[r])
            place[r] = read_place(c, r);
        told += place[r] != NULL;
    }
    return told;
}

/* Has a lower rank reported? The nearest one is looked at first, because it mostly has. */
static bool lower_told(const struct crew *c)
{
    for (int r = c->rank - 1; r >= 0; r--) {
        json_t *place = read_place(c, r);
        json_decref(place);
        if (place)
            return true;
    }
    return false;
}

/* Sleep, for longer if there are many ranks, so that the file system is not flooded. */
static void doze(const struct crew *c)
{
    int ms = c->size < 900 ? 100 + c->size : 999;
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
}

/* Wait until all have reported, the verdict is given, or the time is over. */
static void wait_for_others(const struct crew *c, json_t **place, double until)
{
    while (clock_seconds() < until && !is_judged(c)) {
        if (!lower_told(c) && collect(c, place) == c->size)
            break;
        doze(c);
    }
}

void hang_tell(const struct crew *c, const struct progress *p, double still, double grace)
{
    enum { PATIENCE = 5 }; /* seconds to wait for the verdict of a lower rank */
    char text[256], who[128];
    json_t **place = mem_new(c->size, sizeof(json_t *));
    double begin = clock_seconds();
    dprintf(STDERR_FILENO, "coppice: %s: no progress for %.0f s:\n          %s\n", crew_text(c, c->rank, who),
            still, progress_text(p, text));
    write_place(c, p, text, still);
    wait_for_others(c, place, begin + grace);
    if (!is_judged(c) && !lower_told(c)) {
        collect(c, place);
        place[c->rank] = place[c->rank] ? place[c->rank] : json_pack("{ss}", "text", text); /* a full disk */
        judge(c, place, p->step, still);
    }
    while (!is_judged(c) && clock_seconds() - begin < grace + PATIENCE)
        doze(c);
}
