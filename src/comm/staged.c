/* Device memory over the host's transport, through pinned memory: down, over, up. The host waits for the way
 * down alone; the stream at work waits for the way up. */
#include <stdlib.h>
#include "base/mem.h"
#include "comm/inside.h"

struct staging { /* pinned, as long as the longest buffer so far */
    char *at;
    int64_t bytes;
    ticket used; /* the copy that used it last */
};
struct staged_link {
    struct link link;
    struct link *host;
    struct dev *dev;
    struct staging in, out;
};

static int64_t end_of(struct spans s, int size)
{
    int64_t end = 0;
    for (int r = 0; r < size; r++)
        end = s.n[r] > 0 && s.at[r] + s.n[r] > end ? s.at[r] + s.n[r] : end;
    return end;
}

/** Room for the spans, which nothing uses any more. */
static void prepare(struct staged_link *l, struct staging *room, struct spans spans)
{
    int64_t bytes = end_of(spans, l->link.size);
    dev_wait_host(l->dev, room->used);
    if (bytes <= room->bytes)
        return;
    if (room->at)
        dev_host_free(l->dev, room->at);
    room->at = dev_host_alloc(l->dev, bytes);
    room->bytes = bytes;
}

/* Bytes as BF16: every type is a multiple of that. */
static view bytes_at(const char *data, int64_t at, int64_t n)
{
    return view_of(group_at(data, at), BF16, 1, 1, n / dtype_size(BF16));
}

/** Members whose span moves: all but this rank, or this rank alone. */
static bool moves(const struct staged_link *l, struct spans spans, int r, bool own)
{
    return spans.n[r] > 0 && (r == l->link.rank) == own;
}

static void down(struct staged_link *l, struct staging *to, const char *from, struct spans spans, bool own)
{
    prepare(l, to, spans);
    dev_wait(l->dev, COPIES, dev_mark(l->dev, dev_at(l->dev)));
    for (int r = 0; r < l->link.size; r++)
        if (moves(l, spans, r, own))
            to->used =
                dev_download_async(l->dev, to->at + spans.at[r], bytes_at(from, spans.at[r], spans.n[r]));
    dev_wait_host(l->dev, to->used);
}

static void up(struct staged_link *l, char *to, struct staging *from, struct spans spans)
{
    dev_wait(l->dev, COPIES, dev_mark(l->dev, dev_at(l->dev)));
    for (int r = 0; r < l->link.size; r++)
        if (moves(l, spans, r, false))
            from->used =
                dev_upload_async(l->dev, bytes_at(to, spans.at[r], spans.n[r]), from->at + spans.at[r]);
    dev_wait(l->dev, dev_at(l->dev), from->used);
}

static void all_gather(struct link *link, char *data, struct spans spans)
{
    struct staged_link *l = (struct staged_link *)link;
    down(l, &l->out, data, spans, true);
    l->host->ops->all_gather(l->host, l->out.at, spans);
    up(l, data, &l->out, spans);
}

static void exchange(struct link *link, char *out, struct spans recv, const char *in, struct spans send)
{
    struct staged_link *l = (struct staged_link *)link;
    down(l, &l->in, in, send, false);
    prepare(l, &l->out, recv);
    l->host->ops->exchange(l->host, l->out.at, recv, l->in.at, send);
    up(l, out, &l->out, recv);
}

static void close_link(struct link *link)
{
    struct staged_link *l = (struct staged_link *)link;
    dev_sync(l->dev);
    if (l->in.at)
        dev_host_free(l->dev, l->in.at);
    if (l->out.at)
        dev_host_free(l->dev, l->out.at);
    l->host->ops->close(l->host);
    free(l);
}

struct link *link_staged(struct dev *dev, struct link *host)
{
    static const struct link_ops ops = {all_gather, exchange, close_link, NULL, NULL};
    struct staged_link *l = mem_new(1, sizeof *l);

    *l = (struct staged_link){.link = {&ops, host->rank, host->size}, .host = host, .dev = dev};
    return &l->link;
}
