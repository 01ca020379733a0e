#pragma once

/* How a client knows that it was copied into a forked child, without a system call at each use. */

/*
 * Forks between the program's start and this process. A client keeps the number it was made under; where it
 * differs, the connection belongs to an ancestor.
 */
unsigned fork_get_depth(void);
