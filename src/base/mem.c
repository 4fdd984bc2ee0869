#define _GNU_SOURCE /* vasprintf */
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#include "base/cgroup.h"
#include "base/status.h"

#define HUGE_PAGE ((int64_t)2 << 20)
#define PAGE 4096

bool mem_mul_fits(int64_t a, int64_t b, int64_t *out)
{
    return a >= 0 && b >= 0 && !__builtin_mul_overflow(a, b, out);
}

int64_t mem_mul(int64_t a, int64_t b)
{
    int64_t product;
    if (!mem_mul_fits(a, b, &product))
        bug("size %lld * %lld is negative or overflows", (long long)a, (long long)b);
    return product;
}

int64_t mem_add(int64_t a, int64_t b)
{
    int64_t sum;
    if (a < 0 || b < 0 || __builtin_add_overflow(a, b, &sum))
        bug("size %lld + %lld is negative or overflows", (long long)a, (long long)b);
    return sum;
}

static void *must_have(void *p, int64_t bytes)
{
    if (!p) {
        fprintf(stderr, "coppice: out of memory: cannot allocate %lld bytes on this host\n",
                (long long)bytes);
        _exit(E_RESOURCE);
    }
    return p;
}

void *mem_new(int64_t n, size_t size)
{
    int64_t bytes = mem_mul(n, (int64_t)size);
    return must_have(calloc(1, bytes ? (size_t)bytes : 1), bytes);
}

void *mem_grow(void *p, int64_t n, size_t size)
{
    int64_t bytes = mem_mul(n, (int64_t)size);
    return must_have(realloc(p, bytes ? (size_t)bytes : 1), bytes);
}

char *mem_text(const char *text)
{
    return text ? must_have(strdup(text), (int64_t)strlen(text) + 1) : NULL;
}

char *mem_format_list(const char *format, va_list args)
{
    char *text;
    int n = vasprintf(&text, format, args);
    return must_have(n < 0 ? NULL : text, n);
}

char *mem_format(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = mem_format_list(format, args);
    va_end(args);
    return text;
}

void mem_append(char **text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *more = mem_format_list(format, args);
    va_end(args);
    size_t old = *text ? strlen(*text) : 0, added = strlen(more) + 1;
    *text = mem_grow(*text, (int64_t)(old + added), 1);
    memcpy(*text + old, more, added);
    free(more);
}

static int64_t whole_pages(int64_t bytes)
{
    return mem_add(bytes, PAGE - 1) / PAGE * PAGE;
}

/* Map one huge page more than asked for, then unmap what lies before and behind the aligned part. The end is
 * not rounded up to a huge page: with the many buffers of a step that would cost a hundred MB. */
void *mem_map(int64_t bytes)
{
    int64_t size = whole_pages(bytes);
    if (size == 0)
        return NULL;
    char *base = mmap(NULL, (size_t)mem_add(size, HUGE_PAGE), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED)
        return NULL;
    int64_t before = (HUGE_PAGE - (int64_t)((uintptr_t)base % (uintptr_t)HUGE_PAGE)) % HUGE_PAGE;
    if (before > 0)
        munmap(base, (size_t)before);
    munmap(base + before + size, (size_t)(HUGE_PAGE - before));
    madvise(base + before, (size_t)size, MADV_HUGEPAGE);
    return base + before;
}

void mem_unmap(void *p, int64_t bytes)
{
    if (p && munmap(p, (size_t)whole_pages(bytes)) != 0)
        bug("mem_unmap: %p was not mapped with %lld bytes", p, (long long)bytes);
}

void mem_touch(void *p, int64_t bytes)
{
    volatile char *at = p;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < bytes; i += PAGE)
        at[i] = at[i];
}

int64_t mem_peak_rss(void)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (int64_t)use.ru_maxrss * 1024;
}

int64_t mem_rss(void)
{
    int64_t kib = kernel_number("/proc/self/status", "VmRSS:");
    return kib < 0 ? 0 : kib * 1024;
}

int64_t mem_free_bytes(void)
{
    int64_t kib = kernel_number("/proc/meminfo", "MemAvailable:");
    int64_t host = kib < 0 ? 0 : kib * 1024, job = cgroup_free_bytes(&cgroup_files);
    return job >= 0 && job < host ? job : host;
}
