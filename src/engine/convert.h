/* convert.h - what convert.c (metadata), convert_types.c and convert_weights.c share. */
#ifndef ENGINE_CONVERT_H
#define ENGINE_CONVERT_H

#include "base/threads.h"
#include "base/types.h"
#include "engine/engine.h"
#include "engine/hf_internal.h"
#include "files/gguf_write.h"
#include "kernels/kernels.h"

enum { CONVERT_VERSION = 3 }; /* raised when other bytes are written */

enum { CONVERT_KEY_BYTES = 256, CONVERT_MAX_LAYERS = 4096 };

struct convert_type {
    const char *name;
    enum weight_type type;
    uint32_t file_type;    /* general.file_type, a number of llama.cpp's */
    const struct mix *mix; /* K-quants: which matrices take other types */
};

/* What the model's graph reads a tensor as. What it does not read counts as a matrix. */
enum convert_use { USE_NONE, USE_MATRIX = 1, USE_TABLE = 2, USE_NUMBERS = 4 };

/* What a tensor of the file is made of: a tensor of the folder, or of each `slab` rows of it, from `first` on, `n`. */
struct convert_part {
    size_t from;
    uint64_t slab, first, n; /* slab 0: the whole tensor */
    bool turned;             /* these n rows stand as columns */
    float factor;            /* of all its numbers */
    bool by_section;         /* rows of a Mamba 2 layer have factors of their own, too */
};

struct conversion {
    const andiron_convert_options *options;
    struct pool *pool; /* while weights are written */
    struct arena arena;
    andiron_model *model;
    const char *architecture; /* as the file calls it */
    struct hf_model *folder;  /* NULL: it is a GGUF file already */
    bool keeps_names;         /* as the folder's definition has them: the file is for this engine alone */
    const struct gguf *file;  /* the folder seen as one, or that */
    enum convert_use *uses;   /* [tensors] */
    json_t *root;             /* tokenizer.json */
    const struct convert_type *type;
    struct kernels kernels;
    struct gguf_values values;
    struct gguf_tensor *tensors; /* as they will be */
    struct convert_part *parts;  /* [n_tensors] what they come of */
    size_t n_tensors;
    struct gguf_writer **writers; /* [n_files] */
    size_t *first;                /* [n_files] the first tensor of each */
    size_t n_files;
    uint64_t n_bytes, n_done;                 /* of tensors; and so far */
    uint64_t n_layers, n_experts, heads_each; /* heads of queries that share one of keys */
};

const struct convert_type *convert_type_named(const char *name); /* NULL: there is none */
void convert_type_names(char *out, size_t n);                    /* all, as a sentence has them */
enum weight_type convert_type_of(const struct conversion *c, const struct gguf_tensor *t);
/* The first tensor whose name ends so; NULL: there is none. */
const struct gguf_tensor *convert_first_of(const struct conversion *c, const char *end);
andiron_status convert_plan(struct conversion *c, andiron_error *error); /* fills c->tensors */
/* What the architecture is called in the file. NULL: no memory. */
const char *convert_architecture(struct conversion *c);
/* The factor of a row, of all that are multiplied with it. */
float convert_factor(const struct conversion *c, const struct convert_part *part, uint64_t row);
/* Is it a number that weights are multiplied with in the file? */
bool convert_is_factor(const struct conversion *c, struct span key);
/* Tell that there is no tokenizer, and what of the metadata llama.cpp takes otherwise, whatever the file says. */
void convert_warn(const struct conversion *c);
/* Lists of the metadata that a folder has as tensors. */
void convert_put_numbers(struct conversion *c);
/* Tensors that the files of this architecture hold as two (GGUF lines of its definition): c->tensors, c->parts. */
andiron_status convert_list(struct conversion *c, andiron_error *error);

/* ---- convert_told.c ---- */

/* The key that the file has for this name. */
void convert_key(const struct conversion *c, const char *name, char out[CONVERT_KEY_BYTES]);
uint64_t convert_number(const struct conversion *c, const char *key); /* of the architecture's; 0: there is none */
bool convert_is_told(const struct conversion *c, const struct gguf_value *v); /* by a tensor? */
/* Heads of keys by layer, 0 in those that do not attend; false: they are the same everywhere, or no layer attends, or
 * other metadata says which do. */
bool convert_put_heads(struct conversion *c, const char *key, const struct gguf_value *v);
/* What tensors tell, and config.json of experts. */
void convert_put_asked(struct conversion *c);
/* Are keys and values of latent attention apart, so that its queries meet the latent row itself? */
bool convert_keys_are_latent(const struct conversion *c);
/* andiron_convert; for a model that is being opened, by its own definition and without a vocabulary: who opens the file
 * reads that of the folder. opened_as: NULL, or how it is opened. */
andiron_status convert_model(const char *from, const char *path, const andiron_convert_options *options,
                             const andiron_model_options *opened_as, andiron_error *error);
struct row_order {
    uint64_t head, plain, rotated; /* rows of a head, and how many of them, behind how many, RoPE turns; head 0: none */
    /* from row `first` on heads of values, of so many rows: in a folder `each` of a group after one another, in a file
     * one of each group after one another; unit 0: they stay where they are */
    uint64_t first, unit, groups, each;
};
/* How rows of a tensor of queries, keys or values change their places from a folder to a file; `file` has the sizes.
 * folder NULL: they do not. */
struct row_order convert_order_of(const struct gguf *file, const struct hf_model *folder, struct span name);
/* Does latent attention turn in halves here, where files of its architecture hold pairs? */
bool convert_latent_halves(const struct gguf *file, const struct hf_model *folder);
/* The same of the columns of what is made of values. */
struct row_order convert_columns_of(const struct gguf *file, const struct hf_model *folder, struct span name);
bool convert_stays(struct row_order o);
bool convert_fits(struct row_order o, uint64_t n);       /* are n rows whole heads? */
uint64_t convert_row_of(struct row_order o, uint64_t r); /* where row r of the file stands in the folder */
andiron_status convert_weights(struct conversion *c, andiron_error *error);
/* convert_files.c: open the files, where options say so several; all take their names in the end, or none is left. */
andiron_status convert_open_files(struct conversion *c, const char *path, andiron_error *error);
andiron_status convert_finish_files(struct conversion *c, andiron_error *error);
void convert_abandon_files(struct conversion *c);

#endif
