/* Megatron's .bin and .idx, written document by document. */
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "format/tokens.h"
#include "format/tokens_idx.h"

_Static_assert(sizeof(struct idx_header) == 34, "the header of an .idx file has 34 bytes");

enum { BUFFER = 1 << 16 };

struct tokens_draft {
    struct file_draft bin;
    char *idx;
    int type, size;              /* bytes a token */
    int64_t documents, room, at; /* at: bytes written to .bin */
    int32_t *length;
    int held; /* bytes in the buffer */
    char buffer[BUFFER];
};

static void end(struct tokens_draft *d)
{
    free(d->idx);
    free(d->length);
    free(d);
}

status tokens_begin(struct tokens_draft **out, const char *prefix, int type)
{
    struct tokens_draft *d = mem_new(1, sizeof *d);
    if (type != U8 && type != U16 && type != I32)
        bug("tokens are written as u8, u16 or i32, not type %d", type);
    d->type = type;
    d->size = type == U8 ? 1 : type == U16 ? 2 : 4;
    char *base = tokens_prefix(prefix), *bin = mem_format("%s.bin", base);
    d->idx = mem_format("%s.idx", base);
    status s = file_begin(&d->bin, bin);
    free(base);
    free(bin);
    if (s == OK)
        *out = d;
    else
        end(d);
    return s;
}

static status flush(struct tokens_draft *d)
{
    TRY(file_write(&d->bin, d->at, d->held, d->buffer));
    d->at += d->held;
    d->held = 0;
    return OK;
}

static void put(struct tokens_draft *d, int32_t id)
{
    uint32_t most = d->type == U8 ? UINT8_MAX : d->type == U16 ? UINT16_MAX : INT32_MAX;
    if ((uint32_t)id > most)
        bug("token %d does not fit into %d bytes", id, d->size);
    memcpy(d->buffer + d->held, &id, (size_t)d->size); /* little-endian */
    d->held += d->size;
}

status tokens_add(struct tokens_draft *d, const int32_t *ids, int64_t n)
{
    if (n > INT32_MAX)
        return fail(E_DATA, "%s: a document of %lld tokens is longer than the format can say; cut it",
                    d->bin.path, (long long)n);
    if (d->documents == d->room) {
        d->room = 2 * d->room + 256;
        d->length = mem_grow(d->length, d->room, sizeof *d->length);
    }
    d->length[d->documents++] = (int32_t)n;
    for (int64_t i = 0; i < n; i++) {
        if (d->held + d->size > BUFFER)
            TRY(flush(d));
        put(d, ids[i]);
    }
    return OK;
}

static status write_idx(const struct tokens_draft *d, const struct file_draft *f)
{
    struct idx_header h = {.version = 1,
                           .type = (uint8_t)d->type,
                           .sequences = (uint64_t)d->documents,
                           .documents = (uint64_t)d->documents + 1};
    memcpy(h.magic, idx_magic, sizeof idx_magic);
    int64_t bytes = mem_add(sizeof h, mem_mul(20, d->documents) + 8), at = 0;
    char *image = mem_new(bytes, 1);
    char *length = image + sizeof h, *pointer = length + 4 * d->documents,
         *document = pointer + 8 * d->documents;
    memcpy(image, &h, sizeof h);
    for (int64_t i = 0; i < d->documents; i++) {
        int64_t next = i + 1;
        memcpy(length + 4 * i, &d->length[i], 4);
        memcpy(pointer + 8 * i, &at, 8);
        memcpy(document + 8 * next, &next, 8); /* document 0 begins with sequence 0 */
        at += (int64_t)d->length[i] * d->size;
    }
    status s = file_write(f, 0, bytes, image);
    free(image);
    return s;
}

static status publish_idx(const struct tokens_draft *d)
{
    struct file_draft f;
    TRY(file_begin(&f, d->idx));
    status s = write_idx(d, &f);
    if (s == OK)
        return file_publish(&f);
    file_abandon(&f);
    return s;
}

status tokens_finish(struct tokens_draft *d)
{
    status s = flush(d);
    if (s == OK)
        s = file_publish(&d->bin);
    else
        file_abandon(&d->bin);
    if (s == OK)
        s = publish_idx(d);
    end(d);
    return s;
}

void tokens_abandon(struct tokens_draft *d)
{
    file_abandon(&d->bin);
    end(d);
}

status tokens_write(const char *prefix, int type, const int32_t *ids, const int64_t *lengths,
                    int64_t documents)
{
    struct tokens_draft *d;
    status s = OK;
    TRY(tokens_begin(&d, prefix, type));
    for (int64_t i = 0; i < documents && s == OK; ids += lengths[i++])
        s = tokens_add(d, ids, lengths[i]);
    if (s == OK)
        return tokens_finish(d);
    tokens_abandon(d);
    return s;
}
