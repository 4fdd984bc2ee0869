/* The arena is a bump allocator with two ends. A region is one block that grows.
 *
 * In the check modes fresh memory is poisoned, and every block lies between two guards: [guard | block |
 * guard] [guard | block | guard] ... Each word of a guard is MAGIC ^ the block's size, so that the blocks of
 * either end can be visited in ascending order. A measuring arena adds up the same sizes as a real one. */
#include "base/mem.h"
#include "device/ops.h"
#include <stdio.h>
#include <string.h>

static const uint64_t MAGIC = 0x5bd1e995c0991ceull;

/* The size of a guard in bytes; the size of a block is a multiple of it. */
static int64_t align(const struct dev *dev)
{
    return dev->ops->align;
}

static int64_t aligned(const struct dev *dev, int64_t bytes)
{
    return mem_add(bytes, align(dev) - 1) / align(dev) * align(dev);
}

/* ---- guards ---- */
static void guard_write(const struct dev *dev, char *at, int64_t block)
{
    for (int64_t i = 0; i < align(dev) / 8; i++)
        ((uint64_t *)(void *)at)[i] = MAGIC ^ (uint64_t)block;
}

/** The size of the block that this guard belongs to, -1 if it was overwritten. */
static int64_t guard_read(const struct dev *dev, const char *at)
{
    const uint64_t *word = (const void *)at;
    for (int64_t i = 1; i < align(dev) / 8; i++)
        if (word[i] != word[0])
            return -1;
    return (int64_t)(word[0] ^ MAGIC);
}

/** Visit the blocks in [from, to) of the arena; false if a guard is damaged. */
static bool guards_intact(const struct arena *a, int64_t from, int64_t to)
{
    int64_t guard = align(a->dev);
    while (from < to) {
        int64_t block = guard_read(a->dev, a->base + from);
        if (block < 0 || block % guard != 0 || block > to - from - 2 * guard)
            return false;
        if (guard_read(a->dev, a->base + from + guard + block) != block)
            return false;
        from += block + 2 * guard;
    }
    return true;
}

static bool region_intact(const struct region *r)
{
    return guard_read(r->dev, r->data) == r->taken &&
           guard_read(r->dev, r->data + align(r->dev) + r->taken) == r->taken;
}

void guards_verify(const struct dev *dev, const char *op)
{
    static const char when[] = "was overwritten, by this op or since the one before it";
    for (int i = 0; i < MAX_ARENAS; i++) {
        const struct arena *a = dev->arenas[i];
        if (a && !(guards_intact(a, 0, a->saved) && guards_intact(a, a->size - a->scratch, a->size)))
            bug("%s: a guard of the arena %s", op, when);
    }
    for (const struct region *r = dev->regions; r; r = r->next)
        if (!region_intact(r))
            bug("%s: a guard of a region %s", op, when);
}

void poison(void *at, int64_t bytes)
{
    uint32_t *word = at;
    for (int64_t i = 0; i < bytes / 4; i++)
        word[i] = 0x7fc07fc0;
}

/** Put a block with its guards into [at, at + bytes), poison it, and return it. */
static char *dress(struct dev *dev, char *at, int64_t bytes)
{
    int64_t guard = align(dev), block = bytes - 2 * guard;
    dev_show(dev);
    guard_write(dev, at, block);
    guard_write(dev, at + guard + block, block);
    poison(at + guard, block);
    dev_hide(dev);
    return at + guard;
}

/* ---- arena ---- */
static int64_t bytes_of(const struct dev *dev, dtype type, int64_t n0, int64_t n1, int64_t n2)
{
    return aligned(dev, mem_mul(mem_mul(mem_mul(n0, n1), n2), dtype_size(type)));
}

/** Take bytes at one end: `used` is &a->saved or &a->scratch. NULL while measuring. */
static char *take(struct arena *a, int64_t *used, int64_t bytes)
{
    if (memory_watched(a->dev))
        bytes = mem_add(bytes, 2 * align(a->dev));
    *used = mem_add(*used, bytes);
    int64_t total = mem_add(a->saved, a->scratch);
    if (total > a->peak) {
        a->peak = total;
        a->peak_saved = a->saved;
    }
    if (!a->base)
        return NULL;
    if (total > a->size)
        bug("arena: %lld bytes saved + %lld scratch do not fit into %lld", (long long)a->saved,
            (long long)a->scratch, (long long)a->size);
    char *at = a->base + (used == &a->saved ? a->saved - bytes : a->size - a->scratch);
    return memory_watched(a->dev) ? dress(a->dev, at, bytes) : at;
}

view arena_save(struct arena *a, dtype type, int64_t n0, int64_t n1, int64_t n2)
{
    return view_of(take(a, &a->saved, bytes_of(a->dev, type, n0, n1, n2)), type, n0, n1, n2);
}

view arena_scratch(struct arena *a, dtype type, int64_t n0, int64_t n1, int64_t n2)
{
    return view_of(take(a, &a->scratch, bytes_of(a->dev, type, n0, n1, n2)), type, n0, n1, n2);
}

view arena_scratch_pitched(struct arena *a, dtype type, int64_t rows, int64_t cols)
{
    return view_cols(arena_scratch(a, type, 1, rows, dev_pitch(a->dev, cols)), 0, cols);
}

int64_t arena_mark(const struct arena *a)
{
    return a->scratch;
}

void arena_release(struct arena *a, int64_t mark)
{
    if (mark < 0 || mark > a->scratch)
        bug("arena_release: mark %lld with %lld bytes of scratch in use", (long long)mark,
            (long long)a->scratch);
    a->scratch = mark;
}

void arena_reset(struct arena *a)
{
    a->saved = 0;
    a->scratch = 0;
}

/** Replace one pointer by another in the device's list of open arenas, which the check modes need. */
static void enlist(struct dev *dev, const struct arena *was, struct arena *now)
{
    for (int i = 0; memory_watched(dev) && i < MAX_ARENAS; i++)
        if (dev->arenas[i] == was) {
            dev->arenas[i] = now;
            return;
        }
}

status arena_open(struct arena *a, struct dev *dev, int64_t bytes)
{
    arena_close(a);
    void *base;
    int64_t size = aligned(dev, bytes > 0 ? bytes : 1);
    TRY(dev_alloc(dev, "the arena", &base, size, FRESH_ANY));
    *a = (struct arena){.dev = dev, .base = base, .size = size};
    enlist(dev, NULL, a);
    return OK;
}

void arena_close(struct arena *a)
{
    if (!a->base)
        return;
    enlist(a->dev, a, NULL);
    dev_free(a->dev, a->base, a->size);
    *a = (struct arena){.dev = a->dev};
}

/* ---- region ---- */
static int64_t guards_of(const struct region *r)
{
    return memory_watched(r->dev) ? 2 * align(r->dev) : 0;
}

/** Free a region's memory. */
static void region_empty(struct region *r)
{
    struct region **link = &r->dev->regions;
    while (*link && *link != r)
        link = &(*link)->next;
    if (*link)
        *link = r->next;
    dev_free(r->dev, r->data, r->bytes + guards_of(r));
    r->data = NULL;
}

static void region_grow(struct region *r, int64_t need)
{
    void *data;
    r->regrown += r->data != NULL;
    region_empty(r);
    r->bytes = need > r->bytes ? need : r->bytes;
    if (dev_alloc(r->dev, "a region for routed rows", &data, r->bytes + guards_of(r), FRESH_ANY) != OK)
        bug("a region for routed rows cannot grow: %s", status_text());
    r->data = data;
    if (guards_of(r) > 0) {
        r->next = r->dev->regions;
        r->dev->regions = r;
    }
}

view region_take(struct region *r, dtype type, int64_t n0, int64_t n1, int64_t n2)
{
    int64_t need = bytes_of(r->dev, type, n0, n1, n2);
    r->taken = need;
    if (dev_is_dry(r->dev)) {
        if (!r->data && need > r->bytes)
            r->bytes = need;
        return view_of(NULL, type, n0, n1, n2);
    }
    if (need > r->bytes || (!r->data && need > 0))
        region_grow(r, need);
    if (r->data && guards_of(r) > 0)
        dress(r->dev, r->data, need + guards_of(r));
    return region_view(r, type, n0, n1, n2);
}

view region_view(const struct region *r, dtype type, int64_t n0, int64_t n1, int64_t n2)
{
    if (bytes_of(r->dev, type, n0, n1, n2) > r->taken)
        bug("region_view: %lld bytes where %lld were taken", (long long)bytes_of(r->dev, type, n0, n1, n2),
            (long long)r->taken);
    return view_of(r->data ? r->data + guards_of(r) / 2 : NULL, type, n0, n1, n2);
}

void region_close(struct region *r)
{
    if (r->data)
        region_empty(r);
    *r = (struct region){.dev = r->dev};
}
