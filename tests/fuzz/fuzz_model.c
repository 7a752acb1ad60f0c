/* fuzz_model.c - any bytes as a model: opened, described, tokenized and run, or refused with a sentence; within a
 * budget of memory. */
#include "use_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    use_model(&(struct model_source){.bytes = {(const char *)data, n}}, n);
    return 0;
}
