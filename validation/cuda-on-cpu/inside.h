/* What the files of the emulation share. One host thread; nothing here is collective. */
#ifndef CUDA_ON_CPU_INSIDE_H
#define CUDA_ON_CPU_INSIDE_H
#include "include/cuda_runtime.h"
#include <vector>

namespace on_cpu
{
/* Bytes of shared memory that a block may have: without asking, and by cudaFuncSetAttribute (sm_80's). */
enum { STATIC_MOST = 48 << 10, DYNAMIC_MOST = 163 << 10 };
enum { PAGE = 4096 };

bool lazy();
/** 0: ascending, 1: descending, else the seed of a shuffle. */
unsigned order();
/** n things in the order that was asked for. */
std::vector<int> order_of(int n);

/* ---- memory.cc ---- */
/* While one lives, device memory can be touched. They nest. */
struct device_open {
    device_open();
    ~device_open();
};
cudaError_t allocate(void **out, size_t bytes, bool pinned);
/** Ends the program if p is not the beginning of an allocation, or somebody wrote behind one. */
void give_back(void *p);
bool is_device(const void *p);
bool is_pinned(const void *p);
size_t device_bytes();

/* ---- streams.cc ---- */
/** Work for a stream, which runs with device memory open. For library stand-ins, too. */
void enqueue(cudaStream_t, work, const char *name);
/** Do all that was queued; the host learns nothing by it. */
void run_now(cudaStream_t);
/** The host waits for a stream, or for all. */
void drain(cudaStream_t);
void drain_all();

/* ---- block.cc ---- */
void count(long *launches, long *switches);
/** " [kernel ..., block ..., thread ...]" of the thread that runs, or "". */
void tell_thread(char *out, size_t room);
} // namespace on_cpu
#endif
