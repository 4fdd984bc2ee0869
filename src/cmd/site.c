/* coppice site: what the site file says, for people, scripts and shells; and what is wrong with it on this
 * machine. No MPI. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/disk.h"
#include "base/errors.h"
#include "base/install.h"
#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "cmd/commands.h"
#include "cmd/options.h"
#include "deck/site.h"
#include "plan/machine.h"

/* ---- show, get ---- */

static const char *value_of(const struct site *s, int i)
{
    return site_get(s, site_key(i)->name);
}

/* export NAME='VALUE', so that a shell reads back the same text. */
static void print_export(const char *name, const char *value, size_t length)
{
    printf("export %s='", name);
    for (size_t i = 0; i < length; i++)
        printf(value[i] == '\'' ? "'\\''" : "%c", value[i]);
    printf("'\n");
}

/* What is not given is left alone, so that a user's own variables stay; and those come first. */
static void show_shell(const struct site *s)
{
    for (int i = 0; site_key(i); i++) {
        const char *value = value_of(s, i), *name = site_key(i)->variable;
        if (value && !getenv(name))
            print_export(name, value, strlen(value));
    }
    const char *partitions = site_get(s, "partitions");
    if (partitions && !getenv("SBATCH_PARTITION"))
        print_export("SBATCH_PARTITION", partitions, strcspn(partitions, " "));
}

static void show_json(const struct site *s)
{
    json_t *values = json_object();
    for (int i = 0; site_key(i); i++)
        json_object_set_new(values, site_key(i)->name,
                            json_pack("{s:s?, s:s}", "value", value_of(s, i), "origin",
                                      s->where[i] ? s->where[i] : "default"));
    json_print(json_pack("{s:s?, s:b, s:o}", "file", s->file, "exists", s->exists, "values", values));
}

/* The line about the file itself. */
static void tell_file(const struct site *s)
{
    if (s->exists)
        log_say("site file  %s", s->file);
    else if (s->file)
        log_say("site file  none: %s does not exist; site.yaml.example shows what it may hold", s->file);
    else
        log_say("site file  none: this program is not installed; COPPICE_SITE names a file");
}

static void show_lines(const struct site *s)
{
    tell_file(s);
    for (int i = 0; site_key(i); i++)
        printf("%s: %s  # %s\n", site_key(i)->name, value_of(s, i) ? value_of(s, i) : "~",
               s->where[i] ? s->where[i] : "default");
}

static status show(const struct options *o, const struct site *s)
{
    if (o->json)
        show_json(s);
    else if (o->shell)
        show_shell(s);
    else
        show_lines(s);
    return OK;
}

/* The value of a key, or where a folder of the program's files lies. */
static status get(const struct options *o, const struct site *s)
{
    if (o->n_files != 1)
        return fail(E_DECK, "coppice site get needs one key, such as launcher; coppice site show lists them");
    const char *name = o->files[0];
    char *folder = NULL, *keys = mem_text("");
    for (int i = 0; site_key(i); i++) {
        mem_append(&keys, "%s%s", i ? ", " : "", site_key(i)->name);
        if (strcmp(site_key(i)->name, name) == 0)
            folder = mem_text(value_of(s, i) ? value_of(s, i) : "");
    }
    if (!folder && strcspn(name, "./") == strlen(name))
        folder = install_data(name);
    status code = folder ? OK
                         : fail(E_DECK,
                                "coppice site get: there is no key %.60s; there are %s, and the folders "
                                "input, jobscripts, machines and validation",
                                name, keys);
    if (folder)
        printf("%s\n", folder);
    free(folder);
    free(keys);
    return code;
}

/* ---- check ---- */

/* Does a shell command succeed? It may hang where a controller does not answer. */
PRINTF(1, 2) static bool succeeds(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *inner = mem_format_list(format, args);
    va_end(args);
    char *whole = mem_format("timeout -s KILL 20 %s > /dev/null 2>&1", inner);
    int code = system(whole);
    free(inner);
    free(whole);
    return code == 0;
}

/* Is it a text of which a shell makes nothing else? */
static bool is_plain(const char *text, size_t n)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-+:=@";
    return n > 0 && strspn(text, good) >= n;
}

/* Call `good` with each word of the text, or with all of it, if it is a path. The first for which it is false
 * is returned; NULL: there is none. Caller frees. */
static char *first_bad(const char *text, bool path, bool (*good)(const char *word))
{
    if (path)
        return good(text) ? NULL : mem_text(text);
    for (const char *at = text + strspn(text, " ,"); *at; at += strspn(at, " ,")) {
        size_t n = strcspn(at, " ,");
        char *word = mem_format("%.*s", (int)n, at);
        if (!is_plain(word, n) || !good(word))
            return word;
        free(word);
        at += n;
    }
    return NULL;
}

static bool is_program(const char *word)
{
    return succeeds("sh -c 'command -v %s'", word);
}

static bool is_partition(const char *word)
{
    return succeeds("sinfo -h -p %s -o %%R | grep -q .", word);
}

static bool is_module(const char *word)
{
    return succeeds("bash -c 'type module || . \"$MODULESHOME/init/bash\"; module is-avail %s'", word);
}

static bool is_mpi(const char *word)
{
    return succeeds("srun --mpi=list 2>&1 | grep -qw -e %s", word);
}

static bool is_machine(const char *word)
{
    struct machine m;
    return machine_read(&m, word) == OK;
}

static bool is_writable(const char *word)
{
    return io_access(word, W_OK | X_OK) == 0;
}

static bool always(const char *word)
{
    (void)word;
    return true;
}

/* Is there a Slurm whose controller answers? */
static bool is_slurm(void)
{
    return succeeds("sinfo -h");
}

/* One row for each check: of the first word of a value, or of all. */
static const struct check {
    const char *key;
    bool (*good)(const char *word);
    bool first; /* only the first word */
    bool (*needs)(void);
    const char *wrong;
} checks[] = {
    {"launcher", is_program, true, NULL, "is not in PATH: load its module, or choose the other launcher"},
    {"mpi", is_mpi, true, is_slurm, "is not in what srun --mpi=list says"},
    {"account", always, false, NULL, "is not a plain word"},
    {"partitions", is_partition, false, is_slurm, "is no partition that sinfo knows"},
    {"modules", is_module, false, NULL, "is no module here (module avail), or there is no module command"},
    {"machine", is_machine, false, NULL, "cannot be used"},
    {"machine_cpu", is_machine, false, NULL, "cannot be used"},
    {"scratch", is_writable, false, NULL, "is no folder that you can write to"},
    {"stripe", is_program, true, NULL, "is not in PATH"},
};

static void check_key(const struct site *s, const struct check *c, struct errors *errors)
{
    int i = 0;
    while (strcmp(site_key(i)->name, c->key) != 0)
        i++;
    if (!s->value[i] || (c->needs && !c->needs()))
        return;
    char *text =
        mem_format("%.*s", c->first ? (int)strcspn(s->value[i], " ") : (int)strlen(s->value[i]), s->value[i]);
    status_set_text("");
    char *bad = first_bad(text, site_key(i)->type >= SITE_PATH, c->good);
    if (bad && *status_text()) /* a machine file's own mistakes */
        errors_take(errors, E_DECK);
    if (bad)
        errors_add(errors, s->where[i], "%s: %s %s", c->key, bad, c->wrong);
    free(bad);
    free(text);
}

static status check(const struct options *o, const struct site *s)
{
    (void)o;
    struct errors errors = {0};
    bool quotas;
    char room[32];
    tell_file(s);
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
        check_key(s, &checks[i], &errors);
    TRY(errors_end(&errors));
    const char *scratch = site_get(s, "scratch");
    if (scratch)
        log_say("scratch    %s, %s free", scratch, text_bytes(room, disk_free(scratch, &quotas)));
    if (site_get(s, "partitions") && !is_slurm())
        log_say("partitions and mpi were not checked: no sinfo answers here");
    if (s->exists)
        log_say("good       nothing is wrong with it on this machine");
    return OK;
}

/* ---- the commands ---- */

static int site_command(int argc, char **argv, status (*run)(const struct options *, const struct site *))
{
    struct options o;
    struct site s = {0};
    status code = options_parse(&o, argc, argv);
    log_open(true, code == OK && o.quiet);
    if (code == OK)
        code = site_read(&s);
    if (code == OK)
        code = run(&o, &s);
    if (code != OK)
        log_error(status_text());
    site_free(&s);
    options_free(&o);
    return (int)code;
}

int cmd_site_show(int argc, char **argv)
{
    return site_command(argc, argv, show);
}

int cmd_site_get(int argc, char **argv)
{
    return site_command(argc, argv, get);
}

int cmd_site_check(int argc, char **argv)
{
    return site_command(argc, argv, check);
}
