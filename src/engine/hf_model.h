/* hf_model.h - a folder of Hugging Face's seen as the GGUF file it would be converted to: its configuration as
 * metadata, its tensors by their names here. Matrices stay where they are mapped; vectors become F32. */
#ifndef ENGINE_HF_MODEL_H
#define ENGINE_HF_MODEL_H

#include "files/gguf.h"
#include "text/tokenizer.h"

struct arch;
struct hf_model;

/* Numbers of the key pooling_type. The last is andiron's own: scores of a whole text, from its last row. */
enum { POOLING_MEAN = 1, POOLING_CLS, POOLING_LAST, POOLING_RANK, POOLING_RANK_LAST };

/* options: where definitions may stand besides those built in (arch_path, arch_dir). */
andiron_status hf_model_open(struct hf_model **out, const char *path, const andiron_model_options *options,
                             bool with_weights, andiron_error *error);
void hf_model_close(struct hf_model *m); /* NULL is fine; after what hf_model_file gave */
/* The definition that the folder runs by: ours, until the model is closed, its text, and whether it is a built-in one.
 */
struct arch *hf_model_definition(const struct hf_model *m, struct span *text, bool *is_builtin);
andiron_status hf_model_file(struct hf_model *m, struct gguf **out, andiron_error *error); /* owned by the caller */
/* The i-th of its files of weights as it is mapped; empty beyond the last. */
struct span hf_model_mapping(const struct hf_model *m, size_t i);
/* *out NULL: the folder has no tokenizer. Close it before the model, which holds its texts. */
andiron_status hf_model_tokenizer(struct hf_model *m, struct tokenizer **out, andiron_error *error);

#endif
