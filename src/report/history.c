#include "report/history.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/file.h"
#include "base/io.h"
#include "base/mem.h"
#include "report/loads.h"

static const char *const column_name[COL_PHASE] = {
    [COL_STEP] = "step",
    [COL_LEG] = "leg",
    [COL_TOKENS] = "tokens",
    [COL_LOSS] = "loss",
    [COL_AUX] = "aux_loss",
    [COL_Z] = "z_loss",
    [COL_MAX_Z] = "max_z_loss",
    [COL_NORM] = "grad_norm",
    [COL_RATE] = "lr",
    [COL_SPEED] = "tokens_per_s",
    [COL_STEP_MS] = "step_ms",
    [COL_TFLOPS] = "model_tflops",
    [COL_MFU] = "mfu",
    [COL_DROPPED] = "dropped_fraction",
    [COL_LOAD] = "load_max_over_mean",
    [COL_WORST] = "load_worst",
    [COL_TIME] = "time",
};

double json_number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

const char *json_word(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* ---- metrics.jsonl ---- */

/* A later leg, or a rewind, did these steps again: what came of them the first time is no part of the run. */
static void go_back(struct history *h, double step)
{
    int64_t before = h->n;
    while (h->n > 0 && h->column[COL_STEP][h->n - 1] >= step)
        h->n--;
    h->repeated += before - h->n;
    int kept = 0;
    for (int i = 0; i < h->n_valid; i++)
        if (h->valid[i].step < step)
            h->valid[kept++] = h->valid[i];
        else
            free(h->valid[i].set);
    h->n_valid = kept;
    for (size_t i = json_array_size(h->scores); i-- > 0;)
        if (json_number(json_array_get(h->scores, i), "step") >= step)
            json_array_remove(h->scores, i);
}

static void grow(struct history *h)
{
    bool power = (h->n & (h->n - 1)) == 0; /* also 0 */
    for (int c = 0; c < COLUMNS && power && (h->n == 0 || h->n >= 64); c++)
        h->column[c] = mem_grow(h->column[c], h->n ? 2 * h->n : 64, sizeof(double));
}

static void take_step(struct history *h, const json_t *line)
{
    const json_t *phases = json_object_get(line, "phase_ms");
    double step = json_number(line, "step");
    if (h->n > 0 && step <= h->column[COL_STEP][h->n - 1])
        go_back(h, step);
    grow(h);
    for (int c = 0; c < COL_PHASE; c++)
        h->column[c][h->n] = json_number(line, column_name[c]);
    for (int p = 0; p < PHASES; p++)
        h->column[COL_PHASE + p][h->n] = json_number(phases, phase_name[p]);
    double flops = 1e12 * h->column[COL_TFLOPS][h->n] / h->column[COL_SPEED][h->n];
    if (isfinite(flops) && flops > 0)
        h->flops_per_token = flops;
    h->n++;
}

static void add_validation(struct history *h, const json_t *line, const char *set, const char *key)
{
    h->valid = mem_grow(h->valid, h->n_valid + 1, sizeof *h->valid);
    h->valid[h->n_valid++] = (struct validation){set ? mem_text(set) : NULL, json_number(line, "step"),
                                                 json_number(line, "tokens"), json_number(line, key)};
}

static void take_bad(struct history *h, const json_t *line)
{
    h->bad = mem_grow(h->bad, h->n_bad + 1, sizeof *h->bad);
    h->bad[h->n_bad++] = (struct bad_step){
        json_number(line, "tokens"),
        mem_format("bad step %.0f: %s", json_number(line, "step"), json_word(line, "follows"))};
}

static void take_metrics(void *context, json_t *line, const char *where)
{
    struct history *h = context;
    double step = json_number(line, "step"), tokens = json_number(line, "tokens");
    if (!(step >= 0 && step < 1e15 && tokens >= 0 && tokens < 1e18))
        complain(&h->complaints, "%s: it has no step and tokens", where);
    else if (json_is_true(json_object_get(line, "bad")))
        take_bad(h, line);
    else if (json_is_string(json_object_get(line, "task")))
        json_array_append(h->scores, line);
    else if (json_object_get(line, "set")) {
        add_validation(h, line, json_word(line, "set"), "set_loss");
        if (json_object_get(line, "valid_loss"))
            add_validation(h, line, NULL, "valid_loss");
    } else if (json_object_get(line, "loss"))
        take_step(h, line);
}

/* ---- the other files ---- */

static void take_event(void *context, json_t *line, const char *where)
{
    (void)where;
    json_array_append(((struct history *)context)->events, line);
}

/* An object in a file of its own; NULL if there is none. */
static json_t *object_of(struct history *h, const char *name)
{
    enum { LARGEST = 64 << 20 };
    char *path = mem_format("%s/%s", h->dir, name);
    json_t *value = NULL;
    bool there = io_exists(path);
    if (there && json_read_file(&value, path, LARGEST) != OK)
        complain(&h->complaints, "%s", status_text());
    else if (there && !json_is_object(value)) {
        complain(&h->complaints, "%s: it is no JSON object", path);
        json_decref(value);
        value = NULL;
    }
    free(path);
    return value;
}

static void read_settings(struct history *h)
{
    enum { LARGEST = 4 << 20 };
    char *path = mem_format("%s/resolved.yaml", h->dir), *text;
    int64_t size;
    if (io_exists(path) && file_load(path, LARGEST, &text, &size) != OK)
        complain(&h->complaints, "%s", status_text());
    else if (io_exists(path)) {
        settings_parse(&h->settings, text);
        free(text);
    }
    free(path);
}

static void read_lines(struct history *h, const char *name, void (*take)(void *, json_t *, const char *))
{
    char *path = mem_format("%s/%s", h->dir, name);
    jsonl_read(path, &h->complaints, take, h);
    free(path);
}

/* A folder without the files that a run begins with is none. */
static status check_folder(const char *dir)
{
    static const char *const first[] = {"resolved.yaml", "status.json", "metrics.jsonl", "run.log"};
    struct stat about;
    bool run = false;
    if (io_stat(dir, &about) != 0)
        return fail(E_DATA, "%s: there is no such run folder", dir);
    for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
        char *path = mem_format("%s/%s", dir, first[i]);
        run |= io_exists(path);
        free(path);
    }
    if (!run)
        return fail(E_DATA,
                    "%s: it is no run folder: it has no resolved.yaml, status.json, metrics.jsonl or run.log",
                    dir);
    return OK;
}

/* The folder's path without slashes at its end. */
static char *clean_path(const char *dir)
{
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/')
        n--;
    return mem_format("%.*s", (int)n, dir);
}

status history_open(struct history *h, const char *dir)
{
    *h = (struct history){.dir = clean_path(dir),
                          .flops_per_token = (double)NAN,
                          .events = json_array(),
                          .scores = json_array()};
    const char *slash = strrchr(h->dir, '/');
    h->name = mem_text(slash && slash[1] ? slash + 1 : h->dir);
    TRY(check_folder(h->dir));
    read_lines(h, "metrics.jsonl", take_metrics);
    read_lines(h, "events.jsonl", take_event);
    read_lines(h, "experts.jsonl", loads_take);
    h->status = object_of(h, "status.json");
    h->plan = object_of(h, "plan.json");
    h->profile = object_of(h, "profile.json");
    h->certificate = object_of(h, "certificate.json");
    read_settings(h);
    return OK;
}

void history_close(struct history *h)
{
    for (int c = 0; c < COLUMNS; c++)
        free(h->column[c]);
    for (int i = 0; i < h->n_valid; i++)
        free(h->valid[i].set);
    for (int i = 0; i < h->n_bad; i++)
        free(h->bad[i].text);
    free(h->valid);
    free(h->bad);
    loads_free(&h->loads);
    json_decref(h->events);
    json_decref(h->scores);
    json_decref(h->status);
    json_decref(h->plan);
    json_decref(h->profile);
    json_decref(h->certificate);
    settings_free(&h->settings);
    free(h->complaints.text);
    free(h->dir);
    free(h->name);
}
