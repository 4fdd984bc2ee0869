/* Text of the report's page, which is HTML and well-formed XML. Everything goes to a stream in memory, whose
 * size is not limited; the caller looks for errors when it closes it. Not collective. */
#ifndef REPORT_HTML_H
#define REPORT_HTML_H
#include <stdio.h>
#include "base/status.h"

/** Head of the page, with its style sheet; and its end. */
void html_begin(FILE *, const char *title);
void html_end(FILE *);
/** Formatted text with < > & " escaped. What is no clean UTF-8 becomes '?'. */
void html_say(FILE *, const char *format, ...) PRINTF(2, 3);
/** <TAG class="CLASS">text</TAG>; class may be NULL. */
void html_put(FILE *, const char *tag, const char *css, const char *format, ...) PRINTF(4, 5);

/** A table: its caption (NULL: none) and the heads of its columns, separated by '|'. A head that begins with
 * '#' is of numbers, whose cells are aligned right with class "n". */
void html_table(FILE *, const char *caption, const char *heads);
void html_table_end(FILE *);
/** A row of cells, separated by '\t', in the columns of that table. */
void html_row(FILE *, const char *heads, const char *format, ...) PRINTF(3, 4);

#endif
