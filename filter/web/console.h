/*
 * console.h - the console: its pages, logging in and out
 *
 * Threads: any number of requests at once; each belongs to one.
 */
#ifndef FILTER_WEB_CONSOLE_H
#define FILTER_WEB_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>

#include "filter/web/api.h"

/* console_cookie - the name of its cookie; secure: with a prefix that other hosts cannot set */
const char *console_cookie(bool secure);

/* console_body_max - how large the body of a request for the console may be; 0: it is of no use */
size_t console_body_max(const struct api_request *request);

/* console_answer - answer a request; false: it is not for the console */
bool console_answer(const struct api_request *request, struct api_reply *reply_r);

#endif
