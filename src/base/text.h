/* Numbers as people read them. Pure. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H
#include <stdint.h>

/** "1.14 M", "4,096", "82 MB", "1:25": numbers as people read them; each returns `out`. */
char *text_count(char out[32], double n);                 /* 3 significant digits with k, M, G, T */
char *text_grouped(char out[32], int64_t n);              /* thousands separated by commas */
char *text_n(char out[48], int64_t n, const char *thing); /* "1 step", "4,096 steps" */
char *text_bytes(char out[32], double bytes);             /* decimal units: kB, MB, GB */
char *text_time(char out[32], double seconds);            /* 0.02 s, 46 s, 1:25, 3:04:05 */

#endif
