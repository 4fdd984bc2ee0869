/* Completion of command lines for bash and zsh, from the tables of commands, options and keys. */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "cmd/commands.h"
#include "cmd/options.h"
#include "cmd/pages.h"
#include "deck/deck.h"

/* The names of all keys with `behind` behind each, and blanks between them. Caller frees. */
static char *key_names(const char *behind)
{
    int n;
    const struct key *key = deck_keys(&n);
    char *text = mem_text("");
    for (int i = 0; i < n; i++)
        mem_append(&text, "%s%s%s", i ? " " : "", key[i].path, behind);
    return text;
}

/* The first words of commands (family NULL), or the second words of a family; each once. Caller frees. */
static char *words_of(const char *family)
{
    int n;
    const struct command *c = command_list(&n);
    char *text = mem_text(""), *last = mem_text("");
    for (int i = 0; i < n; i++) {
        size_t first = strcspn(c[i].name, " ");
        bool inside =
            family && c[i].name[first] && strlen(family) == first && strncmp(c[i].name, family, first) == 0;
        char *word = family ? mem_text(inside ? c[i].name + first + 1 : "")
                            : mem_format("%.*s", (int)first, c[i].name);
        if (*word && strcmp(word, last) != 0)
            mem_append(&text, "%s%s", *text ? " " : "", word);
        free(last);
        last = word;
    }
    free(last);
    return text;
}

/* Call tell(text, family) for each first word of commands with two words. */
static void each_family(char **text, void (*tell)(char **text, const char *family))
{
    int n;
    const struct command *c = command_list(&n);
    for (int i = 0; i < n; i++) {
        size_t first = strcspn(c[i].name, " ");
        bool again = i > 0 && strncmp(c[i].name, c[i - 1].name, first + 1) == 0;
        char *word = mem_format("%.*s", (int)first, c[i].name);
        if (c[i].name[first] && !again)
            tell(text, word);
        free(word);
    }
}

/* ---- bash ---- */

static void bash_option(void *text, const char *name, const char *value, const char *help)
{
    (void)value;
    (void)help;
    mem_append(text, " --%s", name);
}

static void bash_family(char **text, const char *family)
{
    char *words = words_of(family);
    mem_append(text,
               "    %s)\n        [[ $COMP_CWORD -gt 2 ]] || { COMPREPLY=($(compgen -W '%s' -- \"$cur\")); "
               "return; }\n"
               "        command=\"%s ${COMP_WORDS[2]}\" ;;\n",
               family, words, family);
    free(words);
}

static void bash_commands(char **text)
{
    int n;
    const struct command *c = command_list(&n);
    for (int i = 0; i < n; i++) {
        mem_append(text, "    '%s') options='", c[i].name);
        options_each(c[i].options, bash_option, text);
        mem_append(text, "' ;;\n");
    }
}

char *completion_bash(void)
{
    char *commands = words_of(NULL), *keys = key_names("=");
    char *text =
        mem_format("# Completion of coppice's command line in bash; written by coppice help --out.\n"
                   "_coppice() {\n"
                   "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
                   "    local command=${COMP_WORDS[1]} options=\n"
                   "    [[ $COMP_CWORD -gt 1 ]] || {\n"
                   "        COMPREPLY=($(compgen -W '%s --version --help' -- \"$cur\")); return\n    }\n"
                   "    case $command in\n"
                   "    help) COMPREPLY=($(compgen -W '%s --out' -- \"$cur\")); return ;;\n",
                   commands, commands);
    each_family(&text, bash_family);
    mem_append(&text, "    esac\n    case $command in\n");
    bash_commands(&text);
    mem_append(&text,
               "    esac\n"
               "    if [[ $prev == --set ]]; then\n"
               "        COMPREPLY=($(compgen -W '%s' -- \"$cur\"))\n"
               "        compopt -o nospace 2> /dev/null\n"
               "    elif [[ $cur == -* ]]; then\n"
               "        COMPREPLY=($(compgen -W \"$options\" -- \"$cur\"))\n"
               "    else\n"
               "        COMPREPLY=($(compgen -f -- \"$cur\"))\n"
               "        compopt -o filenames 2> /dev/null\n"
               "    fi\n"
               "}\n"
               "complete -F _coppice coppice\n",
               keys);
    free(commands);
    free(keys);
    return text;
}

/* ---- zsh ---- */

/* Append a text for a description between brackets and quotes. */
static void describe(char **text, const char *help)
{
    for (; *help; help++)
        mem_append(text, strchr("[]:\\", *help) ? "\\%c" : *help == '\'' ? "'\\''" : "%c", *help);
}

static void zsh_option(void *text, const char *name, const char *value, const char *help)
{
    bool file = value && (!strcmp(value, "PATH") || !strcmp(value, "FILE") || !strcmp(value, "DIR"));
    mem_append(text, " \\\n            '*--%s[", name);
    describe(text, help);
    mem_append(text, "]");
    if (strcmp(name, "set") == 0)
        mem_append(text, ":%s:($=keys)'", value);
    else if (value)
        mem_append(text, ":%s:%s'", value, file ? "_files" : " ");
    else
        mem_append(text, "'");
}

static void zsh_commands(char **text)
{
    int n;
    const struct command *c = command_list(&n);
    for (int i = 0; i < n; i++) {
        mem_append(text, "    '%s')\n        _arguments", c[i].name);
        options_each(c[i].options, zsh_option, text);
        mem_append(text, " \\\n            '*:%s:_files' ;;\n", *c[i].arguments ? "file" : " ");
    }
}

/* The commands of a family, or all of one word, with their help. */
static void zsh_words(char **text, const char *family)
{
    int n;
    const struct command *c = command_list(&n);
    mem_append(text, "    local -a %s=(\n", family);
    for (int i = 0; i < n; i++) {
        size_t first = strcspn(c[i].name, " ");
        if (!c[i].name[first] || strlen(family) != first || strncmp(c[i].name, family, first) != 0)
            continue;
        mem_append(text, "        '%s:", c[i].name + first + 1);
        describe(text, c[i].help);
        mem_append(text, "'\n");
    }
    mem_append(text, "    )\n");
}

static void zsh_family(char **text, const char *family)
{
    mem_append(text,
               "    %s)\n        (( CURRENT > 3 )) || { _describe '%s' %s; return }\n"
               "        command=\"%s $words[3]\"; shift words; (( CURRENT-- )) ;;\n",
               family, family, family, family);
}

static void zsh_first(char **text)
{
    int n;
    const struct command *c = command_list(&n);
    mem_append(text, "    local -a commands=(\n");
    for (int i = 0; i < n; i++) {
        size_t first = strcspn(c[i].name, " ");
        if (i > 0 && strncmp(c[i].name, c[i - 1].name, first + 1) == 0)
            continue;
        char *word = mem_format("%.*s", (int)first, c[i].name), *words = words_of(word);
        mem_append(text, "        '%s:", word);
        describe(text, *words ? words : c[i].help);
        mem_append(text, "'\n");
        free(word);
        free(words);
    }
    mem_append(text, "    )\n");
}

char *completion_zsh(void)
{
    char *keys = key_names("=");
    char *text =
        mem_format("#compdef coppice\n# Completion of coppice's command line in zsh; written by coppice help "
                   "--out.\n_coppice() {\n    local keys='%s'\n    local command=$words[2]\n",
                   keys);
    zsh_first(&text);
    each_family(&text, zsh_words);
    mem_append(&text,
               "    (( CURRENT > 2 )) || { _describe 'command' commands; return }\n    case $command in\n"
               "    help) _describe 'command' commands; return ;;\n");
    each_family(&text, zsh_family);
    mem_append(&text, "    esac\n    shift words; (( CURRENT-- ))\n    case $command in\n");
    zsh_commands(&text);
    mem_append(&text, "    esac\n}\n_coppice \"$@\"\n");
    free(keys);
    return text;
}
