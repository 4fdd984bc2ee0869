#include "ckpt/notes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include "base/file.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "ckpt/step_dir.h"

enum { LIMIT = 16 << 20 };

static char *inside(const char *run_dir, const char *name)
{
    return mem_format("%s/ckpt/%s", run_dir, name);
}

/* *text: of the file, NULL if there is none. */
static status load(const char *path, char **text)
{
    int64_t size;
    struct stat about;
    *text = NULL;
    if (io_stat(path, &about) != 0 && io_absent(errno))
        return OK;
    if (file_load(path, LIMIT, text, &size) == OK)
        return OK;
    *text = NULL;
    return fail(E_IO, "%s", status_text());
}

/* Half a line of a crash says nothing. */
static void take_lines(struct notes *n, const char *path, char *text)
{
    json_t *line;
    n->lines = json_array();
    for (char *at = strtok(text, "\n"); at; at = strtok(NULL, "\n"))
        if (json_parse(&line, path, at, (int64_t)strlen(at)) == OK)
            json_array_append_new(n->lines, line);
}

status notes_read(struct notes *n, const char *run_dir)
{
    char *run = inside(run_dir, "run"), *damaged = inside(run_dir, "damaged.jsonl"), *text = NULL;
    *n = (struct notes){0};
    status s = load(run, &n->run);
    if (s == OK && n->run)
        n->run[strcspn(n->run, "\n")] = '\0';
    if (s == OK)
        s = load(damaged, &text);
    if (text)
        take_lines(n, damaged, text);
    free(text);
    free(run);
    free(damaged);
    return s;
}

void notes_free(struct notes *n)
{
    free(n->run);
    json_decref(n->lines);
    *n = (struct notes){0};
}

/* What tells a checkpoint from itself after a change: 16 hexadecimal digits. */
static void identity(const struct ckpt_index *x, const char *dir, char out[17])
{
    uint64_t sum = x->digest;
    for (int i = 0; i < x->n_files; i++) {
        struct stat about = {0};
        char *path = mem_format("%s/%s", dir, x->file[i]);
        if (io_stat(path, &about) != 0)
            about = (struct stat){0};
        const int64_t tells[3] = {about.st_size, about.st_mtim.tv_sec, about.st_mtim.tv_nsec};
        sum = XXH3_64bits_withSeed(tells, sizeof tells, sum);
        free(path);
    }
    snprintf(out, 17, "%016" PRIx64, sum);
}

status notes_check(const struct notes *n, const struct ckpt_index *x, const char *dir)
{
    char is[17];
    if (n->run && *n->run && *x->state.run && strcmp(n->run, x->state.run) != 0)
        return fail(E_NOCKPT, "%s: is of another run (%.8s) than this folder (%.8s)", dir, x->state.run,
                    n->run);
    identity(x, dir, is);
    for (size_t i = 0; i < json_array_size(n->lines); i++) {
        const json_t *line = json_array_get(n->lines, i);
        const char *was = json_string_value(json_object_get(line, "identity"));
        const char *why = json_string_value(json_object_get(line, "why"));
        if (was && !strcmp(was, is))
            return fail(E_NOCKPT, "%s: noted as damaged in damaged.jsonl: %s", dir, why ? why : "?");
    }
    return OK;
}

status notes_begin(const char *run_dir, const char *run)
{
    char *path = inside(run_dir, "run");
    struct file_draft draft;
    struct stat about;
    status s = OK;
    if (*run && io_stat(path, &about) != 0 && io_absent(errno)) {
        char *line = mem_format("%s\n", run);
        s = file_begin(&draft, path);
        if (s == OK) {
            s = file_write(&draft, 0, (int64_t)strlen(line), line);
            if (s == OK)
                s = file_publish(&draft);
            else
                file_abandon(&draft);
        }
        free(line);
    }
    free(path);
    return s;
}

status notes_add(const char *dir, const char *why)
{
    struct ckpt_index x;
    char is[17];
    if (ckpt_index_read(&x, dir) != OK)
        return OK; /* found again by the first look */
    identity(&x, dir, is);
    char *path = mem_format("%s/../damaged.jsonl", dir);
    json_t *line = json_pack("{sIssss}", "step", (json_int_t)x.state.step, "identity", is, "why", why);
    char *text = json_text(line, JSON_COMPACT);
    status s = file_append(path, text, NULL);
    json_decref(line);
    free(text);
    free(path);
    ckpt_index_free(&x);
    return s;
}

void ckpt_note_damaged(struct comm *c, const char *dir)
{
    if (comm_rank(c) != 0)
        return;
    char *why = mem_text(status_text());
    log_warn("checkpoint not usable, noted in ckpt/damaged.jsonl: %s", why);
    if (notes_add(dir, why) != OK)
        log_warn("%s", status_text());
    free(why);
}
