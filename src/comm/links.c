/* What carries device memory between the ranks of a group: the host's own transport if it can touch that
 * memory, NCCL if every rank has a device to itself, else staging through pinned memory. Compiled a second
 * time for the program that runs CUDA on the CPU (validation/cuda-on-cpu). */
#ifdef HAVE_CONFIG_H
#    include "config.h"
#endif
#include "comm/inside.h"
#if defined HAVE_NCCL || defined CUDA_ON_CPU
#    define WITH_NCCL 1
#else
#    define WITH_NCCL 0
#endif

#if !WITH_NCCL
const char *comm_nccl_library(void)
{
    return NULL;
}
#endif

static bool shares_device(const struct comm *comm, const struct dev *dev)
{
    return comm_node_size(comm) > dev_count(dev);
}

status links_choose(struct comm *comm, struct dev *dev, enum carrier *carrier)
{
    enum dev_transport wanted = dev_transport(dev);
    int64_t shared = !dev_can_show(dev) && shares_device(comm, dev);
    comm_max_i64(comm, &shared, 1);
    *carrier = dev_can_show(dev) ? BY_HOST : WITH_NCCL && !shared ? BY_NCCL : BY_STAGING;
    if (wanted == TRANSPORT_MPI && *carrier == BY_NCCL)
        *carrier = BY_STAGING;
    if (wanted != TRANSPORT_NCCL || *carrier == BY_NCCL || comm_size(comm) == 1)
        return OK;
    return fail(E_DECK, "device.transport: nccl, but %s; use auto or mpi",
                dev_can_show(dev) ? "device.type is cpu"
                : !WITH_NCCL      ? "this program was built without NCCL"
                                  : "NCCL wants a GPU for each rank, and a node has more ranks than GPUs");
}

struct link *link_device(struct comm *comm, struct dev *dev, struct link *host, enum carrier carrier)
{
    (void)comm; /* of NCCL alone */
    switch (carrier) {
#if WITH_NCCL
    case BY_NCCL: return link_nccl(comm, dev, host);
#endif
    case BY_STAGING: return link_staged(dev, host);
    default: return host;
    }
}
