/* Where the program's own files lie. They are looked for beside the program that runs, so that a prefix can
 * be moved, and several versions can stand side by side. Local. */
#ifndef BASE_INSTALL_H
#define BASE_INSTALL_H

/** An installed file or folder, such as "machines/cpu.yaml" or "jobscripts": below PREFIX/share/coppice of
 * the program that runs; for a program in its build folder, in the source tree. NULL if it is not there.
 * Caller frees. */
char *install_data(const char *name);
/** The site's file of this name: in PREFIX/etc/coppice of the program that runs, whether it exists or not.
 * NULL for a program in its build folder, which belongs to no site. Caller frees. */
char *install_setting(const char *name);

#endif
