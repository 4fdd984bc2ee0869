/* Distances between words, to guess which one was meant. Pure. */
#ifndef BASE_NEAR_H
#define BASE_NEAR_H
#include <stdbool.h>

enum { NEAR_LENGTH = 64 }; /* words up to this length are compared */

/** Levenshtein distance of two texts of at most NEAR_LENGTH bytes. */
int near_distance(const char *a, const char *b);
/** The largest distance at which `given` may still be a misspelling of a word. */
int near_limit(const char *given);

#endif
