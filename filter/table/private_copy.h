/*
 * private_copy.h - a file's contents in memory, for libraries that map a file
 */
#ifndef FILTER_TABLE_PRIVATE_COPY_H
#define FILTER_TABLE_PRIVATE_COPY_H

/*
 * private_copy - a descriptor of a file in memory that holds what the file at path holds now
 * A file that is cut short while it is mapped would end the daemon; the copy is nobody else's.
 * Returns the descriptor, for the caller to close, or -1 with errno. Any thread.
 */
int private_copy(const char *path);

#endif
