#include "report/bundle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/file.h"
#include "base/io.h"
#include "base/log.h"
#include "config.h"
#ifdef HAVE_ZLIB
#    include <zlib.h>
#endif

/* ---- tar ---- */

enum { SECTOR = 512, NAME = 100, PREFIX = 155 };

/* Octal digits and a NUL, as the format wants them. */
static void put_octal(char *field, size_t width, unsigned long long value)
{
    char digits[32];
    snprintf(digits, sizeof digits, "%0*llo", (int)width - 1, value);
    memcpy(field, digits, width);
}

/* A long name is cut at a slash, its folders are the prefix; a longer one keeps its end. */
static void put_name(char *header, const char *name)
{
    size_t n = strlen(name);
    const char *cut = NULL;
    for (const char *c = name; *c; c++)
        if (*c == '/' && c > name && c - name <= PREFIX && n - (size_t)(c - name) - 1 <= NAME && !cut)
            cut = c;
    if (n <= NAME) {
        memcpy(header, name, n);
    } else if (cut) {
        memcpy(header, cut + 1, strlen(cut + 1));
        memcpy(header + 345, name, (size_t)(cut - name));
    } else {
        memcpy(header, name + n - NAME, NAME);
    }
}

void tar_add(struct bytes *tar, const char *name, const char *from, int64_t n)
{
    static const char zero[SECTOR];
    char header[SECTOR] = {0};
    unsigned sum = 0;
    put_name(header, name);
    put_octal(header + 100, 8, 0644);
    put_octal(header + 108, 8, 0);
    put_octal(header + 116, 8, 0);
    put_octal(header + 124, 12, (unsigned long long)n);
    put_octal(header + 136, 12, (unsigned long long)time(NULL));
    memset(header + 148, ' ', 8); /* the sum counts its own field as blanks */
    header[156] = '0';
    memcpy(header + 257,
           "ustar\0"
           "00",
           8);
    for (int i = 0; i < SECTOR; i++)
        sum += (unsigned char)header[i];
    put_octal(header + 148, 7, sum);
    bytes_add(tar, header, SECTOR);
    bytes_add(tar, from, n);
    bytes_add(tar, zero, (SECTOR - n % SECTOR) % SECTOR);
}

void tar_end(struct bytes *tar)
{
    static const char zero[2 * SECTOR];
    bytes_add(tar, zero, sizeof zero);
}

/* ---- what goes in ---- */

/* The end of a file, from a line's begin on, if it has more than `most` bytes. False: it cannot be read. */
static bool load_end(const char *path, int64_t most, char **text, int64_t *n)
{
    int fd;
    int64_t size, from;
    if (!io_exists(path) || file_open(&fd, &size, path) != OK)
        return false;
    from = size > most ? size - most : 0;
    *n = size - from;
    *text = mem_new(*n + 1, 1);
    bool good = file_read(fd, path, from, *n, *text) == OK;
    io_close(fd);
    char *newline = from ? memchr(*text, '\n', (size_t)*n) : NULL;
    if (newline) {
        *n -= newline + 1 - *text;
        memmove(*text, newline + 1, (size_t)*n);
    }
    if (!good)
        free(*text);
    return good;
}

static void add_file(struct bytes *tar, const char *path, const char *name, int64_t most)
{
    char *text;
    int64_t n;
    if (!load_end(path, most, &text, &n)) {
        if (io_exists(path))
            log_warn("%s; it is not in the bundle", status_text());
        return;
    }
    tar_add(tar, name, text, n);
    free(text);
}

static void add_run_file(struct bytes *tar, const struct history *h, const char *folder, const char *file,
                         int64_t most)
{
    char *path = mem_format("%s/%s", h->dir, file), *name = mem_format("%s/%s", folder, file);
    add_file(tar, path, name, most);
    free(path);
    free(name);
}

/* What each rank said of a hang. */
static void add_hang(struct bytes *tar, const struct history *h, const char *folder)
{
    enum { MOST_FILES = 64, MOST = 1 << 20 };
    char *dir = mem_format("%s/hang", h->dir);
    struct dirent **entry;
    int n = io_exists(dir) ? io_scandir(dir, &entry, NULL) : -1;
    for (int i = 0; i < n; i++) {
        char *file = mem_format("hang/%s", entry[i]->d_name);
        if (i < MOST_FILES && entry[i]->d_name[0] != '.')
            add_run_file(tar, h, folder, file, MOST);
        free(file);
        free(entry[i]);
    }
    if (n >= 0)
        free(entry);
    free(dir);
}

static bool is_deck(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot && (!strcmp(dot, ".yaml") || !strcmp(dot, ".yml"));
}

/* The decks that the settings came from, as far as they are still there under that name. */
static void add_decks(struct bytes *tar, const struct history *h, const char *folder)
{
    enum { MOST_DECKS = 16, MOST = 1 << 20 };
    char *done[MOST_DECKS];
    int n = 0;
    for (int i = 0; i < h->settings.n && n < MOST_DECKS; i++) {
        char *path = mem_text(h->settings.setting[i].origin), *colon;
        for (int times = 0; times < 2 && (colon = strrchr(path, ':')); times++)
            *colon = '\0';
        bool fresh = is_deck(path);
        for (int k = 0; k < n && fresh; k++)
            fresh = strcmp(done[k], path) != 0;
        if (!fresh) {
            free(path);
            continue;
        }
        const char *slash = strrchr(path, '/');
        char *name = mem_format("%s/decks/%d-%s", folder, n + 1, slash ? slash + 1 : path);
        add_file(tar, path, name, MOST);
        free(name);
        done[n++] = path;
    }
    for (int k = 0; k < n; k++)
        free(done[k]);
}

static void add_run(struct bytes *tar, const struct history *h)
{
    static const struct {
        const char *name;
        int64_t most; /* bytes, of its end */
    } file[] = {
        {"resolved.yaml", 4 << 20},      {"run.log", 1 << 20},      {"status.json", 1 << 20},
        {"metrics.jsonl", 16 << 20},     {"events.jsonl", 4 << 20}, {"experts.jsonl", 4 << 20},
        {"plan.json", 1 << 20},          {"profile.json", 4 << 20}, {"certificate.json", 4 << 20},
        {"ckpt/damaged.jsonl", 1 << 20},
    };
    char *folder = mem_format("run-%d", h->colour + 1);
    for (size_t i = 0; i < sizeof file / sizeof *file; i++)
        add_run_file(tar, h, folder, file[i].name, file[i].most);
    add_hang(tar, h, folder);
    add_decks(tar, h, folder);
    free(folder);
}

/* ---- the file ---- */

static bool ends_in(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n > m && !strcmp(text + n - m, end);
}

static bool is_packed(const char *path)
{
    return ends_in(path, ".tar.gz") || ends_in(path, ".tgz");
}

status bundle_name(const char *path)
{
    if (!is_packed(path) && !ends_in(path, ".tar"))
        return fail(E_DECK, "--bundle: %s does not end in .tar.gz, .tgz or .tar", path);
#ifndef HAVE_ZLIB
    if (is_packed(path))
        return fail(E_RESOURCE,
                    "--bundle: this program was built without zlib; name a file that ends in .tar");
#endif
    return OK;
}

/* Pack the bytes as gzip. */
#ifdef HAVE_ZLIB
static status pack(struct bytes *b)
{
    z_stream z = {0};
    struct bytes packed = {0};
    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return fail(E_RESOURCE, "no memory to pack the bundle");
    bytes_room(&packed, (int64_t)deflateBound(&z, (uLong)b->n));
    z.next_in = (Bytef *)b->at;
    z.avail_in = (uInt)b->n;
    z.next_out = (Bytef *)packed.at;
    z.avail_out = (uInt)packed.room;
    int end = deflate(&z, Z_FINISH);
    packed.n = (int64_t)z.total_out;
    deflateEnd(&z);
    if (end != Z_STREAM_END)
        bug("deflate ended with %d", end);
    free(b->at);
    *b = packed;
    return OK;
}
#else
static status pack(struct bytes *b)
{
    (void)b;
    return OK;
}
#endif

static status write_bytes(const char *path, const struct bytes *b)
{
    struct file_draft f;
    TRY(file_begin(&f, path));
    status code = file_write(&f, 0, b->n, b->at);
    if (code == OK)
        return file_publish(&f);
    file_abandon(&f);
    return code;
}

status bundle_write(const char *path, const struct page *p, const char *html, const char *environment)
{
    struct bytes tar = {0};
    tar_add(&tar, "report.html", html, (int64_t)strlen(html));
    tar_add(&tar, "environment.json", environment, (int64_t)strlen(environment));
    for (int i = 0; i < p->n; i++)
        add_run(&tar, &p->run[i]);
    tar_end(&tar);
    status code = is_packed(path) ? pack(&tar) : OK;
    if (code == OK)
        code = write_bytes(path, &tar);
    free(tar.at);
    return code;
}
