/* Text from files and command lines that is shown: valid UTF-8 without control characters. Pure. */
#ifndef BASE_PRINTABLE_H
#define BASE_PRINTABLE_H
#include <stdbool.h>
#include <stddef.h>

/** Valid UTF-8 without control characters, line breaks and marks: what YAML reads back as it is. */
bool text_clean(const char *text, size_t n);
/** Put ? in the place of every byte that is not, so that a terminal obeys nothing and JSON can hold it; line
 *  breaks and tabs stay. In place; returns text. */
char *text_mask(char *text);

#endif
