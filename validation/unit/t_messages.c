/* The number and length of the messages that a rank sends for a sum over 1,024 ranks, counted by a link that
 * moves nothing. t_group checks the sum itself. */
#include "base/mem.h"
#include "comm/group.h"
#include "comm/ops.h"
#include "tap.h"

enum { RANKS = 1024, A = 32, B = 32 };

static struct counts {
    int64_t calls, messages, bytes, longest, shortest;
} counted;

static void count(struct link *link, char *out, struct spans recv, const char *in, struct spans send)
{
    (void)out, (void)recv, (void)in;
    counted.calls++;
    for (int r = 0; r < link->size; r++)
        if (r != link->rank && send.n[r] > 0) {
            counted.messages++;
            counted.bytes += send.n[r];
            counted.longest = send.n[r] > counted.longest ? send.n[r] : counted.longest;
            counted.shortest =
                counted.shortest == 0 || send.n[r] < counted.shortest ? send.n[r] : counted.shortest;
        }
}

static void gather_nothing(struct link *link, char *data, struct spans spans)
{
    (void)link, (void)data, (void)spans;
}

static void close_nothing(struct link *link)
{
    (void)link;
}

static void reduce_nothing(struct comm *comm, int64_t *x, int n, enum reduction how)
{
    (void)comm, (void)x, (void)n, (void)how;
}

static struct link *null_link(struct comm *comm, int colour, int key, int size, const char *name)
{
    static const struct link_ops ops = {gather_nothing, count, close_nothing};
    static struct link link = {&ops, 0, RANKS};
    (void)comm, (void)colour, (void)key, (void)size, (void)name;
    return &link;
}

/* One bucket of 100 MB summed over all ranks. */
static struct counts sum(struct group *g, void *memory, int64_t part)
{
    view all = view_of(memory, F32, 1, RANKS, part);
    counted = (struct counts){0};
    group_reduce_scatter(g, COMPUTE, view_rows(all, 0, 1), all);
    return counted;
}

int main(void)
{
    static const struct comm_ops ops = {.link = null_link, .reduce = reduce_nothing};
    struct comm comm = {.ops = &ops, .world = null_link(NULL, 0, 0, RANKS, NULL)};
    struct layout_needs needs = {.heads = 1, .kv_heads = 1, .experts = 0};
    struct layout layout;
    struct group *group[GROUPS];
    struct dev *dev;
    void *memory;
    int64_t part = 25600; /* floats: 100 KiB */
    char *wrong = layout_make(&layout, RANKS, 1, 1, 1, &needs);
    if (wrong || dev_open(&dev, "cpu", 0, &(struct dev_options){.threads = 1}) != OK ||
        dev_alloc(dev, "a bucket", &memory, RANKS * part * 4, FRESH_ZERO) != OK ||
        groups_open(group, &comm, dev, &layout) != OK)
        return 99;
    struct counts blocks = sum(group[G_WORLD], memory, part);
    group_set_block(group[G_WORLD], 1);
    struct counts straight = sum(group[G_WORLD], memory, part);
    int64_t rounds = (part * 4 + 32767) / 32768;
    ok(blocks.messages == rounds * (A - 1 + B - 1),
       "100 MB over %d ranks in blocks: %lld messages (straight: %lld)", RANKS, (long long)blocks.messages,
       (long long)straight.messages);
    ok(blocks.longest >= 256 << 10, "messages within a block are up to %lld KiB long (straight: %lld)",
       (long long)blocks.longest >> 10, (long long)straight.longest >> 10);
    ok(blocks.bytes < straight.bytes * 21 / 20 + blocks.bytes / A,
       "and carry %.1f MB in all (straight: %.1f)", (double)blocks.bytes * 1e-6,
       (double)straight.bytes * 1e-6);
    dev_free(dev, memory, RANKS * part * 4);
    return tap_done();
}
