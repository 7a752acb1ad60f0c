/* chat.h - a conversation on the terminal. */
#ifndef CLI_CHAT_H
#define CLI_CHAT_H

#include "answer.h"

/* Talk until Ctrl-D or /bye. `path` is the model's, for /show; `raw`: without the chat template, one growing text.
 * False with a sentence on stderr. */
bool chat(struct answerer *a, const char *path, bool raw);

#endif
