#include "train/mark.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/file.h"
#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"

enum { LIMIT = 1 << 20 };

/* Read the file; an empty object if there is none. A new reference. */
static json_t *read_state(const char *path)
{
    json_t *state = NULL;
    if (!io_exists(path) || json_read_file(&state, path, LIMIT) != OK || !json_is_object(state)) {
        json_decref(state);
        state = json_object();
    }
    return state;
}

/* Write the file under a name with this process's number first, because others may write at the same moment.
 */
static void write_state(const char *path, const json_t *state)
{
    char *own = mem_format("%s.%ld", path, (long)getpid());
    if (json_write_file(state, own, 1) != OK || io_rename(own, path) != 0)
        io_unlink(own);
    free(own);
}

static void set(const char *path, json_t *state, const char *word, const char *error)
{
    json_object_set_new(state, "state", json_string(word));
    json_object_del(state, "error");
    if (error)
        json_object_set_new(state, "error", json_string(error));
    write_state(path, state);
}

void mark_begin(const char *dir)
{
    char *path = mem_format("%s/status.json", dir);
    json_t *state = read_state(path);
    set(path, state, "starting", NULL);
    json_decref(state);
    free(path);
}

bool mark_end(const char *dir, const char *word, const char *error)
{
    char *path = mem_format("%s/status.json", dir);
    json_t *state = read_state(path);
    const char *is = json_string_value(json_object_get(state, "state"));
    bool open = is && (!strcmp(is, "starting") || !strcmp(is, "running"));
    if (open)
        set(path, state, word, error);
    json_decref(state);
    free(path);
    return open;
}

static void append(const char *dir, const char *name, const char *line)
{
    char *path = mem_format("%s/%s", dir, name);
    (void)!file_append(path, line, NULL); /* there is nobody to tell if it fails */
    free(path);
}

void mark_event(const char *dir, const char *event, long long step, const char *text)
{
    json_t *line = json_pack("{sssIsIss}", "event", event, "step", (json_int_t)step, "time",
                             (json_int_t)time(NULL), "error", text);
    char *json = json_text(line, JSON_COMPACT), *human = mem_format("coppice: %s: %s", event, text);
    append(dir, "events.jsonl", json);
    append(dir, "run.log", human);
    json_decref(line);
    free(human);
    free(json);
}
