/* hf_dir.h - a model as a folder, as Hugging Face's hub keeps it: config.json, weights in one or many .safetensors
 * files, a tokenizer, a chat template.
 *
 * Weights are model.safetensors, or the shards that model.safetensors.index.json names, each of which must lie within
 * the folder (no absolute path, no ".."; links are followed, since the hub's cache consists of them). Every tensor of
 * the index must stand in its shard, and none in two of them. */
#ifndef FILES_HF_DIR_H
#define FILES_HF_DIR_H

#include "base/buffer.h"
#include "files/json.h"
#include "files/safetensors.h"

struct hf_dir;

enum { HF_MAX_SHARDS = 4096 };

bool hf_is_dir(const char *path); /* is this path a folder, so that hf_dir_open is the call for it? */
/* `with_weights` false: only config.json and the small files, for vocabularies. Missing shards are all named in one
 * error. */
andiron_status hf_dir_open(struct hf_dir **out, const char *path, bool with_weights, andiron_error *error);
void hf_dir_close(struct hf_dir *d); /* NULL is fine */

const char *hf_path(const struct hf_dir *d);
const json_t *hf_config(const struct hf_dir *d); /* config.json, an object; lives until hf_dir_close */
uint64_t hf_file_bytes(const struct hf_dir *d);  /* of all shards */
size_t hf_n_shards(const struct hf_dir *d);
const struct safetensors *hf_shard_at(const struct hf_dir *d, size_t i);
size_t hf_n_tensors(const struct hf_dir *d);
const struct safetensors_tensor *hf_tensor_at(const struct hf_dir *d, size_t i);           /* shards in turn */
const struct safetensors_tensor *hf_find_tensor(const struct hf_dir *d, const char *name); /* NULL: absent */

/* Weights of a part in a folder within this one ("2_Dense"). The caller owns *out: safetensors_close. */
andiron_status hf_open_part(const struct hf_dir *d, const char *part, struct safetensors **out, andiron_error *error);

/* An optional file of the folder: "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
 * "generation_config.json", "chat_template.jinja". Absent: ANDIRON_OK and *out NULL, or nothing added to *text (and
 * *found false). The caller owns *out: json_decref. */
andiron_status hf_read_json(const struct hf_dir *d, const char *name, json_t **out, andiron_error *error);
andiron_status hf_read_text(const struct hf_dir *d, const char *name, struct buffer *text, bool *found,
                            andiron_error *error);

#endif
