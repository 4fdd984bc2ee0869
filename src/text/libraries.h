/* Versions of the libraries of this room. Not collective. */
#ifndef TEXT_LIBRARIES_H
#define TEXT_LIBRARIES_H

/** "PCRE2 10.42, utf8proc 2.8.0, zlib 1.2.13, no zstd". Caller frees. */
char *text_libraries(void);

#endif
