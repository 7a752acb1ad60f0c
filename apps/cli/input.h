/* input.h - lines typed by a person: edited, remembered, and put together where a message has several. */
#ifndef CLI_INPUT_H
#define CLI_INPUT_H

#include "text.h"
#include <signal.h>

struct input;

enum input_result {
    INPUT_MESSAGE,     /* a message, perhaps of several lines, perhaps empty */
    INPUT_INTERRUPTED, /* Ctrl-C at the prompt: what was typed is gone */
    INPUT_END,         /* Ctrl-D on an empty line, or the input is over */
};

/* NULL: out of memory or no terminal. `interrupted` is set by the caller's SIGINT handler and cleared here. */
struct input *input_open(const char *program, volatile sig_atomic_t *interrupted);
void input_close(struct input *input);
/* Read one message into `message`, replacing what was there. A line that ends in a backslash goes on in the next one; a
 * message that begins with three double quotes goes on until a line that ends with them. */
enum input_result input_read(struct input *input, struct text *message);

#endif
