/* Text from files and command lines that is to be printed. Pure. */
#ifndef BASE_PRINTABLE_H
#define BASE_PRINTABLE_H
#include <stdbool.h>
#include <stddef.h>

/** Is the text valid UTF-8 without control characters, line breaks and marks, so that YAML reads it back
 * unchanged?
 */
bool text_clean(const char *text, size_t n);
/** Replace every byte that is not clean by '?', so that the text cannot control a terminal and JSON can hold
 * it. Line breaks and tabs stay. In place; returns text. */
char *text_mask(char *text);

#endif
