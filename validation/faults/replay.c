/* What a crash of the machine leaves: replays the trace of shim.c (with FILES_DATA=1) and looks at the run
 * folder after each call that changes what a crash would leave. A file then has what it had when it was last
 * synced. Names are looked at in two ways.
 *   early: they are as they are now, as if each rename, creation and removal reached the disk at once;
 *   late:  a folder has the names that it had when it was last synced.
 * Whatever is left, the newest checkpoint must be whole, and not older than the newest whose name was synced.
 *   replay TRACE RUN SCRATCH [--no-syncs]
 * RUN is its path at that time, SCRATCH a folder to build in. With --no-syncs files are taken as never
 * synced, which must be noticed. Prints "N states, N bad; newest step N"; exit code 1 if there are bad ones.
 */
#define _GNU_SOURCE
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/log.h"
#include "base/mem.h"
#include "ckpt/ckpt.h"
#include "ckpt/step_dir.h"

enum { EARLY, LATE, VIEWS };

struct entry {
    char *name;
    struct node *node;
};
struct list {
    int n;
    struct entry *entry;
};
struct bytes {
    int64_t n;
    char *at;
};
struct node {                 /* a file or a folder; never freed */
    struct list names[VIEWS]; /* of a folder: as they are, as they were when it was last synced */
    struct bytes now, disk;   /* of a file */
    bool folder;
};

static struct node root = {.folder = true};
static struct {
    unsigned long inode;
    struct node *node;
} bound[1 << 16];
static int n_bound;
static bool no_syncs;

/* ---- the file system ---- */

static struct entry *find(struct list *l, const char *name, size_t length)
{
    for (int i = 0; i < l->n; i++)
        if (strlen(l->entry[i].name) == length && !memcmp(l->entry[i].name, name, length))
            return &l->entry[i];
    return NULL;
}

static void set(struct list *l, const char *name, struct node *node)
{
    struct entry *e = find(l, name, strlen(name));
    if (!e) {
        l->entry = mem_grow(l->entry, l->n + 1, sizeof *l->entry);
        e = &l->entry[l->n++];
        e->name = mem_text(name);
    }
    e->node = node;
}

static void drop(struct list *l, const char *name)
{
    struct entry *e = find(l, name, strlen(name));
    if (!e)
        return;
    free(e->name);
    *e = l->entry[--l->n];
}

static void copy_names(struct list *to, const struct list *from)
{
    for (int i = 0; i < to->n; i++)
        free(to->entry[i].name);
    to->n = 0;
    for (int i = 0; i < from->n; i++)
        set(to, from->entry[i].name, from->entry[i].node);
}

static struct node *new_node(bool folder)
{
    struct node *node = mem_new(1, sizeof *node);
    node->folder = folder;
    return node;
}

/* The folder of a path, and the path's last name. Folders that the trace did not make were there before. */
static struct node *folder_of(const char *path, const char **last)
{
    struct node *at = &root;
    for (;;) {
        path += strspn(path, "/");
        size_t n = strcspn(path, "/");
        *last = path;
        if (path[n] == '\0')
            return at;
        struct entry *e = find(&at->names[EARLY], path, n);
        if (!e) {
            char *name = mem_format("%.*s", (int)n, path);
            struct node *old = new_node(true);
            set(&at->names[EARLY], name, old);
            set(&at->names[LATE], name, old);
            free(name);
            e = find(&at->names[EARLY], path, n);
        }
        at = e->node;
        path += n;
    }
}

static struct node *node_at(const char *path)
{
    const char *name;
    struct node *folder = folder_of(path, &name);
    struct entry *e = find(&folder->names[EARLY], name, strlen(name));
    return e ? e->node : NULL;
}

static void put_at(const char *path, struct node *node)
{
    const char *name;
    struct node *folder = folder_of(path, &name);
    if (node)
        set(&folder->names[EARLY], name, node);
    else
        drop(&folder->names[EARLY], name);
}

static void bind_inode(unsigned long inode, struct node *node)
{
    if (n_bound == sizeof bound / sizeof *bound)
        exit(2);
    bound[n_bound].inode = inode;
    bound[n_bound++].node = node;
}

static struct node *of_inode(unsigned long inode)
{
    for (int i = n_bound - 1; i >= 0; i--)
        if (bound[i].inode == inode)
            return bound[i].node;
    fprintf(stderr, "replay: inode %lu is not known\n", inode);
    exit(2);
}

static void resize(struct bytes *b, int64_t n)
{
    b->at = mem_grow(b->at, n + 1, 1);
    if (n > b->n)
        memset(b->at + b->n, 0, (size_t)(n - b->n));
    b->n = n;
}

static void opened(unsigned long inode, int new, const char *path)
{
    struct node *node = new == 1 ? NULL : node_at(path);
    if (!node) {
        node = new_node(false); /* one that was there before has no bytes here: nobody asks for them */
        put_at(path, node);
    }
    if (new == 2)
        node->now.n = 0;
    bind_inode(inode, node);
}

static void synced(struct node *node)
{
    if (node->folder) {
        copy_names(&node->names[LATE], &node->names[EARLY]);
    } else if (!no_syncs) {
        resize(&node->disk, node->now.n);
        memcpy(node->disk.at, node->now.at ? node->now.at : "", (size_t)node->now.n);
    }
}

/* ---- what a crash leaves, as a folder ---- */

static int remove_one(const char *path, const struct stat *about, int flag, struct FTW *ftw)
{
    (void)about, (void)flag, (void)ftw;
    return remove(path);
}

static void build(const struct node *node, int which, const char *path)
{
    if (!node->folder) {
        FILE *f = fopen(path, "wb");
        if (!f ||
            fwrite(node->disk.at ? node->disk.at : "", 1, (size_t)node->disk.n, f) != (size_t)node->disk.n ||
            fclose(f))
            exit(2);
        return;
    }
    if (mkdir(path, 0777))
        exit(2);
    for (int i = 0; i < node->names[which].n; i++) {
        char *below = mem_format("%s/%s", path, node->names[which].entry[i].name);
        build(node->names[which].entry[i].node, which, below);
        free(below);
    }
}

static struct node *look(const char *path, int which)
{
    struct node *at = &root;
    while (at && *(path += strspn(path, "/"))) {
        size_t n = strcspn(path, "/");
        struct entry *e = find(&at->names[which], path, n);
        at = e ? e->node : NULL;
        path += n;
    }
    return at;
}

/* The highest step that has a name; -1: none. */
static int64_t highest(const char *run)
{
    int64_t *step, most = -1;
    int n;
    if (step_dir_list(run, "", &step, &n) != OK)
        return -1;
    for (int i = 0; i < n; i++)
        most = step[i] > most ? step[i] : most;
    free(step);
    return most;
}

/* Is the newest checkpoint whole, and of the step `least` at least? */
static bool is_good(const char *run, int64_t least)
{
    struct ckpt_index x;
    char *path;
    if (ckpt_newest(run, &path) != OK)
        return false;
    if (!path)
        return least < 0 && highest(run) < 0;
    bool good = ckpt_index_read(&x, path) == OK;
    if (good) {
        good = ckpt_verify(&x, path, 1) == OK && x.state.step >= least && x.state.step == highest(run);
        ckpt_index_free(&x);
    }
    free(path);
    return good;
}

static bool check(const char *run, const char *scratch, int which, int64_t least)
{
    nftw(scratch, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    const struct node *left = look(run, which);
    if (left)
        build(left, which, scratch);
    return left ? is_good(scratch, least) : least < 0;
}

/* ---- the trace ---- */

static const char *run, *scratch;
static int64_t named = -1, safe = -1; /* the newest step that has its name, and whose name is on the disk */
static long states, bad;

static void take_name(const char *path)
{
    char *prefix = mem_format("%s/ckpt/step_", run), *end;
    if (!strncmp(path, prefix, strlen(prefix))) {
        int64_t step = strtoll(path + strlen(prefix), &end, 10);
        if (*end == '\0' && step > named)
            named = step;
    }
    free(prefix);
}

static void read_data(FILE *trace, struct node *node, int64_t at, int64_t n)
{
    if (at + n > node->now.n)
        resize(&node->now, at + n);
    if (fread(node->now.at + at, 1, (size_t)n, trace) != (size_t)n)
        exit(2);
}

/* What a line changes: a set of views. */
static int apply(FILE *trace, const char *line)
{
    unsigned long inode = 0;
    long long at = 0, n = 0;
    int new = 0;
    char a[4096] = "", b[4096] = "";
    switch (line[0]) {
    case 'O':
        sscanf(line, "O %lu %d %4095[^\n]", &inode, &new, a);
        opened(inode, new, a);
        return new ? 1 << EARLY : 0;
    case 'M':
        sscanf(line, "M %lu %4095[^\n]", &inode, a);
        bind_inode(inode, new_node(true));
        put_at(a, of_inode(inode));
        return 1 << EARLY;
    case 'W':
        sscanf(line, "W %lu %lld %lld", &inode, &at, &n);
        read_data(trace, of_inode(inode), at, n);
        return 0;
    case 'T':
        sscanf(line, "T %lu %lld", &inode, &n);
        resize(&of_inode(inode)->now, n);
        return 0;
    case 'S':
        sscanf(line, "S %lu", &inode);
        synced(of_inode(inode));
        return 1 << EARLY | 1 << LATE;
    case 'N':
    case 'X':
    case 'L': {
        sscanf(line + 2, "%4095s %4095s", a, b);
        struct node *from = node_at(a), *to = node_at(b);
        put_at(b, from);
        if (line[0] != 'L')
            put_at(a, line[0] == 'X' ? to : NULL);
        take_name(b);
        return 1 << EARLY;
    }
    case 'U':
        sscanf(line, "U %4095[^\n]", a);
        put_at(a, NULL);
        return 1 << EARLY;
    default: return 0;
    }
}

int main(int argc, char **argv)
{
    char *line = NULL;
    size_t room = 0;
    FILE *trace = argc > 3 ? fopen(argv[1], "rb") : NULL;
    if (!trace)
        return 2;
    run = argv[2];
    scratch = argv[3];
    no_syncs = argc > 4 && !strcmp(argv[4], "--no-syncs");
    log_open(false, false);
    char *ckpt = mem_format("%s/ckpt", run);
    while (getline(&line, &room, trace) > 0) {
        unsigned long inode;
        int views = apply(trace, line);
        if (sscanf(line, "S %lu", &inode) == 1 && of_inode(inode) == node_at(ckpt))
            safe = named;
        for (int v = 0; v < VIEWS; v++) {
            if (!(views & 1 << v))
                continue;
            bool good = check(run, scratch, v, safe);
            states++;
            bad += !good;
            if (!good && bad <= 3)
                printf("# %s names, after: %s# newest on the disk: step %lld; %s\n",
                       v == EARLY ? "early" : "late", line, (long long)safe, status_text());
        }
    }
    printf("%ld states, %ld bad; newest step %lld\n", states, bad, (long long)safe);
    return bad > 0 || safe < 0;
}
