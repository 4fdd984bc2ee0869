/* What carries device memory between the ranks of a group: the host's own transport if it can touch that
 * memory, NCCL if every rank has a device to itself, else staging through pinned memory. Compiled a second
 * time for the program that runs CUDA on the CPU (validation/cuda-on-cpu). */
#ifdef HAVE_CONFIG_H
#    include "config.h"
#endif
#include <stdio.h>
#include <stdlib.h>
#include "base/log.h"
#include "comm/inside.h"
#if defined HAVE_NCCL || defined CUDA_ON_CPU
#    define WITH_NCCL 1
#else
#    define WITH_NCCL 0
#endif

#if !WITH_NCCL
const char *comm_nccl_library(void)
{
    return "no NCCL";
}

bool nccl_load(char why[256])
{
    snprintf(why, 256, "this program was built without NCCL");
    return false;
}
#endif

/* What stands against NCCL; the worst of a rank counts for all. */
enum obstacle { NOTHING, NO_LIBRARY, SHARED_DEVICE, HOST_DEVICE };

static enum obstacle obstacle_here(const struct comm *comm, const struct dev *dev, char why[256])
{
    if (dev_can_show(dev))
        return HOST_DEVICE;
    if (comm_node_size(comm) > dev_count(dev) && !getenv("NCCL_HOSTID")) /* NCCL then sees more nodes */
        return SHARED_DEVICE;
    return nccl_load(why) ? NOTHING : NO_LIBRARY;
}

status links_choose(struct comm *comm, struct dev *dev, enum carrier *carrier)
{
    char why[256] = "a node has none";
    const char *const told[] = {[NO_LIBRARY] = why,
                                [SHARED_DEVICE] =
                                    "NCCL wants a GPU for each rank, and a node has more ranks than GPUs",
                                [HOST_DEVICE] = "device.type is cpu"};
    enum dev_transport wanted = dev_transport(dev);
    int64_t against = obstacle_here(comm, dev, why);
    comm_max_i64(comm, &against, 1);
    *carrier = against == HOST_DEVICE                          ? BY_HOST
               : against == NOTHING && wanted != TRANSPORT_MPI ? BY_NCCL
                                                               : BY_STAGING;
    if (comm_size(comm) == 1 || *carrier == BY_NCCL)
        return OK;
    if (wanted == TRANSPORT_NCCL)
        return fail(E_DECK, "device.transport: nccl, but %s; use auto or mpi", told[against]);
    if (wanted == TRANSPORT_AUTO && against == NO_LIBRARY)
        log_warn("ranks exchange through the host's memory, which is slow: no NCCL: %s", why);
    return OK;
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
