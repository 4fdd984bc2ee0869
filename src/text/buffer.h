/* Growing arrays of bytes and of token ids. {0} is an empty one; free(b.at) ends it. Not collective. */
#ifndef TEXT_BUFFER_H
#define TEXT_BUFFER_H
#include <stdint.h>
#include <string.h>
#include "base/mem.h"

struct bytes {
    char *at;
    int64_t n, room;
};

struct ids {
    int32_t *at;
    int64_t n, room;
};

/** Make room for n more bytes, without adding them. */
static inline void bytes_room(struct bytes *b, int64_t n)
{
    if (b->n + n > b->room) {
        b->room = 2 * (b->n + n) + 64;
        b->at = (char *)mem_grow(b->at, b->room, 1);
    }
}

static inline void bytes_add(struct bytes *b, const char *from, int64_t n)
{
    bytes_room(b, n);
    if (n)
        memcpy(b->at + b->n, from, (size_t)n);
    b->n += n;
}

static inline void ids_add(struct ids *x, const int32_t *from, int64_t n)
{
    if (x->n + n > x->room) {
        x->room = 2 * (x->n + n) + 64;
        x->at = (int32_t *)mem_grow(x->at, x->room, sizeof *x->at);
    }
    if (n)
        memcpy(x->at + x->n, from, (size_t)n * sizeof *from);
    x->n += n;
}

#endif
