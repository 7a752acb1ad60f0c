/* lora_peft.h - adapters as PEFT's folders keep them. */
#ifndef ENGINE_LORA_PEFT_H
#define ENGINE_LORA_PEFT_H

#include "engine/hf_model.h"
#include "files/gguf.h"

struct peft;

/* The folder as a GGUF file, which must be closed before it. base: the folder of the model, NULL: it is none, and so
 * refused. *out may be there after a failure, too: peft_close. */
andiron_status peft_open(struct peft **out, struct gguf **file, const char *dir, struct hf_model *base,
                         andiron_error *error);
bool peft_by_root(const struct peft *p); /* is what it adds alpha / sqrt(rank) (use_rslora)? NULL: no */
void peft_close(struct peft *p);         /* NULL is fine */

#endif
