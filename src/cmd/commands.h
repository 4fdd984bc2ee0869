/* The commands of the program: a table (commands.c) of functions, each in its own file, with main's
 * arguments. The table says which options a command takes, so that help and the command line cannot differ.
 */
#ifndef CMD_COMMANDS_H
#define CMD_COMMANDS_H

struct command {
    const char *name;                  /* one word, or two: "deck check" */
    int (*run)(int argc, char **argv); /* returns the exit code */
    const char *arguments;             /* what stands behind the name */
    const char *options; /* names from the table of options.c, "set json"; --quiet and --help go with all */
    const char *help;    /* in a line */
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
int cmd_tokenize(int argc, char **argv);
int cmd_env(int argc, char **argv);
int cmd_help(int argc, char **argv);

/** The command that argv[1], or argv[1] and argv[2], name; NULL if there is none. */
const struct command *command_find(int argc, char **argv);
/** How many words of argv its name takes, from argv[1] on. */
int command_words(const struct command *);
/** What is wrong with argv[1] and which command was probably meant, on stderr. Returns E_DECK. */
int command_unknown(int argc, char **argv);
/** Usage, options and an example of one command. */
void command_help(const struct command *);

#endif
