/* Inside of the CUDA device's host side: its state, and the lanes that work runs in. */
#ifndef DEVICE_CUDA_HOST_H
#define DEVICE_CUDA_HOST_H
#include <cublasLt.h>
#include "device/cuda/cuda.h"

enum {
    EXPERT_LANES = 4, /* experts that run side by side */
    LANES = STREAMS + EXPERT_LANES,
    SLOTS = 4, /* pinned memory that copies to and from other memory go through */
    SLOT_BYTES = 4 << 20,
    TICKETS = 256 /* events of a stream; an older ticket waits for the one that took its place */
};

/* A stream of CUDA with what its work needs for itself. The first lanes are the facade's streams. */
struct lane {
    cudaStream_t stream;
    cudaEvent_t event; /* for forks and joins */
    void *workspace;   /* cuBLASLt's; NULL: no products here */
    void *scratch;
    int64_t scratch_bytes;
};

struct cuda {
    int device, count, sms;
    struct lane lane[LANES];
    int expert_lane; /* where work goes now: 0: the facade's stream, else lane STREAMS - 1 + expert_lane */
    cudaEvent_t ticket[STREAMS][TICKETS];
    struct slot {
        void *at;
        cudaEvent_t done; /* what used it last */
    } slot[SLOTS];
    int next_slot;
    cublasLtHandle_t lt;
    int64_t workspace_bytes; /* of each lane */
    struct plan *plans;      /* gemm.c */
};

static inline struct cuda *cuda_of(struct dev *dev)
{
    return (struct cuda *)dev->own;
}

/** The lane that work goes to now. */
struct lane *cuda_lane(struct dev *);
/** Device memory apart from the arena's; a refusal is fatal. It lasts until the device is closed. */
void *cuda_keep(struct dev *, const char *what, int64_t bytes);
/** The host waits for an event; meanwhile the device's watchers look. True if it was not there yet. */
bool cuda_await(struct dev *, cudaEvent_t);
/** bug() with what was tried, if it failed. */
void cuda_must(cudaError_t, const char *what);
#define CUDA(call) cuda_must(call, #call)

/** Opens cuBLASLt; false, and why, if this machine has none. */
bool cuda_lt_load(char why[256]);
void cuda_gemm_open(struct dev *);
void cuda_gemm_close(struct dev *);
void cuda_expert_ffn_fwd(struct dev *, struct arena *, view y, view gu, int64_t experts, const int64_t *offs,
                         view x, view wgu, view wd, view weight, bool acc_y);
void cuda_expert_ffn_bwd(struct dev *, struct arena *, view dx, view dwgu, view dwd, view d_weight,
                         int64_t experts, const int64_t *offs, view dy, view x, view gu, view wgu, view wd,
                         view weight, bool acc);

#endif
