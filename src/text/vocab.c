#include "text/vocab.h"

#include <stdlib.h>
#include <xxhash.h>

enum { MOST = 1 << 22 };

static int64_t slot_of(const struct vocab *v, const char *text, int64_t n)
{
    int64_t i = (int64_t)(XXH3_64bits(text, (size_t)n) & (uint64_t)(v->slots - 1));
    for (; v->slot[i] >= 0; i = (i + 1) & (v->slots - 1)) {
        const struct token *t = &v->token[v->slot[i]];
        if (t->n == n && !memcmp(v->text.at + t->at, text, (size_t)n))
            break;
    }
    return i;
}

static void rehash(struct vocab *v, int64_t slots)
{
    free(v->slot);
    v->slots = slots;
    v->slot = mem_new(slots, sizeof *v->slot);
    memset(v->slot, 0xff, (size_t)slots * sizeof *v->slot);
    for (int64_t i = 0; i < v->size; i++)
        if (v->token[i].n >= 0)
            v->slot[slot_of(v, v->text.at + v->token[i].at, v->token[i].n)] = (int32_t)i;
}

static void make_room(struct vocab *v, int64_t id)
{
    if (id >= v->room) {
        int64_t room = 2 * (id + 1);
        v->token = mem_grow(v->token, room, sizeof *v->token);
        for (int64_t i = v->room; i < room; i++)
            v->token[i] = (struct token){.n = -1};
        v->room = room;
    }
    if (2 * (v->used + 1) > v->slots)
        rehash(v, v->slots ? 2 * v->slots : 1024);
}

bool vocab_add(struct vocab *v, const char *text, int64_t n, int64_t id)
{
    if (id < 0 || id >= MOST || n >= MOST)
        return false;
    make_room(v, id);
    int64_t slot = slot_of(v, text, n);
    if (v->token[id].n >= 0 || v->slot[slot] >= 0)
        return false;
    v->token[id] = (struct token){.at = v->text.n, .n = (int32_t)n};
    bytes_add(&v->text, text, n);
    v->slot[slot] = (int32_t)id;
    v->used++;
    v->size = id >= v->size ? id + 1 : v->size;
    return true;
}

int32_t vocab_find(const struct vocab *v, const char *text, int64_t n)
{
    return v->slots ? v->slot[slot_of(v, text, n)] : -1;
}

const char *vocab_text(const struct vocab *v, int64_t id, int64_t *n)
{
    if (id < 0 || id >= v->size || v->token[id].n < 0)
        return NULL;
    *n = v->token[id].n;
    return v->text.at + v->token[id].at;
}

void vocab_free(struct vocab *v)
{
    free(v->token);
    free(v->text.at);
    free(v->slot);
    *v = (struct vocab){0};
}
