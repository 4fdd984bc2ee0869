#include "base/once.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

struct left {
    char *name, *bytes;
    int64_t n;
};

static struct {
    bool on;
    struct left *left;
    int64_t n, packed; /* of these, how many were packed */
} memory;

void once_on(void)
{
    memory.on = true;
}

void once_off(void)
{
    memory.on = false;
}

void once_forget(void)
{
    for (int64_t i = 0; i < memory.n; i++) {
        free(memory.left[i].name);
        free(memory.left[i].bytes);
    }
    free(memory.left);
    memory.left = NULL;
    memory.n = memory.packed = 0;
    memory.on = false;
}

static const struct left *find(const char *name)
{
    for (int64_t i = 0; i < memory.n; i++)
        if (!strcmp(memory.left[i].name, name))
            return &memory.left[i];
    return NULL;
}

static char *copy_of(const char *bytes, int64_t n)
{
    char *copy = mem_new(n + 1, 1);
    memcpy(copy, n > 0 ? bytes : "", (size_t)n);
    return copy;
}

static void leave(const char *name, const char *bytes, int64_t n)
{
    if (find(name))
        return;
    memory.left = mem_grow(memory.left, memory.n + 1, sizeof *memory.left);
    memory.left[memory.n++] = (struct left){mem_text(name), copy_of(bytes, n), n};
}

bool once_get(const char *name, int64_t limit, char **bytes, int64_t *n)
{
    const struct left *left = memory.on ? find(name) : NULL;
    if (!left || left->n > limit)
        return false;
    *bytes = copy_of(left->bytes, left->n);
    *n = left->n;
    return true;
}

void once_put(const char *name, const char *bytes, int64_t n)
{
    if (memory.on)
        leave(name, bytes, n);
}

/* ---- blocks: for each entry the lengths of its name, with the NUL, and of its bytes; the name; the bytes
 * ---- */

enum { LENGTHS = 2 * sizeof(int64_t) };

char *once_pack(int64_t *n)
{
    int64_t total = 0;
    for (int64_t i = memory.packed; i < memory.n; i++)
        total += LENGTHS + (int64_t)strlen(memory.left[i].name) + 1 + memory.left[i].n;
    char *block = mem_new(total, 1), *at = block;
    for (; memory.packed < memory.n; memory.packed++) {
        const struct left *left = &memory.left[memory.packed];
        const int64_t length[2] = {(int64_t)strlen(left->name) + 1, left->n};
        memcpy(at, length, LENGTHS);
        memcpy(at + LENGTHS, left->name, (size_t)length[0]);
        memcpy(at + LENGTHS + length[0], left->bytes, (size_t)length[1]);
        at += LENGTHS + length[0] + length[1];
    }
    *n = total;
    return block;
}

void once_unpack(const char *block, int64_t n)
{
    for (const char *at = block; at < block + n;) {
        int64_t length[2];
        memcpy(length, at, LENGTHS);
        at += LENGTHS;
        leave(at, at + length[0], length[1]);
        at += length[0] + length[1];
    }
}
