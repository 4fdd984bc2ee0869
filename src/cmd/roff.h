/* Text as roff for man pages. Each call appends to *page. Pure. */
#ifndef CMD_ROFF_H
#define CMD_ROFF_H

/** Words as they are: what roff would read as commands is escaped. */
void roff_words(char **page, const char *text);
/** ".TP", a tag in bold with what stands behind it, and its text. */
void roff_item(char **page, const char *tag, const char *behind, const char *text);
/** A page of Markdown: paragraphs, `code`, lists, fenced blocks. Headings are left out. */
void roff_markdown(char **page, const char *text);

#endif
