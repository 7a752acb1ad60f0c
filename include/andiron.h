/* andiron.h - the whole public interface.
 *
 * The objects, each living inside the one above it:
 *     andiron_model     weights, architecture, tokenizer; read-only once open, shared by threads
 *     andiron_session   one growing text: its tokens and its KV cache
 *     andiron_batch     a step of work: tokens of one or many sessions, computed together
 *     andiron_sampler   picks the next token from scores
 *     andiron_error     caller's memory; filled only when a call fails
 *
 * Ownership: what you open, you close; NULL may be closed. A `const` pointer you pass is borrowed for that call only.
 * A pointer you are handed belongs to the object you asked and lives until that object's next non-const call.
 * Close sessions and batches before their model.
 *
 * Threads: a model may be used by many threads, but steps run one at a time (a second caller waits). A session, batch
 * or sampler belongs to one thread at a time. */
#ifndef ANDIRON_H
#define ANDIRON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ANDIRON_VERSION "0.1.0"
#define ANDIRON_API __attribute__((visibility("default")))

/* ---- errors and log ---- */

typedef enum {
    ANDIRON_OK = 0,
    ANDIRON_E_MEMORY,   /* an allocation failed, or would not fit; the object is unchanged */
    ANDIRON_E_IO,       /* the system refused a file */
    ANDIRON_E_FORMAT,   /* the file breaks its own format; never trust it */
    ANDIRON_E_SUPPORT,  /* well formed, but this build cannot run it */
    ANDIRON_E_FULL,     /* the session's context has no room left */
    ANDIRON_E_ARGUMENT, /* the caller asked for something that cannot be */
} andiron_status;

typedef struct {
    andiron_status status;
    char text[480]; /* one line for a person: what, where, what to do */
} andiron_error;

typedef enum { ANDIRON_LOG_DEBUG, ANDIRON_LOG_INFO, ANDIRON_LOG_WARN } andiron_log_level;
typedef void (*andiron_log_fn)(void *user, andiron_log_level level, const char *line);

/* The library prints nothing; it says things here. Set it before anything else; NULL: silence. */
ANDIRON_API void andiron_set_log(andiron_log_fn log, void *user);
ANDIRON_API const char *andiron_version(void);

/* Where describing calls write: called with successive pieces of text; return false to stop early. */
typedef bool (*andiron_write_fn)(void *user, const char *text, size_t n);

/* Told now and then while something long is done: which part of it is, from 0 to 1. */
typedef void (*andiron_progress_fn)(void *user, double done);

/* ---- model ---- */

typedef struct andiron_model andiron_model;
typedef struct andiron_session andiron_session;
typedef struct andiron_batch andiron_batch;
typedef struct andiron_sampler andiron_sampler;
typedef int32_t andiron_token;

/* A LoRA adapter: a GGUF as llama.cpp's converter writes it, or, where the model is a Hugging Face folder, a folder as
 * PEFT writes it. */
typedef struct {
    const char *path;
    float scale; /* of what it adds; 1: as it was trained */
} andiron_lora;

typedef struct {
    const char *arch_path;     /* read the architecture from this .arch file */
    const char *arch_dir;      /* else from NAME.arch in this folder; else from the build; else from the model file */
    const char *cpu;           /* highest level: "ref"; "avx2", "avx512", "amx"; "neon", "dotprod", "i8mm"; or NULL */
    const char *math;          /* "exact" or NULL: the same bits on any CPU, in any batch; "fast": see below */
    const char *mmap;          /* "auto" or NULL, "on", "off": where weights are read from; see below */
    int n_threads;             /* 0: one for each physical core this process may use */
    size_t max_step_tokens;    /* most tokens of one step (ubatch); 0: 512 */
    bool vocab_only;           /* read metadata and tokenizer only; no session can be opened */
    bool embeddings;           /* for andiron_session_embed: of a model that gives scores, take its last row instead */
    const andiron_lora *loras; /* [n_loras] added to the model's weights, all of them, for as long as it is open */
    size_t n_loras;
    /* Of a Hugging Face folder: quantize it to a type of andiron_convert, kept as cache_dir/quant/DIGEST.gguf and found
     * there next time, unless a file of the folder has changed in size or time. NULL: the weights as they are. */
    const char *quant;
    const char *cache_dir;
    andiron_progress_fn progress; /* while that takes place; first with 0. NULL: silence */
    void *user;
} andiron_model_options; /* all zero is a good default */

/* With mmap "on", weights are read from the file as it is mapped: a model opens at once, and processes share it. With
 * "off" (on Linux), they are copied into large pages of the process while the model opens, spread over its NUMA nodes:
 * what the file holds later is not seen. "auto": copied where that takes at most an eighth of the memory available and
 * gains, since there are several nodes, or the file lies in small pages, as one that was just written. Answers are the
 * same. */

/* With math "fast", 4 tokens and more of a step meet F16 and BF16 weights as numbers rounded to BF16, the former
 * rounded, too, where the CPU has a dot product for them (AVX512-BF16): up to twice as fast. Answers may then differ
 * between CPUs, and with what shares a step: batches, where a prompt is cut, whether a token was read or generated.
 * On any other CPU, below level "avx512" and for weights of other types it is the same as "exact". */

typedef struct {
    const char *architecture; /* "llama" */
    const char *name;         /* general.name, or "" */
    const char *cpu;          /* level in use */
    int n_threads;
    size_t n_vocab, n_layer, n_embd, n_ctx_train;
    size_t n_embedded; /* tokens that it reads: 0 to n_embedded - 1; n_vocab where it embeds is another number */
    bool embeds;       /* gives a vector of n_vocab numbers for each token, not scores */
    bool reads_source; /* writes a text about another one, its source (encoder-decoder): andiron_session_read_source */
    andiron_token first_token;  /* such a text begins with it, */
    andiron_token forced_token; /* and has this one next, as a language's; -1: none */
    uint64_t n_params;          /* weights, counted as numbers */
    uint64_t file_bytes;        /* of all split files */
    uint64_t weight_bytes;      /* read for each generated token */
} andiron_model_info;

/* Map the GGUF at `path` (of a split model: its first file) and bind its tensors to their architecture. Weights stay in
 * the page cache and are read when first used, so this returns at once. */
ANDIRON_API andiron_status andiron_model_open(andiron_model **out, const char *path,
                                              const andiron_model_options *options, andiron_error *error);
ANDIRON_API void andiron_model_close(andiron_model *model);
ANDIRON_API void andiron_model_get_info(const andiron_model *model, andiron_model_info *info);

typedef enum {
    ANDIRON_DESCRIBE_METADATA = 1, /* every key */
    ANDIRON_DESCRIBE_TENSORS = 2,  /* every tensor: name, type, shape, bytes */
    ANDIRON_DESCRIBE_GRAPH = 4,    /* the expanded graph with shapes, types and memory */
    ANDIRON_DESCRIBE_JSON = 8,     /* one JSON object instead of text */
} andiron_describe_flags;

/* Write what is in the file at `path`: a summary, whether this build can run it and if not why, and the memory it needs
 * with a context of `n_ctx` tokens (0: the model's own) kept as `kv_type` (NULL: "f16"). Fails only when the file
 * cannot be read as a GGUF; an architecture that cannot run is part of the description. */
ANDIRON_API andiron_status andiron_describe(const char *path, const andiron_model_options *options, size_t n_ctx,
                                            const char *kv_type, unsigned flags, andiron_write_fn write, void *user,
                                            andiron_error *error);

/* ---- conversion ---- */

typedef struct {
    const char *type; /* of matrices: "f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"; "q6_k", "q5_k",
                         "q4_k", "q3_k" or "q2_k", and llama.cpp's names of their mixes ("q4_k_s", ...; without the
                         last letter: _m); NULL: "bf16" where the model holds BF16, else "f16" */
    bool overwrite;   /* a file that is there already */
    int n_threads;    /* 0: one for each physical core this process may use */
    /* Above 0: files of at most so many bytes of weights each (or one matrix), OUT-00001-of-0000N.gguf and so on, as
     * llama.cpp splits them; where all of it fits, one file of the name that was asked for. */
    uint64_t split_bytes;
    size_t *n_files; /* how many were written; NULL: not told */
    andiron_progress_fn progress;
    void *user;
} andiron_convert_options; /* all zero is a good default */

/* Write the model `from`, a Hugging Face folder or a GGUF file, as the GGUF file `path`, which appears whole or not at
 * all. Vectors, routers, positions, and what the model does not multiply with stay F32; tables of tokens become Q8_0
 * where others have 4 or 5 bits; a mix takes more bits where llama.cpp's does. The bytes do not depend on threads or
 * machine. ANDIRON_E_ARGUMENT: `path` is there already, the type is not known or cannot hold a weight.
 * ANDIRON_E_SUPPORT: a model that does not run here, or a tokenizer that GGUF has no words for. ANDIRON_E_FORMAT: the
 * folder contradicts itself. ANDIRON_E_IO, ANDIRON_E_MEMORY. A folder without a tokenizer.json gives a file that takes
 * token ids only. */
ANDIRON_API andiron_status andiron_convert(const char *from, const char *path, const andiron_convert_options *options,
                                           andiron_error *error);

/* ---- tokens ---- */

typedef enum {
    ANDIRON_TOKENIZE_BOS = 1,     /* add what the model wants around a text (BOS, EOS), as its metadata says */
    ANDIRON_TOKENIZE_SPECIAL = 2, /* text that spells a control token becomes that token. Never for users' content */
} andiron_tokenize_flags;

/* Token ids of `n` bytes (any bytes; need not be UTF-8). Writes at most `capacity` ids to `tokens` and the full count
 * to *n_tokens; when that is larger than `capacity` the call still succeeds: ask again with more room. n + 16 is always
 * room enough. */
ANDIRON_API andiron_status andiron_tokenize(const andiron_model *model, const char *text, size_t n, unsigned flags,
                                            andiron_token *tokens, size_t capacity, size_t *n_tokens,
                                            andiron_error *error);
/* The bytes of one token as they stand in the vocabulary's text; may be part of a UTF-8 character. Control tokens give
 * their spelling where `special`, else nothing. An id out of range gives nothing. Belongs to the model. */
ANDIRON_API const char *andiron_token_piece(const andiron_model *model, andiron_token token, bool special, size_t *n);
/* Bytes of a sequence, as andiron_tokenize was given them (a space that the tokenizer put in front is taken away).
 * Writes at most `capacity` bytes, the full count to *n. */
ANDIRON_API andiron_status andiron_detokenize(const andiron_model *model, const andiron_token *tokens, size_t n_tokens,
                                              bool special, char *text, size_t capacity, size_t *n,
                                              andiron_error *error);
/* Does this token end the model's turn (end of sequence, end of turn, ...)? */
ANDIRON_API bool andiron_token_ends_turn(const andiron_model *model, andiron_token token);

/* ---- chat ---- */

typedef struct {
    const char *role;    /* "system", "user", "assistant" or another that the model's template knows */
    const char *content; /* UTF-8 */
} andiron_message;

/* The model's chat template over `messages`, as token ids: markup becomes control tokens, content never does. With
 * `add_generation` the prompt ends where the assistant's answer begins. Buffers as in andiron_tokenize. A model without
 * a template is an ANDIRON_E_SUPPORT error. */
ANDIRON_API andiron_status andiron_chat_tokens(const andiron_model *model, const andiron_message *messages,
                                               size_t n_messages, bool add_generation, andiron_token *tokens,
                                               size_t capacity, size_t *n_tokens, andiron_error *error);
ANDIRON_API bool andiron_model_has_chat(const andiron_model *model);

/* ---- sessions ---- */

typedef struct {
    size_t n_ctx;        /* most tokens it may hold; 0: the least of the model's own and 4,096 */
    const char *kv_type; /* cache: "f32", "f16" (also NULL) or "q8_0" */
} andiron_session_options;

/* Refused with the figures when the cache at full length would not fit the memory there is. Pages are taken as the text
 * grows. */
ANDIRON_API andiron_status andiron_session_open(andiron_session **out, andiron_model *model,
                                                const andiron_session_options *options, andiron_error *error);
ANDIRON_API void andiron_session_close(andiron_session *session);
ANDIRON_API size_t andiron_session_length(const andiron_session *session);   /* tokens held */
ANDIRON_API size_t andiron_session_capacity(const andiron_session *session); /* n_ctx */

/* Forget all but the first `n_tokens` tokens. */
ANDIRON_API andiron_status andiron_session_truncate(andiron_session *session, size_t n_tokens, andiron_error *error);
/* Of a model that reads a source (info.reads_source): read this one, in one step, and begin a new text about it, which
 * is empty and wants info.first_token first. ANDIRON_E_FULL: more tokens than a step or the context holds. */
ANDIRON_API andiron_status andiron_session_read_source(andiron_session *session, const andiron_token *tokens,
                                                       size_t n_tokens, andiron_error *error);
/* Add `tokens` to the session, in steps of at most the model's max_step_tokens; afterwards andiron_session_logits has
 * the scores of the last. ANDIRON_E_FULL, with nothing added, when they do not all fit. A model whose tokens see what
 * follows them reads all of the text again, in one step. */
ANDIRON_API andiron_status andiron_session_append(andiron_session *session, const andiron_token *tokens,
                                                  size_t n_tokens, andiron_error *error);
/* Make the session's text exactly `tokens`. The longest prefix it already holds is kept; only the rest is computed (at
 * least the last token). *n_kept, if not NULL, tells how many were kept. */
ANDIRON_API andiron_status andiron_session_sync(andiron_session *session, const andiron_token *tokens, size_t n_tokens,
                                                size_t *n_kept, andiron_error *error);
typedef enum {
    ANDIRON_POOLING_MODEL, /* as the file's pooling_type says; else the mean for models that read whole texts, else last
                            */
    ANDIRON_POOLING_MEAN,
    ANDIRON_POOLING_FIRST, /* the first token's vector (CLS) */
    ANDIRON_POOLING_LAST,
} andiron_pooling;

/* One vector for a text: out f32 [n_embd of the output], of length 1 where `normalize` and it is not the scores of
 * classes (pooling_type rank). The session's own text is replaced by `tokens` (at least one). For models that embed, or
 * were opened with `embeddings`; ANDIRON_E_FULL when the tokens do not fit the context, or, where the model reads whole
 * texts, one step. */
ANDIRON_API andiron_status andiron_session_embed(andiron_session *session, const andiron_token *tokens, size_t n_tokens,
                                                 andiron_pooling pooling, bool normalize, float *out,
                                                 andiron_error *error);
/* Scores for the next token, f32 [n_vocab]; NULL before the first token. */
ANDIRON_API const float *andiron_session_logits(const andiron_session *session);

/* ---- batches: many sessions in one step ---- */

/* Room for max_step_tokens rows. */
ANDIRON_API andiron_status andiron_batch_open(andiron_batch **out, andiron_model *model, andiron_error *error);
ANDIRON_API void andiron_batch_close(andiron_batch *batch);
ANDIRON_API void andiron_batch_clear(andiron_batch *batch);
/* Add the next token of `session`; tokens of one session follow each other in the order they are added. The session's
 * length changes when the batch runs. ANDIRON_E_FULL: the batch or the session has no room; nothing was added.
 * `wants_logits`: scores after this token will be asked for. */
ANDIRON_API andiron_status andiron_batch_add(andiron_batch *batch, andiron_session *session, andiron_token token,
                                             bool wants_logits, andiron_error *error);
ANDIRON_API size_t andiron_batch_length(const andiron_batch *batch);
/* Compute the step. On failure no session has changed. The result stays until the next clear or run. */
ANDIRON_API andiron_status andiron_batch_run(andiron_batch *batch, andiron_error *error);
/* Scores after the `row`th added token, f32 [n_vocab], for a row that wanted them. Computed when asked for, a few rows
 * at a time, so that memory stays small: ask in rising order, and before another step runs on the model. NULL: the row
 * did not ask, the batch has not run, or another step came after it. */
ANDIRON_API const float *andiron_batch_logits(andiron_batch *batch, size_t row);

/* ---- sampling ---- */

typedef struct {
    andiron_token token;
    float bias; /* added to its score; -INFINITY forbids it */
} andiron_logit_bias;

typedef struct {
    float temperature;       /* 0: greedy, the best score (the lowest id of equals) */
    int top_k;               /* keep the k best; 0: all */
    float top_p;             /* keep the fewest that reach this probability; 0 or 1: all */
    float min_p;             /* keep those with at least this part of the best one's probability; 0: all */
    float repeat_penalty;    /* divide positive and multiply negative scores of recent tokens; 0 or 1: off */
    float frequency_penalty; /* subtract this for each recent occurrence */
    float presence_penalty;  /* subtract this once for each recent token */
    int penalty_window;      /* how many recent tokens count; 0: 64; -1: all */
    uint64_t seed;           /* same seed, same model, same prompt: same answer */
    const andiron_logit_bias *bias;
    size_t n_bias;
} andiron_sampler_options; /* all zero: greedy */

/* Order: bias, penalties, top-k, top-p, min-p, temperature, draw. Top-p and min-p see probabilities at temperature 1.
 */
ANDIRON_API andiron_status andiron_sampler_open(andiron_sampler **out, const andiron_model *model,
                                                const andiron_sampler_options *options, andiron_error *error);
ANDIRON_API void andiron_sampler_close(andiron_sampler *sampler);
/* Pick from f32 [n_vocab] scores and remember the token for penalties. */
ANDIRON_API andiron_token andiron_sampler_next(andiron_sampler *sampler, const float *logits);
/* Remember a token that was not picked here (a prompt's). */
ANDIRON_API void andiron_sampler_accept(andiron_sampler *sampler, andiron_token token);

/* ---- generation: the whole loop ---- */

typedef enum {
    ANDIRON_STOP_TURN,      /* the model ended its turn */
    ANDIRON_STOP_TEXT,      /* a stop string appeared; it is not part of the output */
    ANDIRON_STOP_LENGTH,    /* max_tokens were produced */
    ANDIRON_STOP_FULL,      /* the session's context is full */
    ANDIRON_STOP_CANCELLED, /* the callback returned false */
} andiron_stop_reason;

typedef struct {
    size_t max_tokens;       /* 0: until the context is full */
    const char *const *stop; /* stop strings; text that may become one is held back until it is known */
    size_t n_stop;
    /* Called with whole UTF-8 characters as they come (bytes that never become one are replaced by U+FFFD), and with
     * n = 0 after a token that gave no text yet. Return false to stop. */
    andiron_write_fn write;
    void *user;
} andiron_generate_options;

typedef struct {
    andiron_stop_reason reason;
    size_t n_tokens;   /* produced, without the one that ended the turn */
    uint64_t first_ns; /* from the call to the first token */
    uint64_t total_ns;
} andiron_generate_result;

/* Continue a session whose logits are known (after append or sync), token by token. Produced tokens become part of the
 * session; a token that ends the turn does too where there is room. */
ANDIRON_API andiron_status andiron_generate(andiron_session *session, andiron_sampler *sampler,
                                            const andiron_generate_options *options, andiron_generate_result *result,
                                            andiron_error *error);

/* ---- the machine ---- */

typedef struct {
    double read_bytes_per_s; /* memory read bandwidth, all threads */
    double int8_ops_per_s;   /* 8-bit dot products, multiply and add counted as two, all threads */
    double f32_flops_per_s;  /* fused multiply-adds, counted as two, all threads */
} andiron_roofs;

/* Measure what this machine can do with the model's threads and level; takes about a second. */
ANDIRON_API andiron_status andiron_measure_roofs(andiron_model *model, andiron_roofs *roofs, andiron_error *error);
/* Most memory this process ever held resident, in bytes; 0 where the system does not say. */
ANDIRON_API size_t andiron_peak_bytes(void);

#ifdef __cplusplus
}
#endif
#endif
