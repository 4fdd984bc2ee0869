/* Shared libraries that few machines have: they are opened when the program runs. */
#ifndef BASE_LIBRARY_H
#define BASE_LIBRARY_H
#include <stdbool.h>

/** Open `file` for good, and put its functions name[0], name[1], ... (NULL behind the last) into `table`, an
 * array of pointers to functions or a struct of nothing else. False, and why in a sentence, if the library is
 * not there or lacks one of them. */
bool library_open(const char *file, const char *const name[], void *table, char why[256]);

#endif
