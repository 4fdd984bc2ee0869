/* The commands of the program: a table of functions with main's arguments, each in a file of its own. The
 * table says which options a command takes, so that help and the command line cannot differ. */
#ifndef CMD_COMMANDS_H
#define CMD_COMMANDS_H

struct command {
    const char *name;                  /* one word, or two: "deck check" */
    int (*run)(int argc, char **argv); /* returns the exit code */
    const char *arguments;             /* the arguments behind the name, for the help */
    const char *options; /* names in the table of options.c: "set json"; all take --quiet and --help */
    const char *help;    /* one line */
    const char *example;
};

int cmd_train(int argc, char **argv);
int cmd_probe(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_export(int argc, char **argv);
int cmd_upcycle(int argc, char **argv);
int cmd_deck_new(int argc, char **argv);
int cmd_deck_check(int argc, char **argv);
int cmd_deck_show(int argc, char **argv);
int cmd_deck_keys(int argc, char **argv);
int cmd_plan(int argc, char **argv);
int cmd_machine(int argc, char **argv);
int cmd_eval(int argc, char **argv);
int cmd_generate(int argc, char **argv);
int cmd_tokenize(int argc, char **argv);
int cmd_report(int argc, char **argv);
int cmd_site_show(int argc, char **argv);
int cmd_site_get(int argc, char **argv);
int cmd_site_check(int argc, char **argv);
int cmd_env(int argc, char **argv);
int cmd_help(int argc, char **argv);

/** The table. */
const struct command *command_list(int *n);
/** The command that is named by argv[1], or by argv[1] and argv[2]; NULL if there is none. */
const struct command *command_find(int argc, char **argv);
/** The number of words in its name. */
int command_words(const struct command *);
/** Report on stderr that there is no such command, and which one was probably meant. Returns E_DECK. */
int command_unknown(int argc, char **argv);
/** Print usage, options and an example of a command. */
void command_help(const struct command *);

#endif
