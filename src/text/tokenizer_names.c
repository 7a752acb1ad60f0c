/* tokenizer_names.c - what a vocabulary's file does not say of its tokens and the field knows by their spelling: which
 * end the model's turn, which are control tokens whatever the file says, which take white space with them.
 *
 * The lists and the order of their rules are llama.cpp's (llama_vocab::impl::load), so that generation stops where it
 * stops there. */
#include "base/error.h"
#include "text/tokenizer_internal.h"

static const char *const ends_turn[] = {
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "<\357\275\234end\342\226\201of\342\226\201sentence\357\275\234>",
    "[e~[",
};

/* Marks of fill-in-the-middle: the first of each list that the vocabulary has is a control token. */
struct middle_mark {
    bool ends; /* ... and ends the turn */
    const char *names[9];
};
static const struct middle_mark middle_marks[] = {
    {false,
     {"<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<\357\275\234fim\342\226\201begin\357\275\234>", "<PRE>",
      "\xE2\x96\x81<PRE>", "<|code_prefix|>", "<|prefix|>"}},
    {false,
     {"<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<\357\275\234fim\342\226\201hole\357\275\234>", "<SUF>",
      "\xE2\x96\x81<SUF>", "<|code_suffix|>", "<|suffix|>"}},
    {false,
     {"<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<\357\275\234fim\342\226\201end\357\275\234>", "<MID>",
      "\xE2\x96\x81<MID>", "<|code_middle|>", "<|middle|>"}},
    {true, {"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"}},
    {true, {"<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"}},
    {true, {"<|file_sep|>"}},
};

/* Tokens of OpenAI's harmony format, shown although they are markup. */
static const char *const shown[] = {"<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"};

enum { MAX_ENDS = sizeof ends_turn / sizeof *ends_turn + sizeof middle_marks / sizeof *middle_marks + 3 };

static int32_t find(const struct tokenizer *t, const char *name) { return tokenizer_find(t, span_of(name)); }

static void add_end(struct tokenizer *t, int32_t id)
{
    if (id >= 0 && !tokenizer_ends_turn(t, id))
        t->ends[t->n_ends++] = id;
}

static void remove_end(struct tokenizer *t, int32_t id)
{
    size_t kept = 0;
    for (size_t i = 0; i < t->n_ends; i++)
        if (t->ends[i] != id)
            t->ends[kept++] = t->ends[i];
    t->n_ends = kept;
}

static bool is_whole(const struct tokenizer *t, size_t id)
{
    return t->kinds[id] == TOKEN_CONTROL || t->kinds[id] == TOKEN_USER_DEFINED || t->kinds[id] == TOKEN_UNKNOWN;
}

/* A tokenizer.json says itself which tokens are matched as wholes; the others stay as they are. False: it stays. */
static bool set_control(struct tokenizer *t, int32_t id)
{
    if (t->hf && !is_whole(t, (size_t)id))
        return false;
    if (!t->hf || t->kinds[id] != TOKEN_UNKNOWN)
        t->kinds[id] = TOKEN_CONTROL;
    return true;
}

static void apply_middle_marks(struct tokenizer *t)
{
    for (size_t i = 0; i < sizeof middle_marks / sizeof *middle_marks; i++) {
        int32_t id = -1;
        for (size_t k = 0; id < 0 && middle_marks[i].names[k]; k++)
            id = find(t, middle_marks[i].names[k]);
        if (id < 0)
            continue;
        if (set_control(t, id) && middle_marks[i].ends)
            add_end(t, id);
    }
}

static bool show(struct tokenizer *t, int32_t id)
{
    if (id < 0 || !set_control(t, id))
        return true;
    t->kinds[id] = TOKEN_USER_DEFINED;
    return tokenizer_set_trait(t, id, TRAIT_MARKUP);
}

static bool is_end(const struct tokenizer *t, int32_t id) { return id >= 0 && tokenizer_ends_turn(t, id); }

/* Spellings that end the turn in one format and not in another. */
static bool apply_exceptions(struct tokenizer *t)
{
    bool calls = is_end(t, find(t, "<|call|>")) || is_end(t, find(t, "<|calls|>"));
    int32_t end = find(t, "<|end|>"), s = find(t, "</s>");
    if (is_end(t, end) && calls && (is_end(t, find(t, "<|return|>")) || is_end(t, find(t, "<|flush|>")))) {
        remove_end(t, end);
        if (!show(t, end))
            return false;
    }
    if (is_end(t, s) && (is_end(t, find(t, "<|tool_response>")) || is_end(t, find(t, "<|plamo:eos|>")))) {
        remove_end(t, s);
        t->kinds[s] = TOKEN_NORMAL;
    }
    return true;
}

/* Does `name` hold `part` (lower case), whatever the case of `name`? */
static bool holds(struct span name, const char *part)
{
    size_t n = strlen(part);
    for (size_t i = 0; i + n <= name.n; i++) {
        size_t k = 0;
        for (; k < n; k++) {
            char c = name.p[i + k];
            if ((c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c) != part[k])
                break;
        }
        if (k == n)
            return true;
    }
    return false;
}

static bool strip_left(struct tokenizer *t, const char *name)
{
    int32_t id = find(t, name);
    return id < 0 || tokenizer_set_trait(t, id, TRAIT_STRIP_LEFT);
}

static bool apply_strips(struct tokenizer *t)
{
    struct span pre = t->source.pre, name = t->source.name;
    if (holds(pre, "jina-v2-de") || holds(pre, "jina-v2-es") || holds(pre, "jina-v2-code"))
        return strip_left(t, "<mask>");
    if (!holds(name, "phi-3") && !holds(name, "phi3"))
        return !holds(name, "modern-bert") || strip_left(t, "[MASK]");
    for (size_t id = 0; id < t->source.n_tokens; id++)
        if (is_whole(t, id) && !tokenizer_set_trait(t, (int32_t)id, TRAIT_STRIP_RIGHT))
            return false;
    static const char *const plain[] = {"<unk>", "<s>", "<|endoftext|>"};
    for (size_t i = 0; t->traits && i < sizeof plain / sizeof *plain; i++) {
        int32_t id = find(t, plain[i]);
        if (id >= 0)
            t->traits[id] &= (uint8_t)~TRAIT_STRIP_RIGHT;
    }
    return true;
}

static bool apply(struct tokenizer *t)
{
    apply_middle_marks(t);
    for (size_t i = 0; i < sizeof ends_turn / sizeof *ends_turn; i++) {
        int32_t id = find(t, ends_turn[i]);
        if (id >= 0 && set_control(t, id))
            add_end(t, id);
    }
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
        if (!show(t, find(t, shown[i])))
            return false;
    for (size_t i = 0; i < t->source.n_ends; i++) {
        set_control(t, t->source.ends[i]);
        add_end(t, t->source.ends[i]);
    }
    add_end(t, t->source.eos);
    add_end(t, t->source.eot);
    add_end(t, t->source.eom);
    t->source.ends = NULL; /* they are the caller's */
    t->source.n_ends = 0;
    return apply_exceptions(t) && apply_strips(t);
}

andiron_status names_apply(struct tokenizer *t, andiron_error *error)
{
    t->ends = arena_alloc(&t->arena, MAX_ENDS + t->source.n_ends, sizeof *t->ends);
    if (!t->ends || !apply(t))
        return error_memory(error, t->source.n_tokens, "what is known of tokens");
    return ANDIRON_OK;
}
