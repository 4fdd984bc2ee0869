/* ThreadSanitizer as a detector of races of CUDA: every CUDA thread, every stream and the host are threads of
 * it, ordered by barriers, events and synchronisation alone. In a program without it nothing happens here.
 * The files of the emulation themselves are compiled without it. */
#ifndef CUDA_ON_CPU_RACE_H
#define CUDA_ON_CPU_RACE_H

extern "C" {
void *__tsan_create_fiber(unsigned) __attribute__((weak));
void __tsan_destroy_fiber(void *) __attribute__((weak));
void *__tsan_get_current_fiber() __attribute__((weak));
void __tsan_switch_to_fiber(void *, unsigned) __attribute__((weak));
void __tsan_acquire(void *) __attribute__((weak));
void __tsan_release(void *) __attribute__((weak));
void AnnotateIgnoreReadsBegin(const char *, int) __attribute__((weak));
void AnnotateIgnoreReadsEnd(const char *, int) __attribute__((weak));
void AnnotateIgnoreWritesBegin(const char *, int) __attribute__((weak));
void AnnotateIgnoreWritesEnd(const char *, int) __attribute__((weak));
}

namespace race
{
inline bool watched()
{
    return __tsan_create_fiber != nullptr;
}
/** What was done before the release of a token comes before what is done after its acquisition. */
inline void release(void *token)
{
    if (watched())
        __tsan_release(token);
}
inline void acquire(void *token)
{
    if (watched())
        __tsan_acquire(token);
}
inline void *new_context()
{
    return watched() ? __tsan_create_fiber(0) : nullptr;
}
inline void *my_context()
{
    return watched() ? __tsan_get_current_fiber() : nullptr;
}
inline void become(void *context)
{
    if (watched())
        __tsan_switch_to_fiber(context, 1 /* no order by it */);
}
/* While one lives: what the emulation itself touches is nobody's race. */
struct quiet {
    quiet()
    {
        if (watched())
            AnnotateIgnoreReadsBegin("", 0), AnnotateIgnoreWritesBegin("", 0);
    }
    ~quiet()
    {
        if (watched())
            AnnotateIgnoreReadsEnd("", 0), AnnotateIgnoreWritesEnd("", 0);
    }
};
} // namespace race
#endif
