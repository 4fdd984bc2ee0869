/* Versions of the libraries that text goes through. Not collective. */
#ifndef TEXT_LIBRARIES_H
#define TEXT_LIBRARIES_H

/** "PCRE2 10.42, utf8proc 2.8.0, zlib 1.2.13, no zstd". The caller frees. */
char *text_libraries(void);

#endif
