/* The commands of the program: one function each, in its own file, with main's arguments (argv[1] is
 * the command). Returns the exit code. */
#ifndef CMD_COMMANDS_H
#define CMD_COMMANDS_H

int cmd_train(int argc, char **argv);
int cmd_probe(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_export(int argc, char **argv);
int cmd_upcycle(int argc, char **argv);
int cmd_deck(int argc, char **argv);
int cmd_env(int argc, char **argv);
int cmd_help(int argc, char **argv);

#endif
