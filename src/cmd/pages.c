#include "cmd/pages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/io.h"
#include "base/mem.h"
#include "cmd/commands.h"
#include "cmd/options.h"
#include "cmd/roff.h"
#include "config.h"
#include "deck/deck.h"
#include "deck/site.h"

/* ---- parts of a page ---- */

/* "deck-check" of "deck check". Caller frees. */
static char *dashed(const char *name)
{
    char *text = mem_text(name), *space = strchr(text, ' ');
    if (space)
        *space = '-';
    return text;
}

/* The head of a page: NAME and SYNOPSIS. */
static char *begin(const char *name, int section, const char *help, const char *synopsis)
{
    char *page =
        mem_format(".\\\" written by coppice help --out\n.TH \"%s\" %d \"\" \"Coppice %s\" \"Coppice\"\n"
                   ".SH NAME\n",
                   name, section, PACKAGE_VERSION);
    roff_words(&page, name);
    mem_append(&page, " \\- ");
    roff_words(&page, help);
    mem_append(&page, "\n.SH SYNOPSIS\n.B ");
    roff_words(&page, synopsis);
    mem_append(&page, "\n");
    return page;
}

static void option_item(void *page, const char *name, const char *value, const char *help)
{
    char *tag = mem_format("--%s", name);
    roff_item(page, tag, value ? value : "", help);
    free(tag);
}

/* ---- coppice-COMMAND(1) ---- */

static char *command_page(const struct command *c)
{
    char *name = dashed(c->name), *whole = mem_format("coppice-%s", name);
    char *synopsis =
        mem_format("coppice %s%s%s [OPTION]...", c->name, *c->arguments ? " " : "", c->arguments);
    char *page = begin(whole, 1, c->help, synopsis);
    mem_append(&page, ".SH OPTIONS\n");
    options_each(c->options, option_item, &page);
    mem_append(&page, ".SH EXAMPLE\n.nf\n");
    roff_words(&page, c->example);
    mem_append(&page, "\n.fi\n.SH SEE ALSO\n.BR coppice (1),\n.BR coppice\\-deck (5)\n");
    free(name);
    free(whole);
    free(synopsis);
    return page;
}

/* ---- coppice(1) ---- */

static void add_commands(char **page)
{
    int n;
    const struct command *c = command_list(&n);
    mem_append(page, ".SH COMMANDS\nEach has a page of its own, such as\n.BR coppice\\-train (1).\n");
    for (int i = 0; i < n; i++)
        roff_item(page, c[i].name, c[i].arguments, c[i].help);
}

static void add_codes(char **page)
{
    int n;
    const struct status_about *code = status_list(&n);
    mem_append(page, ".SH EXIT STATUS\n");
    for (int i = 0; i < n; i++) {
        char *number = mem_format("%d", (int)code[i].code);
        roff_item(page, number, "", code[i].meaning);
        free(number);
    }
}

static void add_files(char **page)
{
    char *file = mem_text("PREFIX/etc/coppice/site.yaml");
    mem_append(page, ".SH FILES\n");
    roff_item(page, file, "", "What the site has; site.yaml.example beside it names all keys.");
    roff_item(page, "PREFIX/share/coppice", "",
              "Decks and a small model (input), job scripts, machine files, validation.");
    roff_item(page, "PREFIX/share/doc/coppice", "", "Guides, file formats, errors.");
    mem_append(page, ".SH ENVIRONMENT\n");
    roff_item(page, "COPPICE_SITE", "", "The site file to read instead.");
    for (int i = 0; site_key(i); i++)
        roff_item(page, site_key(i)->variable, "", site_key(i)->help);
    free(file);
}

static char *main_page(void)
{
    char *page = begin("coppice", 1, "upcycle a dense language model into a mixture of experts, and train it",
                       "coppice COMMAND [ARGUMENT]... [OPTION]...");
    mem_append(&page, ".PP\nSeveral ranks are started by the launcher of the machine:\n.PP\n"
                      ".B mpirun \\-n 4 coppice train DECK\n.SH DESCRIPTION\n");
    roff_words(
        &page,
        "Coppice turns one pretrained dense Llama-family model into a mixture of experts and trains it. A "
        "deck in YAML says everything about a run.");
    mem_append(&page, "\n");
    add_commands(&page);
    add_codes(&page);
    add_files(&page);
    mem_append(&page, ".SH SEE ALSO\n.BR coppice\\-deck (5),\n.BR mpirun (1),\n.BR srun (1)\n");
    return page;
}

/* ---- coppice-deck(5) ---- */

static void add_key(char **page, const struct key *key)
{
    char *values = deck_domain(key);
    char *behind = mem_format("(%s; default: %s%s)", values, key->fallback ? key->fallback : "not given",
                              key->may_change_on_restart ? "; may change on restart" : "");
    roff_item(page, key->path, behind, key->help);
    free(values);
    free(behind);
}

static char *deck_page(void)
{
    int n;
    const struct key *key = deck_keys(&n);
    char *preface = deck_preface();
    char *page = begin("coppice-deck", 5, "the file that says what Coppice trains, on what, and how",
                       "coppice train DECK.yaml...");
    mem_append(&page, ".SH DESCRIPTION\n");
    roff_markdown(&page, preface);
    mem_append(&page, ".SH KEYS\n");
    for (int i = 0; i < n; i++)
        add_key(&page, &key[i]);
    mem_append(&page, ".SH SEE ALSO\n.BR coppice (1),\n.BR coppice\\-deck\\-check (1)\n");
    free(preface);
    return page;
}

/* ---- all of them ---- */

/* Write FOLDER/NAME. Takes the text. */
static status put(const char *folder, const char *name, char *text)
{
    char *path = mem_format("%s/%s", folder, name);
    status code = file_replace(path, text);
    free(path);
    free(text);
    return code;
}

static status put_command(const char *folder, const struct command *c)
{
    char *name = dashed(c->name), *file = mem_format("coppice-%s.1", name);
    status code = put(folder, file, command_page(c));
    free(name);
    free(file);
    return code;
}

status pages_write(const char *folder)
{
    int n;
    const struct command *c = command_list(&n);
    if (io_mkdir(folder, 0777) != 0 && errno != EEXIST)
        return fail(E_SPACE, "%s: the folder cannot be made: %s", folder, strerror(errno));
    for (int i = 0; i < n; i++)
        TRY(put_command(folder, &c[i]));
    TRY(put(folder, "coppice.1", main_page()));
    TRY(put(folder, "coppice-deck.5", deck_page()));
    TRY(put(folder, "coppice.bash", completion_bash()));
    TRY(put(folder, "_coppice", completion_zsh()));
    return put(folder, "site.yaml.example", site_example());
}
