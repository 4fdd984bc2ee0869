/* Checked sizes and host memory. Not collective. All functions abort with a clear message when
 * memory is exhausted: small host allocations that fail leave nothing sensible to do. */
#ifndef BASE_MEM_H
#define BASE_MEM_H
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** a*b and a+b for sizes; overflow or a negative factor is a bug(). */
int64_t mem_mul(int64_t a, int64_t b);
int64_t mem_add(int64_t a, int64_t b);
/** a*b into *out; false on overflow or a negative factor (for numbers that come from files). */
bool mem_mul_fits(int64_t a, int64_t b, int64_t *out);
/** Zeroed memory for n things of `size` bytes; n = 0 gives a pointer that may be freed. */
void *mem_new(int64_t n, size_t size);
/** Grow to n things of `size` bytes (new ones are not zeroed). */
void *mem_grow(void *p, int64_t n, size_t size);
char *mem_text(const char *text); /* copy; NULL stays NULL */
char *mem_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** *text += the formatted text; *text is owned by the caller, may be NULL, and moves. */
void mem_append(char **text, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *mem_format_list(const char *format, va_list args) __attribute__((format(printf, 1, 0)));

/** Large anonymous memory, 2 MiB aligned, with huge pages where the kernel grants them; zero.
 *  NULL when the system refuses. bytes = 0 gives NULL. */
void *mem_map(int64_t bytes);
void mem_unmap(void *p, int64_t bytes);
/** Touch every page once, with all OpenMP threads. */
void mem_touch(void *p, int64_t bytes);
/** Peak resident memory of this process in bytes. */
int64_t mem_peak_rss(void);
/** Resident bytes of this process now; 0 if unknown. */
int64_t mem_rss(void);
/** Memory of the machine that is free for use, in bytes. */
int64_t mem_free_bytes(void);

#endif
