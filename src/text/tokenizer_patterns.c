/* tokenizer_patterns.c - the pre-tokenizers: which patterns belong to which name.
 *
 * What each name stands for, and that it stands for that, is llama.cpp's (src/llama-vocab.cpp of the version that
 * llama-cpp-python 0.3.36 holds); the patterns are the model makers' own, written over classes. */
#include "text/tokenizer_pre.h"

/* Within brackets: ASCII, and the code of enum class_code for the rest. */
#define N "0-9\321"
#define L "A-Za-z\322"
#define P "!-#%-*,\\-./:;?@[\\\\\\]_{}\323"
#define M "\324"
#define S "$+<=>^`|~\325"
#define NOT_ASCII_LOWER "A-Z\322" /* of letters */
#define NOT_ASCII_UPPER "a-z\322"

#define CONTRACTION "'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])"
#define SPACES "\\s+(?!\\S)|\\s+"
#define LINES_SPACES "\\s*[\\r\\n]+|" SPACES
#define BEFORE_WORD "[^\\r\\n" L N "]?"
#define OTHERS " ?[^\\s" L N "]+[\\r\\n]*|"

#define GPT2 "'(?:[stmd]|re|ve|ll)| ?[" L "]+| ?[" N "]+| ?[^\\s" L N "]+|" SPACES
#define WORDS(digits) BEFORE_WORD "[" L "]+|[" N "]" digits "|" OTHERS LINES_SPACES
#define LLAMA3(digits) CONTRACTION "|" WORDS(digits)
#define CASED(upper, lower, end, digits)                                                                        \
    BEFORE_WORD "[" upper "]*[" lower "]+" end "|" BEFORE_WORD "[" upper "]+[" lower "]*" end "|[" N "]" digits \
                "| ?[^\\s" L N "]+[\\r\\n/]*|" LINES_SPACES
#define DEEPSEEK(after_symbols) \
    "[!-/:-@[-`{-~][A-Za-z]+|[^\\r\\n" L P S "]?[" L M "]+| ?[" P S "]+" after_symbols "|" SPACES

/* ---- sets of characters ---- */

#define SET(name) static const struct class_set name = {name##_ranges, sizeof name##_ranges / sizeof *name##_ranges}

/* Letters with case, as DeepSeek's first tokenizer lists them. */
static const struct class_range cased_ranges[] = {
    {0x00B5, 0x00B5, CLASS_MEMBER},   {0x00C0, 0x00D6, CLASS_MEMBER},   {0x00D8, 0x00F6, CLASS_MEMBER},
    {0x00F8, 0x01BA, CLASS_MEMBER},   {0x01BC, 0x01BF, CLASS_MEMBER},   {0x01C4, 0x0293, CLASS_MEMBER},
    {0x0295, 0x02AF, CLASS_MEMBER},   {0x0370, 0x0373, CLASS_MEMBER},   {0x0376, 0x0377, CLASS_MEMBER},
    {0x037B, 0x037D, CLASS_MEMBER},   {0x037F, 0x037F, CLASS_MEMBER},   {0x0386, 0x0386, CLASS_MEMBER},
    {0x0388, 0x038A, CLASS_MEMBER},   {0x038C, 0x038C, CLASS_MEMBER},   {0x038E, 0x03A1, CLASS_MEMBER},
    {0x03A3, 0x03F5, CLASS_MEMBER},   {0x03F7, 0x0481, CLASS_MEMBER},   {0x048A, 0x052F, CLASS_MEMBER},
    {0x0531, 0x0556, CLASS_MEMBER},   {0x10A0, 0x10C5, CLASS_MEMBER},   {0x13A0, 0x13F5, CLASS_MEMBER},
    {0x13F8, 0x13FD, CLASS_MEMBER},   {0x1C90, 0x1CBA, CLASS_MEMBER},   {0x1CBD, 0x1CBF, CLASS_MEMBER},
    {0x1D00, 0x1D2B, CLASS_MEMBER},   {0x1D6B, 0x1D77, CLASS_MEMBER},   {0x1D79, 0x1D9A, CLASS_MEMBER},
    {0x1E00, 0x1F15, CLASS_MEMBER},   {0x1F18, 0x1F1D, CLASS_MEMBER},   {0x1F20, 0x1F45, CLASS_MEMBER},
    {0x1F48, 0x1F4D, CLASS_MEMBER},   {0x1F50, 0x1F57, CLASS_MEMBER},   {0x1F59, 0x1F59, CLASS_MEMBER},
    {0x1F5B, 0x1F5B, CLASS_MEMBER},   {0x1F5D, 0x1F5D, CLASS_MEMBER},   {0x1F5F, 0x1F7D, CLASS_MEMBER},
    {0x1F80, 0x1FB4, CLASS_MEMBER},   {0x1FB6, 0x1FBC, CLASS_MEMBER},   {0x1FBE, 0x1FBE, CLASS_MEMBER},
    {0x1FC2, 0x1FC4, CLASS_MEMBER},   {0x1FC6, 0x1FCC, CLASS_MEMBER},   {0x1FD0, 0x1FD3, CLASS_MEMBER},
    {0x1FD6, 0x1FDB, CLASS_MEMBER},   {0x1FE0, 0x1FEC, CLASS_MEMBER},   {0x1FF2, 0x1FF4, CLASS_MEMBER},
    {0x1FF6, 0x1FFC, CLASS_MEMBER},   {0x2102, 0x2102, CLASS_MEMBER},   {0x2107, 0x2107, CLASS_MEMBER},
    {0x210A, 0x2113, CLASS_MEMBER},   {0x2115, 0x2115, CLASS_MEMBER},   {0x2119, 0x211D, CLASS_MEMBER},
    {0x2124, 0x2124, CLASS_MEMBER},   {0x2126, 0x2126, CLASS_MEMBER},   {0x2128, 0x2128, CLASS_MEMBER},
    {0x212A, 0x212D, CLASS_MEMBER},   {0x212F, 0x2134, CLASS_MEMBER},   {0x2139, 0x2139, CLASS_MEMBER},
    {0x213C, 0x213F, CLASS_MEMBER},   {0x2145, 0x2149, CLASS_MEMBER},   {0x214E, 0x214E, CLASS_MEMBER},
    {0x2183, 0x2184, CLASS_MEMBER},   {0x2C00, 0x2C7B, CLASS_MEMBER},   {0x2C7E, 0x2CE4, CLASS_MEMBER},
    {0x2CEB, 0x2CEE, CLASS_MEMBER},   {0x2CF2, 0x2CF3, CLASS_MEMBER},   {0xA640, 0xA66D, CLASS_MEMBER},
    {0xA680, 0xA69B, CLASS_MEMBER},   {0xA722, 0xA76F, CLASS_MEMBER},   {0xA771, 0xA787, CLASS_MEMBER},
    {0xA78B, 0xA78E, CLASS_MEMBER},   {0xAB70, 0xABBF, CLASS_MEMBER},   {0xFB00, 0xFB06, CLASS_MEMBER},
    {0xFB13, 0xFB17, CLASS_MEMBER},   {0xFF21, 0xFF3A, CLASS_MEMBER},   {0xFF41, 0xFF5A, CLASS_MEMBER},
    {0x10400, 0x1044F, CLASS_MEMBER}, {0x104B0, 0x104D3, CLASS_MEMBER}, {0x104D8, 0x104FB, CLASS_MEMBER},
    {0x10C80, 0x10CB2, CLASS_MEMBER}, {0x10CC0, 0x10CF2, CLASS_MEMBER}, {0x118A0, 0x118DF, CLASS_MEMBER},
    {0x1E900, 0x1E943, CLASS_MEMBER},
};
SET(cased);

/* Punctuation of East Asian text. */
static const struct class_range wide_punctuation_ranges[] = {
    {0x2018, 0x201F, CLASS_MEMBER},
    {0x3000, 0x3002, CLASS_MEMBER},
    {0xFF01, 0xFF0F, CLASS_MEMBER},
    {0xFF1A, 0xFF5E, CLASS_MEMBER},
};
SET(wide_punctuation);

/* What DeepSeek's first tokenizers take for East Asian: much more than that. */
static const struct class_range east_ranges[] = {
    {0x0800, 0x9FA5, CLASS_MEMBER},
    {0xAC00, 0xD7FF, CLASS_MEMBER},
};
SET(east);

/* Kana and common Han characters. */
static const struct class_range kana_han_ranges[] = {
    {0x3040, 0x30FF, CLASS_MEMBER},
    {0x4E00, 0x9FA5, CLASS_MEMBER},
};
SET(kana_han);

/* Scripts without spaces, as AFMoE has them in llama.cpp. */
static const struct class_range asian_ranges[] = {
    {0x0E40, 0x0EFF, CLASS_MEMBER}, {0x1000, 0x109F, CLASS_MEMBER}, {0x1100, 0x11FF, CLASS_MEMBER},
    {0x1780, 0x17FF, CLASS_MEMBER}, {0x2F00, 0x2FDF, CLASS_MEMBER}, {0x3040, 0x30FF, CLASS_MEMBER},
    {0x3400, 0x4DBF, CLASS_MEMBER}, {0x4E00, 0xFAFF, CLASS_MEMBER}, {0xFF65, 0xFF9F, CLASS_MEMBER},
};
SET(asian);

/* Full stops and commas of many scripts. */
static const struct class_range stops_ranges[] = {
    {0x060C, 0x060C, CLASS_MEMBER}, {0x06D4, 0x06D4, CLASS_MEMBER}, {0x0964, 0x0964, CLASS_MEMBER},
    {0x2026, 0x2026, CLASS_MEMBER}, {0x3001, 0x3002, CLASS_MEMBER}, {0xFF0C, 0xFF0C, CLASS_MEMBER},
};
SET(stops);

/* Hangul, East Asian punctuation, Bopomofo, kana and Han. */
static const struct class_range blocks_ranges[] = {
    {0x2014, 0x2014, CLASS_MEMBER_2}, {0x2018, 0x2019, CLASS_MEMBER_2}, {0x201C, 0x201D, CLASS_MEMBER_2},
    {0x2026, 0x2026, CLASS_MEMBER_2}, {0x3001, 0x303F, CLASS_MEMBER_2}, {0x3040, 0x30FF, CLASS_MEMBER_4},
    {0x3105, 0x312F, CLASS_MEMBER_3}, {0x3131, 0x318E, CLASS_MEMBER},   {0x4E00, 0x9FA5, CLASS_MEMBER_4},
    {0xAC00, 0xD7A3, CLASS_MEMBER},   {0xFE30, 0xFE4F, CLASS_MEMBER_2}, {0xFF01, 0xFF01, CLASS_MEMBER_2},
    {0xFF0C, 0xFF0C, CLASS_MEMBER_2}, {0xFF1A, 0xFF1B, CLASS_MEMBER_2},
};
SET(blocks);

/* Blocks of Han characters. */
static const struct class_range han_ranges[] = {
    {0x3400, 0x4DBF, CLASS_HAN},   {0x4E00, 0x9FFF, CLASS_HAN},   {0xF900, 0xFAFF, CLASS_HAN},
    {0x20000, 0x2A6DF, CLASS_HAN}, {0x2A700, 0x2B73F, CLASS_HAN}, {0x2B740, 0x2B81F, CLASS_HAN},
    {0x2B820, 0x2CEAF, CLASS_HAN}, {0x2CEB0, 0x2EBEF, CLASS_HAN}, {0x2F800, 0x2FA1F, CLASS_HAN},
};
SET(han);

/* ---- kinds ---- */

#define BY(text)        \
    {                   \
        .pattern = text \
    }
#define IN(characters, text)                  \
    {                                         \
        .pattern = text, .set = &(characters) \
    }
#define DIGITS(which)               \
    {                               \
        .pattern = "", .how = which \
    }
#define KIND(name, ...) static const struct pre_kind name = {{__VA_ARGS__}}

KIND(gpt2, BY(GPT2));
KIND(starcoder, BY("[" N "]"), BY(GPT2));
KIND(usual, BY("[" P "$+<=>^~|]+"), BY(GPT2), BY("[" N "]+"), BY("[0-9][0-9][0-9]"));
KIND(falcon, BY("[" P "$+<=>^~|`]+"), BY(GPT2), BY("[0-9][0-9][0-9]"));
KIND(llama3, BY(LLAMA3("{1,3}")));
KIND(qwen2, BY(LLAMA3("")));
KIND(ufakzeka, BY(WORDS("")));
KIND(minicpm5, BY("[" N "]{1,3}"), BY(LLAMA3("+")));
KIND(laguna, BY("[^\\n]+|\\n+"), BY(LLAMA3("")));
KIND(lines, BY("[^\\n]+|\\n+"));
KIND(qwen35, BY(CONTRACTION "|" BEFORE_WORD "[" L M "]+|[" N "]| ?[^\\s" L M N "]+[\\r\\n]*|" LINES_SPACES));
KIND(jais2, BY(CONTRACTION "|" BEFORE_WORD "[" L "]+|[" N "]{1,3}|" OTHERS "\\s*[\\r\\n]+|"
                           "\\s{512}(?!\\S)|\\s{256}(?!\\S)|\\s{128}(?!\\S)|\\s{64}(?!\\S)|\\s{32}(?!\\S)|"
                           "\\s{16}(?!\\S)|\\s{8}(?!\\S)|\\s{4}(?!\\S)|\\s{1,2}(?!\\S)|\\s"));
KIND(bailing, BY(CONTRACTION "|" BEFORE_WORD "[" L "]+|[" N "]|" OTHERS "\\s*[\\r\\n]|" SPACES));
KIND(seed_coder, BY(CONTRACTION "|" BEFORE_WORD "[" L "]+|[" N "]| ?[^\\s" L N "]+|" LINES_SPACES));
KIND(exaone_moe, BY(CONTRACTION "|" BEFORE_WORD "[" L "](?:[" L M "]++| (?=[" L "]))*+|[" N "]|"
                                " ?[^\\s" L N "]+[\\r\\n/]?|\\s*[\\r\\n]|" SPACES));
KIND(deepseek_llm, BY("[\\r\\n]"), IN(cased, "\\s?[A-Za-z\326]+"), IN(wide_punctuation, "\\s?[!-/:-~\326]+"),
     BY("(?<!\\s)\\s++\\z"), IN(east, "\326+"), BY("[" N "]+"));
KIND(deepseek_coder, BY("[\\r\\n]"), BY("\\s?[" L "]+"), BY("\\s?[" P "]+"), IN(east, "\326+"), BY("[" N "]"));
KIND(deepseek3, BY("[" N "]{1,3}"), IN(kana_han, "\326+"), BY(DEEPSEEK("[\\r\\n]*|\\s*[\\r\\n]+")));
KIND(spark25, BY("[" N "]{1,3}"), IN(kana_han, "\326+"), BY(DEEPSEEK("|[\\r\\n]")), BY("[" N "]"));
KIND(afmoe, DIGITS(PRE_DIGITS), IN(asian, "\326+"), BY(DEEPSEEK("[\\r\\n]*|\\s*[\\r\\n]+")));
KIND(youtu, IN(blocks, "\326+|\327+|\330+|\331+"), BY(CASED(L M, L M, "(?:" CONTRACTION ")?", "")));
KIND(bloom, IN(stops, " ?[^(\\s|.,!?)\326]+"));
KIND(viking, IN(stops, " ?[^(\\s|.,!?)\326]+"), BY("[" N "]"));
KIND(tekken, BY(CASED(NOT_ASCII_LOWER, NOT_ASCII_UPPER, "", "")));
KIND(gpt4o, BY(CASED(NOT_ASCII_LOWER, NOT_ASCII_UPPER, "(?:" CONTRACTION ")?", "{1,3}")));
KIND(granite_multi, BY(CASED(NOT_ASCII_LOWER M, NOT_ASCII_UPPER M, "(?:" CONTRACTION ")?", "{1,3}")));
KIND(tiny_aya, DIGITS(PRE_DIGITS), BY(CASED(L M, L M, "(?:" CONTRACTION ")?", "{1,3}")));
KIND(chameleon, BY("<sentinel:[0-9]+>"), BY("IMGIMG[A-I]{1,4}Z"), BY("[\\t\\n]|    |  "), BY("[" N "]"),
     BY("[" P "!-/:-@\\[-`{-~]"), BY(GPT2));
KIND(superbpe, BY("[" N "]+"), DIGITS(PRE_ASCII_DIGITS));
KIND(kimi_k2, IN(han, "[\332\333]+|[^\\r\\n" L N "]?[" L "]+(?:" CONTRACTION ")?|[" N "]{1,3}|"
                      " ?[^\\s\332" L N "]+[\\r\\n]*|" LINES_SPACES));

/* ---- names ---- */

static const struct pre_name names[] = {
    {"default", &usual, 0},
    {"llama3", &llama3, PRE_IGNORE_MERGES | PRE_ADD_BOS},
    {"llama-v3", &llama3, PRE_IGNORE_MERGES | PRE_ADD_BOS},
    {"llama-bpe", &llama3, PRE_IGNORE_MERGES | PRE_ADD_BOS},
    {"falcon3", &llama3, PRE_IGNORE_MERGES | PRE_ADD_BOS},
    {"falcon-h1", &llama3, PRE_IGNORE_MERGES | PRE_ADD_BOS},
    {"pixtral", &llama3, PRE_IGNORE_MERGES | PRE_ADD_BOS},
    {"midm-2.0", &llama3, PRE_IGNORE_MERGES | PRE_ADD_BOS},
    {"lfm2", &llama3, PRE_IGNORE_MERGES | PRE_ADD_BOS},
    {"jina-v5-nano", &llama3, PRE_IGNORE_MERGES | PRE_ADD_BOS},
    {"dbrx", &llama3, 0},
    {"smaug-bpe", &llama3, 0},
    {"chatglm-bpe", &llama3, 0},
    {"glm4", &llama3, PRE_IGNORE_MERGES},
    {"glm5", &llama3, PRE_IGNORE_MERGES},
    {"jais-2", &jais2, 0},
    {"minicpm5", &minicpm5, PRE_IGNORE_MERGES},
    {"qwen2", &qwen2, 0},
    {"deepseek-r1-qwen", &qwen2, 0},
    {"kormo", &qwen2, 0},
    {"f2llmv2", &qwen2, 0},
    {"megrez", &qwen2, 0},
    {"stablelm2", &qwen2, 0},
    {"hunyuan", &qwen2, 0},
    {"solar-open", &qwen2, 0},
    {"grok-2", &qwen2, 0},
    {"qwen35", &qwen35, 0},
    {"laguna", &laguna, 0},
    {"ufakzeka", &ufakzeka, 0},
    {"gpt-2", &gpt2, 0},
    {"phi-2", &gpt2, 0},
    {"jina-es", &gpt2, 0},
    {"jina-de", &gpt2, 0},
    {"gigachat", &gpt2, 0},
    {"jina-v2-es", &gpt2, 0},
    {"jina-v2-de", &gpt2, 0},
    {"a.x-4.0", &gpt2, 0},
    {"mellum", &gpt2, 0},
    {"modern-bert", &gpt2, 0},
    {"jina-v1-en", &gpt2, 0},
    {"jina-v2-code", &gpt2, 0},
    {"roberta-bpe", &gpt2, 0},
    {"exaone4", &gpt2, 0},
    {"mpt", &gpt2, 0},
    {"olmo", &gpt2, 0},
    {"jais", &gpt2, 0},
    {"trillion", &gpt2, 0},
    {"granite-docling", &gpt2, 0},
    {"starcoder", &starcoder, 0},
    {"refact", &starcoder, 0},
    {"command-r", &starcoder, 0},
    {"smollm", &starcoder, 0},
    {"codeshell", &starcoder, 0},
    {"exaone", &starcoder, 0},
    {"minerva-7b", &starcoder, 0},
    {"mellum2", &starcoder, 0},
    {"falcon", &falcon, 0},
    {"deepseek-llm", &deepseek_llm, 0},
    {"deepseek-coder", &deepseek_coder, 0},
    {"deepseek-v3", &deepseek3, 0},
    {"hunyuan-dense", &deepseek3, 0},
    {"hy_v4", &deepseek3, 0},
    {"joyai-llm", &deepseek3, 0},
    {"spark2_5", &spark25, 0},
    {"youtu", &youtu, PRE_IGNORE_MERGES},
    {"poro-chat", &bloom, 0},
    {"bloom", &bloom, 0},
    {"gpt3-finnish", &bloom, 0},
    {"viking", &viking, 0},
    {"tekken", &tekken, PRE_IGNORE_MERGES | PRE_ADD_BOS},
    {"gpt-4o", &gpt4o, 0},
    {"llama4", &gpt4o, 0},
    {"kanana2", &gpt4o, 0},
    {"talkie", &gpt4o, 0},
    {"minimax-m2", &gpt4o, 0},
    {"granite-embed-multi-97m", &granite_multi, PRE_IGNORE_MERGES},
    {"tiny_aya", &tiny_aya, 0},
    {"cohere2moe", &tiny_aya, 0},
    {"chameleon", &chameleon, PRE_ADD_BOS},
    {"superbpe", &superbpe, 0},
    {"bailingmoe", &bailing, 0},
    {"bailingmoe2", &bailing, 0},
    {"llada-moe", &bailing, 0},
    {"seed-coder", &seed_coder, 0},
    {"exaone-moe", &exaone_moe, 0},
    {"kimi-k2", &kimi_k2, 0},
    {"afmoe", &afmoe, 0},
    {"gemma4", &lines, PRE_RAW | PRE_ALWAYS_BOS},
    {"granite-embed-multi-311m", &lines, PRE_RAW | PRE_ALWAYS_BOS},
    {"sarvam-moe", &lines, PRE_RAW},
};

const struct pre_name *pre_find(struct span name)
{
    if (!name.n)
        return &names[0];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (span_is(name, names[i].name))
            return &names[i];
    return NULL;
}

void pre_list(struct buffer *out)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (i == 0 || names[i].kind != names[i - 1].kind)
            buffer_printf(out, "%s%s", i ? ", " : "", names[i].name);
}
