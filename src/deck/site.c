#include "deck/site.h"

#include <stdlib.h>
#include <string.h>
#include "base/install.h"
#include "base/io.h"
#include "base/mem.h"
#include "deck/inside.h"
#include "deck/plain.h"

static const struct site_key table[] = {
    /* clang-format off */
    {"launcher", SITE_TEXT, "COPPICE_LAUNCHER", "srun mpirun", "srun", "srun", "what starts the ranks of a job"},
    {"launcher_flags", SITE_TEXT, "COPPICE_LAUNCHER_FLAGS", NULL, NULL, "--distribution=block:block", "options of the launcher, beside those that the job scripts give it"},
    {"mpi", SITE_TEXT, "COPPICE_MPI", NULL, "pmix", "pmix", "how srun starts MPI programs (srun --mpi=list): pmix, pmi2, cray_shasta"},
    {"account", SITE_TEXT, "SBATCH_ACCOUNT", NULL, NULL, "project1", "the account of jobs that name none"},
    {"partitions", SITE_WORDS, "COPPICE_PARTITIONS", NULL, NULL, "[cpu, gpu]", "Slurm partitions; jobs that name none go to the first"},
    {"modules", SITE_WORDS, "COPPICE_MODULES", NULL, NULL, "[gcc/13, openmpi/5.0]", "modules that job scripts load"},
    {"machine", SITE_FILE, "COPPICE_MACHINE", NULL, NULL, "dgx-h100", "machine file of coppice plan and of run.machine: a path, or the name of an installed one"},
    {"machine_cpu", SITE_FILE, "COPPICE_MACHINE_CPU", NULL, NULL, "cpu", "the same for decks of device.type cpu, where it is another"},
    {"scratch", SITE_PATH, "COPPICE_SCRATCH", NULL, NULL, "/scratch/${USER}", "a fast file system that all nodes see, for run folders and validation"},
    {"stripe", SITE_TEXT, "COPPICE_STRIPE", NULL, NULL, "lfs setstripe -c -1", "a command that job scripts run on a new run folder, whose name they put behind it"},
    /* clang-format on */
};
_Static_assert(sizeof table / sizeof *table == SITE_KEYS, "SITE_KEYS is the number of keys");

const struct site_key *site_key(int i)
{
    return i < SITE_KEYS ? &table[i] : NULL;
}

static const char *name_of(int i)
{
    return i < SITE_KEYS ? table[i].name : NULL;
}

static int find(const char *name)
{
    int i = 0;
    while (i < SITE_KEYS && strcmp(table[i].name, name) != 0)
        i++;
    return i;
}

/* ---- reading ---- */

/* Is the text one of the words of `list`? */
static bool is_word(const char *list, const char *text)
{
    size_t n = strlen(text);
    for (const char *at = list; *at; at += strcspn(at, " "), at += *at == ' ')
        if (strcspn(at, " ") == n && strncmp(at, text, n) == 0)
            return true;
    return false;
}

/* A path, relative to the site file's folder. */
static char *resolve(const char *file, const struct plain_entry *e, struct errors *errors)
{
    const char *slash = strrchr(file, '/');
    char *folder = slash ? mem_format("%.*s", (int)(slash - file), file) : NULL;
    const struct scalar at = {.text = e->text, .where = e->where, .folder = folder};
    char *path = path_resolve(e->key, &at, errors);
    free(folder);
    return path;
}

static void take(struct site *s, const struct plain_entry *e, struct errors *errors)
{
    int i = find(e->key);
    const struct site_key *key = &table[i];
    if (i == SITE_KEYS) {
        plain_unknown(e, "a site file", name_of, errors);
        return;
    }
    s->where[i] = mem_text(e->where);
    if (!*e->text || strcmp(e->text, "~") == 0)
        errors_add(errors, e->where, "%s: no value; remove the line to leave it out", e->key);
    else if (key->words && !is_word(key->words, e->text))
        errors_add(errors, e->where, "%s: expected one of %s, not %.60s", e->key, key->words, e->text);
    else if (key->type == SITE_PATH || key->type == SITE_FILE)
        s->value[i] = resolve(s->file, e, errors);
    else
        s->value[i] = mem_text(e->text);
    if (key->type == SITE_FILE && s->value[i] && !strchr(e->text, '/') && !io_exists(s->value[i])) {
        free(s->value[i]); /* a name */
        s->value[i] = mem_text(e->text);
    }
}

static status take_all(struct site *s)
{
    struct plain p;
    struct errors errors = {0};
    status code = plain_read(&p, s->file);
    for (int i = 0; code == OK && i < p.n; i++)
        take(s, &p.entry[i], &errors);
    plain_free(&p);
    return code == OK ? errors_end(&errors) : code;
}

status site_read(struct site *s)
{
    const char *given = getenv("COPPICE_SITE");
    *s = (struct site){.file = given && *given ? mem_text(given) : install_setting("site.yaml")};
    s->exists = s->file && io_exists(s->file);
    if (given && *given && !s->exists)
        return fail(E_DECK, "COPPICE_SITE: there is no file %s", given);
    return s->exists ? take_all(s) : OK;
}

void site_free(struct site *s)
{
    for (int i = 0; i < SITE_KEYS; i++) {
        free(s->value[i]);
        free(s->where[i]);
    }
    free(s->file);
    *s = (struct site){0};
}

const char *site_get(const struct site *s, const char *name)
{
    int i = find(name);
    if (i == SITE_KEYS)
        bug("no key '%s' in a site file", name);
    return s->value[i] ? s->value[i] : table[i].fallback;
}

char *site_example(void)
{
    char *text = mem_text(
        "# What this site has. Copy this file to site.yaml beside it, and take the # away from lines "
        "that you need.\n# coppice site check says what is wrong with it on a machine. A deck, the "
        "command line and a job's own lines come first.\n");
    for (int i = 0; i < SITE_KEYS; i++)
        mem_append(&text, "\n# %s%s%s\n# %s: %s\n", table[i].help, table[i].fallback ? "; default: " : "",
                   table[i].fallback ? table[i].fallback : "", table[i].name, table[i].example);
    return text;
}
