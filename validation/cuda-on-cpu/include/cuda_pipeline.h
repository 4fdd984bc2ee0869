/* cp.async on the CPU. The copy is made at the wait, not at the call: reading too early reads poison. */
#ifndef CUDA_ON_CPU_PIPELINE_H
#define CUDA_ON_CPU_PIPELINE_H
#include "cuda_runtime.h"

namespace on_cpu
{
void async_copy(void *to, const void *from, size_t bytes, size_t zeros);
void async_commit();
/** Moves all but the `keep` groups that were committed last. To be inlined: the copies are the caller's
 * accesses for a race detector. */
struct copy {
    void *to;
    const void *from;
    size_t bytes, zeros;
};
bool async_next(int keep, copy *);
} // namespace on_cpu

static inline void __pipeline_memcpy_async(void *to, const void *from, size_t bytes, size_t zeros = 0)
{
    on_cpu::async_copy(to, from, bytes, zeros);
}
static inline void __pipeline_commit()
{
    on_cpu::async_commit();
}
static inline void __pipeline_wait_prior(int keep)
{
    on_cpu::copy c;
    while (on_cpu::async_next(keep, &c)) {
        memcpy(c.to, c.from, c.bytes - c.zeros);
        memset((char *)c.to + c.bytes - c.zeros, 0, c.zeros);
    }
}
#endif
