/* Messages for people. Results go to stdout (line-buffered), warnings and errors to stderr.
 * Only rank 0 speaks: log_open(false) silences a process. Warnings are counted and kept for the
 * summary. Not collective. */
#ifndef BASE_LOG_H
#define BASE_LOG_H
#include <stdbool.h>
#include <stdint.h>
#include "base/status.h"

void log_open(bool speaks, bool quiet);
/** Everything said is written to this file too (appended); NULL stops that. */
status log_file(const char *path) MUST_USE;
/** Lines of stdout, wrapped at 120 columns. */
void log_say(const char *format, ...) PRINTF(1, 2);
void log_warn(const char *format, ...)
    PRINTF(1, 2);                 /* "warning   ..." on stderr, one line; the same text once */
void log_error(const char *text); /* "coppice: ..." on stderr, even if quiet */
int log_warnings(void);           /* how many so far */
const char *log_warning(int i);   /* text of the i-th */
bool log_speaks(void);
/** "1.14 M", "4,096", "82 MB", "1:25": numbers as people read them; each returns `out`. */
char *text_count(char out[32], double n);                 /* 3 significant digits with k, M, G, T */
char *text_grouped(char out[32], int64_t n);              /* thousands separated by commas */
char *text_n(char out[48], int64_t n, const char *thing); /* "1 step", "4,096 steps" */
char *text_bytes(char out[32], double bytes);             /* decimal units: kB, MB, GB */
char *text_time(char out[32], double seconds);            /* 0.02 s, 46 s, 1:25, 3:04:05 */
#endif
