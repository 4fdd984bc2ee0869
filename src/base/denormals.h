/* How this thread treats denormal floats. Computing threads flush them to zero, because attention's backward
 * is six times slower with them. Reading weights keeps them, by the exact rules of IEEE 754. */
#ifndef BASE_DENORMALS_H
#define BASE_DENORMALS_H
#include <stdint.h>
#ifdef __SSE2__
#    include <immintrin.h>
enum { DENORMALS_FLUSHED = 0x8040 }; /* FTZ and DAZ */
#else
enum { DENORMALS_FLUSHED = 1 << 24 }; /* aarch64: FZ */
#endif

static inline uint64_t denormals_control(void)
{
#if defined(__SSE2__)
    return _mm_getcsr();
#elif defined(__aarch64__)
    uint64_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    return fpcr;
#else
    return 0;
#endif
}

static inline void denormals_set_control(uint64_t control)
{
#if defined(__SSE2__)
    _mm_setcsr((unsigned)control);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(control));
#else
    (void)control;
#endif
}

/** Flush or keep denormals in this thread. Returns the state before, for denormals_set_control. */
static inline uint64_t denormals_flush(void)
{
    uint64_t before = denormals_control();
    denormals_set_control(before | DENORMALS_FLUSHED);
    return before;
}

static inline uint64_t denormals_keep(void)
{
    uint64_t before = denormals_control();
    denormals_set_control(before & ~(uint64_t)DENORMALS_FLUSHED);
    return before;
}

#endif
