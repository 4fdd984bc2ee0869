/* Checked sizes and host memory. Not collective. If a small allocation fails, nothing sensible is left to do,
 * so the functions end the process with a message. mem_map alone returns NULL. */
#ifndef BASE_MEM_H
#define BASE_MEM_H
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** a*b and a+b for sizes. A negative number or an overflow is a bug(). */
int64_t mem_mul(int64_t a, int64_t b);
int64_t mem_add(int64_t a, int64_t b);
/** *out = a*b for numbers from files; false on overflow or a negative factor. */
bool mem_mul_fits(int64_t a, int64_t b, int64_t *out);
/** Zeroed memory for n elements of `size` bytes. n = 0 gives a pointer that may be freed. */
void *mem_new(int64_t n, size_t size);
/** Grow to n elements of `size` bytes. New ones are not zeroed. */
void *mem_grow(void *p, int64_t n, size_t size);
char *mem_text(const char *text); /* copy; NULL stays NULL */
char *mem_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** Append the formatted text to *text, which may be NULL and may move. Caller frees. */
void mem_append(char **text, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *mem_format_list(const char *format, va_list args) __attribute__((format(printf, 1, 0)));

/** Large zeroed memory, aligned to 2 MiB, in huge pages where the kernel grants them. NULL if the system
 * refuses, or if bytes = 0. */
void *mem_map(int64_t bytes);
void mem_unmap(void *p, int64_t bytes);
/** Touch every page with all OpenMP threads, so that the system maps it now. */
void mem_touch(void *p, int64_t bytes);
/** Peak resident memory of this process in bytes. */
int64_t mem_peak_rss(void);
/** Resident bytes of this process now; 0 if unknown. */
int64_t mem_rss(void);
/** Bytes of memory that are free on this machine and within the limits of its control groups. */
int64_t mem_free_bytes(void);

#endif
