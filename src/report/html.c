#include "report/html.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/printable.h"

static const char style[] =
    "body{font:15px/1.45 system-ui,-apple-system,'Segoe UI','Liberation Sans',Arial,sans-serif;color:#1a1a1a;"
    "background:#fff;margin:0 auto;max-width:1180px;padding:24px}\n"
    "h1{font-size:26px;margin:0 0 2px}h2{font-size:19px;margin:34px 0 8px;padding-top:8px;"
    "border-top:2px solid #1a1a1a}h3{font-size:15px;margin:18px 0 6px}\n"
    "p{margin:6px 0;max-width:80ch}.soft{color:#555;font-size:13px}.bad{color:#a02800;font-weight:600}\n"
    "nav{margin:10px 0 0}nav a{margin-right:16px}a{color:#00558b}\n"
    "table{border-collapse:collapse;margin:8px 0 14px;font-variant-numeric:tabular-nums;font-size:13.5px}\n"
    "caption{text-align:left;font-weight:600;padding-bottom:4px}\n"
    "th{text-align:left;border-bottom:1.5px solid #1a1a1a;padding:3px 14px 3px 0;vertical-align:bottom}\n"
    "td{border-bottom:1px solid #ddd;padding:3px 14px 3px 0;vertical-align:top;overflow-wrap:anywhere}\n"
    ".n{text-align:right;white-space:nowrap;overflow-wrap:normal}\n"
    ".charts{display:grid;grid-template-columns:1fr 1fr;gap:14px 24px}.charts>.wide{grid-column:1/-1}\n"
    "figure{margin:0;break-inside:avoid}figcaption{font-weight:600;font-size:14px}\n"
    "figcaption span{font-weight:400;color:#555;font-size:12.5px}\n"
    "svg{width:100%;height:auto;display:block}.scroll{overflow-x:auto}\n"
    "svg text{font:11.5px system-ui,-apple-system,'Segoe UI','Liberation Sans',Arial,sans-serif;fill:#1a1a1a;"
    "font-variant-numeric:tabular-nums}\n"
    "@media screen and (max-width:760px){.charts{grid-template-columns:1fr}}\n"
    "@media print{@page{margin:14mm}body{font-size:11px;max-width:none;padding:0}nav{display:none}"
    "h2{break-after:avoid}tr{break-inside:avoid}table{font-size:9.5px}.scroll{overflow:visible}"
    "td,th{padding-right:8px}a{color:inherit;text-decoration:none}"
    "*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}\n";

void html_begin(FILE *f, const char *title)
{
    fprintf(f, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
               "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<title>");
    html_say(f, "%s", title);
    fprintf(f, "</title>\n<style>\n%s</style>\n</head>\n<body>\n", style);
}

void html_end(FILE *f)
{
    fprintf(f, "</body>\n</html>\n");
}

static void escape(FILE *f, char *text)
{
    for (const char *c = text_mask(text); *c; c++)
        if (*c == '<')
            fputs("&lt;", f);
        else if (*c == '>')
            fputs("&gt;", f);
        else if (*c == '&')
            fputs("&amp;", f);
        else if (*c == '"')
            fputs("&quot;", f);
        else
            fputc(*c, f);
}

static void say_list(FILE *f, const char *format, va_list args)
{
    char *text = mem_format_list(format, args);
    escape(f, text);
    free(text);
}

void html_say(FILE *f, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say_list(f, format, args);
    va_end(args);
}

void html_put(FILE *f, const char *tag, const char *css, const char *format, ...)
{
    va_list args;
    fprintf(f, css ? "<%s class=\"%s\">" : "<%s>", tag, css);
    va_start(args, format);
    say_list(f, format, args);
    va_end(args);
    fprintf(f, "</%s>\n", tag);
}

/* ---- tables ---- */

/* Cut the first of the parts before a separator off. NULL behind the last one. */
static char *part(char **rest, char separator)
{
    char *one = *rest, *end = one ? strchr(one, separator) : NULL;
    if (end)
        *end++ = '\0';
    *rest = end;
    return one;
}

void html_table(FILE *f, const char *caption, const char *heads)
{
    char *copy = mem_text(heads), *rest = copy;
    fprintf(f, "<div class=\"scroll\"><table>\n");
    if (caption)
        html_put(f, "caption", NULL, "%s", caption);
    fprintf(f, "<thead><tr>");
    for (char *head; (head = part(&rest, '|'));)
        html_put(f, "th", *head == '#' ? "n" : NULL, "%s", head + (*head == '#'));
    fprintf(f, "</tr></thead>\n<tbody>\n");
    free(copy);
}

void html_table_end(FILE *f)
{
    fprintf(f, "</tbody></table></div>\n");
}

void html_row(FILE *f, const char *heads, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = mem_format_list(format, args), *rest = text;
    va_end(args);
    fprintf(f, "<tr>");
    for (char *cell; (cell = part(&rest, '\t'));) {
        html_put(f, "td", *heads == '#' ? "n" : NULL, "%s", cell);
        heads += strcspn(heads, "|");
        heads += *heads == '|';
    }
    fprintf(f, "</tr>\n");
    free(text);
}
