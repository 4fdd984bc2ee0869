/* The transport over NCCL. A communicator for each group, whose id goes
 * over the host's transport. Work is put on the stream that the device is at, in one order on all ranks;
 * members without bytes take no part in an exchange. Errors that come later are looked for while the host
 * waits. They are fatal (exit code 74), as MPI's are. */
#include <nccl.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/mem.h"
#include "comm/inside.h"

struct nccl_link {
    struct link link;
    struct link *host;
    struct comm *comm;
    struct dev *dev;
    ncclComm_t on;
};

static NORETURN void die(const struct nccl_link *l, const char *what, ncclResult_t r)
{
    fprintf(stderr, "coppice: rank %d: communication failed (NCCL, %s): %s %s\n", comm_rank(l->comm), what,
            ncclGetErrorString(r), l->on ? ncclGetLastError(l->on) : "");
    fflush(NULL);
    if (l->on)
        (void)ncclCommAbort(l->on);
    comm_abort(l->comm, E_COMM);
    _Exit(E_COMM);
}

static void must(const struct nccl_link *l, const char *what, ncclResult_t r)
{
    if (r != ncclSuccess)
        die(l, what, r);
}

/* Called while the host waits for the device. */
static void look(void *with)
{
    const struct nccl_link *l = with;
    ncclResult_t error = ncclSuccess;
    must(l, "asking for errors", ncclCommGetAsyncError(l->on, &error));
    if (error != ncclInProgress)
        must(l, "a collective", error);
}

static void send_to(struct nccl_link *l, const char *data, int64_t bytes, int to)
{
    if (bytes > 0)
        must(l, "send", ncclSend(data, (size_t)bytes, ncclUint8, to, l->on, dev_stream(l->dev)));
}

static void receive_from(struct nccl_link *l, char *data, int64_t bytes, int from)
{
    if (bytes > 0)
        must(l, "receive", ncclRecv(data, (size_t)bytes, ncclUint8, from, l->on, dev_stream(l->dev)));
}

/** Are the spans equal, one after the other? */
static bool even(struct spans s, int size)
{
    for (int r = 1; r < size; r++)
        if (s.n[r] != s.n[0] || s.at[r] != s.at[0] + r * s.n[0])
            return false;
    return s.n[0] > 0;
}

static void all_gather(struct link *link, char *data, struct spans s)
{
    struct nccl_link *l = (struct nccl_link *)link;
    int me = link->rank;

    if (even(s, link->size)) {
        must(l, "all-gather",
             ncclAllGather(data + s.at[me], data + s.at[0], (size_t)s.n[0], ncclUint8, l->on,
                           dev_stream(l->dev)));
        return;
    }
    must(l, "group", ncclGroupStart());
    for (int i = 1; i < link->size; i++) {
        int from = (me + link->size - i) % link->size, to = (me + i) % link->size;
        receive_from(l, data + s.at[from], s.n[from], from);
        send_to(l, data + s.at[me], s.n[me], to);
    }
    must(l, "gather", ncclGroupEnd());
}

static void exchange(struct link *link, char *out, struct spans recv, const char *in, struct spans send)
{
    struct nccl_link *l = (struct nccl_link *)link;

    must(l, "group", ncclGroupStart());
    for (int i = 1; i < link->size; i++) {
        int from = (link->rank + link->size - i) % link->size, to = (link->rank + i) % link->size;
        receive_from(l, out + recv.at[from], recv.n[from], from);
        send_to(l, in + send.at[to], send.n[to], to);
    }
    must(l, "exchange", ncclGroupEnd());
}

static void close_link(struct link *link)
{
    struct nccl_link *l = (struct nccl_link *)link;

    dev_sync(l->dev);
    dev_unwatch(l->dev, l);
    must(l, "end", ncclCommDestroy(l->on));
    l->host->ops->close(l->host);
    free(l);
}

/** The first member's id for all. Collective over the group. */
static ncclUniqueId share_id(struct nccl_link *l)
{
    int size = l->link.size;
    int64_t bytes = (int64_t)sizeof(ncclUniqueId);
    ncclUniqueId *all = mem_new(size, sizeof *all), first;
    struct spans spans = spans_new(size);

    if (l->link.rank == 0)
        must(l, "id", ncclGetUniqueId(&all[0]));
    spans_of_rows(&spans, size, NULL, bytes);
    l->host->ops->all_gather(l->host, (char *)all, spans);
    first = all[0];
    spans_free(&spans);
    free(all);
    return first;
}

/* ---- sums in NCCL's own order, which its algorithm and topology decide ---- */

static ncclDataType_t type_of(dtype type)
{
    return type == F32 ? ncclFloat32 : type == F64 ? ncclFloat64 : type == I32 ? ncclInt32 : ncclBfloat16;
}

static void reduce_scatter(struct link *link, void *out, const void *in, int64_t n, dtype type)
{
    struct nccl_link *l = (struct nccl_link *)link;
    if (n > 0)
        must(l, "reduce-scatter",
             ncclReduceScatter(in, out, (size_t)n, type_of(type), ncclSum, l->on, dev_stream(l->dev)));
}

static void all_reduce(struct link *link, void *x, int64_t n, dtype type)
{
    struct nccl_link *l = (struct nccl_link *)link;
    must(l, "all-reduce", ncclAllReduce(x, x, (size_t)n, type_of(type), ncclSum, l->on, dev_stream(l->dev)));
}

struct link *link_nccl(struct comm *comm, struct dev *dev, struct link *host)
{
    static const struct link_ops in_order = {all_gather, exchange, close_link, NULL, NULL},
                                 any_order = {all_gather, exchange, close_link, reduce_scatter, all_reduce};
    struct nccl_link *l = mem_new(1, sizeof *l);

    *l = (struct nccl_link){.link = {dev_any_order(dev) ? &any_order : &in_order, host->rank, host->size},
                            .host = host,
                            .comm = comm,
                            .dev = dev};
    ncclUniqueId id = share_id(l);
    must(l, "start", ncclCommInitRank(&l->on, host->size, id, host->rank));
    dev_watch(dev, look, l);
    return &l->link;
}
