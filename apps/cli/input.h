/* input.h - lines typed by a person: edited, remembered, and put together where a message has several. */
#ifndef CLI_INPUT_H
#define CLI_INPUT_H

#include "text.h"
#include <signal.h>

struct input;

enum input_result {
    INPUT_MESSAGE,     /* a message, perhaps of several lines, perhaps empty */
    INPUT_DISCARDED,   /* Ctrl-C after something was typed, which is gone */
    INPUT_INTERRUPTED, /* Ctrl-C at the empty prompt */
    INPUT_END,         /* Ctrl-D on an empty line, or the input is over */
};

/* NULL: out of memory or no terminal. `interrupted` is set by the caller's SIGINT handler and cleared here. The signals
 * of a new window size and of waking up are handled here until input_close. */
struct input *input_open(const char *program, volatile sig_atomic_t *interrupted);
void input_close(struct input *input);
/* Read one message into `message`, replacing what was there. A line that ends in a backslash goes on in the next one; a
 * message that begins with three double quotes goes on until a line that ends with them; lines that are pasted together
 * stay together. */
enum input_result input_read(struct input *input, struct text *message);

#endif
