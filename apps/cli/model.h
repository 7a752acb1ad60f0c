/* model.h - what every command that opens a model shares: its options, the opening, the clock from process start. */
#ifndef CLI_MODEL_H
#define CLI_MODEL_H

#include "andiron.h"
#include "options.h"
#include <stdbool.h>
#include <stddef.h>

struct model_args {
    int threads;
    const char *cpu;
    const char *math;
    const char *mmap;
    const char *arch;
    const char *quant;
    struct text_list loras; /* FILE or FILE=SCALE */
    bool verbose;
};

/* What weights may become. */
#define WEIGHT_TYPES \
    "f32|f16|bf16|q8_0|q6_k|q5_k|q5_k_m|q5_k_s|q5_1|q5_0|q4_k|q4_k_m|q4_k_s|q4_1|q4_0|q3_k|q3_k_l|q3_k_m|q3_k_s|q2_k"

/* Rows for a command whose struct `type` has a `struct model_args model`. */
#define MODEL_OPTION_ROWS(type)                                                                                      \
    {"threads", 't', OPTION_INT, "N", "threads; default: one for each physical core", offsetof(type, model.threads), \
     1,         1024},                                                                                               \
        {"cpu",                                                                                                      \
         0,                                                                                                          \
         OPTION_TEXT,                                                                                                \
         "LEVEL",                                                                                                    \
         "highest kernel level: ref; avx2, avx512, amx; neon, dotprod, i8mm; default: the best",                     \
         offsetof(type, model.cpu),                                                                                  \
         0,                                                                                                          \
         0},                                                                                                         \
        {"math",                                                                                                     \
         0,                                                                                                          \
         OPTION_TEXT,                                                                                                \
         "exact|fast",                                                                                               \
         "fast: F16 and BF16 prompts quicker (AVX512-BF16), other bits; default: exact",                             \
         offsetof(type, model.math),                                                                                 \
         0,                                                                                                          \
         0},                                                                                                         \
        {"mmap",                                                                                                     \
         0,                                                                                                          \
         OPTION_TEXT,                                                                                                \
         "auto|on|off",                                                                                              \
         "off: weights are copied into large pages when it opens; default: auto",                                    \
         offsetof(type, model.mmap),                                                                                 \
         0,                                                                                                          \
         0},                                                                                                         \
        {"lora",                                                                                                     \
         0,                                                                                                          \
         OPTION_LIST,                                                                                                \
         "FILE[=SCALE]",                                                                                             \
         "add a LoRA adapter: a GGUF, or PEFT's folder (may be repeated)",                                           \
         offsetof(type, model.loras),                                                                                \
         0,                                                                                                          \
         0},                                                                                                         \
        {"arch", 0, OPTION_FILE, "FILE", "read the architecture from this .arch file", offsetof(type, model.arch),   \
         0,      0},                                                                                                 \
        {"quant",                                                                                                    \
         0,                                                                                                          \
         OPTION_TEXT,                                                                                                \
         WEIGHT_TYPES,                                                                                               \
         "quantize a folder's weights; the result is kept for next time",                                            \
         offsetof(type, model.quant),                                                                                \
         0,                                                                                                          \
         0},                                                                                                         \
    {                                                                                                                \
        "verbose", 0, OPTION_FLAG, NULL, "say more on stderr", offsetof(type, model.verbose), 0, 0                   \
    }

/* A row for a command whose struct `type` has a `const char *kv_type`. */
#define KV_TYPE_ROW(type)                                                                                              \
    {                                                                                                                  \
        "kv-type", 0, OPTION_TEXT, "f32|f16|q8_0", "type of the KV cache; default: f16", offsetof(type, kv_type), 0, 0 \
    }

enum { MOST_STEP_TOKENS = 1 << 16 };

/* Open what MODEL names. False with a sentence on stderr. `max_step_tokens`: 0 is the library's default. */
bool model_open(andiron_model **out, const char *name, const struct model_args *args, size_t max_step_tokens,
                bool vocab_only);
/* The same for a model whose vectors are wanted. */
bool model_open_embeddings(andiron_model **out, const char *name, const struct model_args *args,
                           size_t max_step_tokens);
/* The library's view of `args`, which lives as long as `args` and `paths`. */
enum { MOST_LORAS = 16 };
struct model_paths {
    char arch_dir[4096], cache_dir[4096], lora_path[MOST_LORAS][4096];
    andiron_lora loras[MOST_LORAS];
};
andiron_model_options model_options(const struct model_args *args, struct model_paths *paths);
/* For andiron_progress_fn, with what is done as `user`: a line on stderr, with figures where it is a terminal. */
void model_show_progress(void *user, double done);
size_t model_n_vocab(const andiron_model *model);
bool model_reads_source(const andiron_model *model);
size_t model_n_embedded(const andiron_model *model);
/* Let the library's warnings, and with `verbose` what else it says, appear on stderr. */
void model_say_log(bool verbose);

/* Call first in main; the other tells the seconds since. */
void model_mark_start(void);
double model_seconds(void);

#endif
