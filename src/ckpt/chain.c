#define _GNU_SOURCE
#include "ckpt/chain.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/io.h"
#include "base/mem.h"

enum { CHAIN = 64, TEXT = 4096 };
static const char NAME[] = "run.lock.";

static status cannot_read(const char *path)
{
    return fail(E_SPACE, "%s: cannot be read: %s", path, strerror(errno));
}

void seen_free(struct seen *s)
{
    json_decref(s->owner);
    free(s->path);
    if (s->file >= 0)
        io_close(s->file);
    *s = (struct seen){.file = -1};
}

/* A lock of another user, or something odd, can only be looked at from outside. */
static int open_any(const char *path)
{
    int file = io_open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    return file < 0 && (errno == EACCES || errno == ELOOP || errno == ENXIO)
               ? io_open(path, O_PATH | O_NOFOLLOW, 0)
               : file;
}

/* Opening it anew asks a network file system for what stands there now. */
status chain_look(const char *path, struct seen *s)
{
    char text[TEXT];
    struct stat stat;
    *s = (struct seen){.path = mem_text(path), .file = open_any(path)};
    if (s->file < 0)
        return errno == ENOENT ? OK : cannot_read(path);
    if (fstat(s->file, &stat) != 0)
        return cannot_read(path);
    int64_t n = io_read_all(s->file, text, sizeof text, -1);
    if (n > 0 && json_parse(&s->owner, path, text, n) != OK)
        s->owner = NULL;
    s->inode = stat.st_ino;
    s->touched = (double)stat.st_mtim.tv_sec + 1e-9 * (double)stat.st_mtim.tv_nsec;
    const char *token = owner_token_of(s->owner);
    if (token)
        snprintf(s->token, sizeof s->token, "%s", token);
    else
        snprintf(s->token, sizeof s->token, "%llx-%llx%lx", (unsigned long long)stat.st_ino,
                 (unsigned long long)stat.st_mtim.tv_sec, (unsigned long)stat.st_mtim.tv_nsec);
    return OK;
}

char *chain_follower(const char *run_lock, const char *token)
{
    return mem_format("%s.%s", run_lock, token);
}

status chain_end(const char *run_lock, struct seen *s)
{
    struct seen next = {.file = -1};
    status code = chain_look(run_lock, s);
    for (int i = 0; code == OK && s->file >= 0 && i < CHAIN; i++) {
        char *path = chain_follower(run_lock, s->token);
        code = chain_look(path, &next);
        free(path);
        if (code != OK || next.file < 0)
            break;
        seen_free(s);
        *s = next;
        next = (struct seen){.file = -1};
    }
    seen_free(&next);
    return code;
}

/* run.lock.TOKEN and run.lock.TOKEN.new */
static bool is_ours(const char *name)
{
    size_t head = sizeof NAME - 1;
    if (strncmp(name, NAME, head) != 0)
        return false;
    size_t digits = strspn(name + head, "0123456789abcdef-");
    const char *end = name + head + digits;
    return digits >= TOKEN / 2 && (!*end || !strcmp(end, ".new"));
}

void chain_sweep(const char *dir, int file, double age)
{
    DIR *folder = io_opendir(dir);
    struct stat now, then;
    bool known = fstat(file, &now) == 0;
    for (const struct dirent *e; folder && known && (e = readdir(folder));) {
        if (!is_ours(e->d_name))
            continue;
        char *path = mem_format("%s/%s", dir, e->d_name);
        if (io_lstat(path, &then) == 0 && S_ISREG(then.st_mode) &&
            difftime(now.st_mtim.tv_sec, then.st_mtim.tv_sec) > age)
            io_unlink(path);
        free(path);
    }
    if (folder)
        closedir(folder);
}
