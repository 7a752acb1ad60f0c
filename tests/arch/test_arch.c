/* test_arch.c - the .arch language: what it computes, and what it says of mistakes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "fake_source.h"

struct made {
    struct arena arena;
    struct graph g;
    andiron_error error;
    struct fake_source model;
};

/* Parents of these tests: `loop` inherits itself, `wide` has a mistake, the rest is built in. */
static bool find(void *user, struct span name, struct span *text, const char **file)
{
    if (span_is(name, "loop"))
        *text = span_of("arch loop : loop");
    else if (span_is(name, "wide"))
        *text = span_of("arch wide\nparam x = ,");
    else
        return arch_builtin(user, name, text, file);
    *file = "parent.arch";
    return true;
}

static andiron_status make_span(struct made *m, struct span text)
{
    struct arch *a;
    memset(m, 0, sizeof *m);
    arena_init(&m->arena, 96 << 20);
    fake_source_init(&m->model, text);
    andiron_status s = arch_open(&a, text, "my.arch", find, NULL, &m->error);
    if (!s)
        s = arch_expand(a, &m->model.source, &m->arena, &m->g, &m->error);
    arch_close(a);
    return s;
}

static andiron_status make(struct made *m, const char *text) { return make_span(m, span_of(text)); }

static void unmake(struct made *m) { arena_reset(&m->arena); }

/* ---- values ---- */

/* Each expression must be true: it is the condition under which a graph is returned. */
static const char *const truths[] = {
    "1 + 2 * 3 == 7",
    "(1 + 2) * 3 == 9",
    "10 - 2 - 3 == 5",
    "12 / 3 / 2 == 2",
    "7 % 4 == 3",
    "-2 + 3 == 1",
    "--2 == 2",
    "1 / 4 == 0.25",
    "1e-5 * 1e5 == 1",
    "1.5e2 == 150 and 1.5e+02 == 150 and 0.1 + 0.2 > 0.3 and 3. == 3",
    "2 < 3 and 3 > 2 and 2 <= 2 and 2 >= 2 and 1 != 2",
    "not (1 > 2)",
    "not 0 and 1",
    "0 or 5",
    "(0 or 5) == 1",
    "1 or 1 / 0",
    "not (0 and 1 / 0)",
    "(2 == 2) + (2 == 2) == 2",
    "min(2, 3) == 2 and max(2, 3) == 3",
    "sqrt(16) == 4",
    "floor(2.7) == 2 and floor(-2.5) == -3",
    "log(1) == 0 and log(pow(2, 10)) > 6.9314 and log(pow(2, 10)) < 6.9315",
    "meta(\"block_count\") == 2",
    "meta(\"absent\", 7) == 7",
    "meta(\"list\") == 3 and meta_at(\"list\", 1) == 4 and meta_at(\"list\", 2) == 5",
    "meta(\"block_count\", meta(\"absent\")) == 2 and meta_at(\"list\", 0, 1 / 0) == 3",
    "meta_at(\"block_count\", 17) == 2",
    "meta_at(\"absent\", 1, 9) == 9",
    "meta_text(\"kind\") == \"yarn\" and meta_text(\"absent\", \"x\") != \"yarn\"",
    "has(token_embd) and not has(output) and not has(output.norm)",
    "rows(token_embd) == 128 and columns(token_embd) == 64",
    "rows(output | token_embd) == 128",
    "rows(output | absent | token_embd) == 128",
    "early == 6 and late == 2",
    "of_block(3) == 9",
    "by_name(b: 1, a: 5) == 4",
    "seven == 7",
};

static void expressions_have_their_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof truths / sizeof *truths; i++) {
        char text[1024];
        struct made m;
        snprintf(text, sizeof text,
                 "#: list 3 4 5\n#' kind yarn\narch x\nparam early = late * 3 # of one below\nparam late = "
                 "meta(\"block_count\")\n"
                 "block of_block(n) { if n > 2 { return n * n } return 0 }\nblock by_name(a, b) { return a - b }\n"
                 "param seven = of_block(3) - 2\n"
                 "graph(tokens) { if %s { return embed(tokens, token_embd) } else { return 0 } }",
                 truths[i]);
        if (make(&m, text)) {
            print_error("%s\n%s\n", truths[i], m.error.text);
            fail();
        }
        unmake(&m);
    }
}

/* ---- mistakes ---- */

#define EMBED "x = embed(tokens, token_embd) "
#define GRAPH(body) "arch x\ngraph(tokens) {\n  " body " }"

static const struct {
    const char *text, *error;
} mistakes[] = {
    /* words */
    {"", "my.arch:1: expected \"arch\" and the architecture's name first, got the end of the text"},
    {"graph", "my.arch:1: expected \"arch\" and the architecture's name first, got \"graph\""},
    {"arch x $", "my.arch:1: the character '$' has no meaning here"},
    {"arch x\nparam a = \"open\n", "my.arch:2: expected a closing \" on the same line"},
    {"arch x\nparam a = 1x", "my.arch:2: expected a number such as 32, 0.5 or 1e-5"},
    {"arch x\nparam a = 1e", "my.arch:2: expected a number such as 32, 0.5 or 1e-5"},
    {"arch x\nparam a = 123456789012345678", "my.arch:2: expected a number such as 32, 0.5 or 1e-5"},
    /* structure */
    {"arch if", "my.arch:1: expected the architecture's name, got \"if\""},
    {"arch x\n\nhello", "my.arch:3: expected param, block, graph or a line on folders, got \"hello\""},
    {"arch x\nfolder 3", "my.arch:2: expected a name in quotes, got \"a number\""},
    {"arch x\nneed \"a\" or b", "my.arch:2: expected the path that does as well, got \"b\""},
    {"arch x\nfolder \"\"", "my.arch:2: expected a name in quotes, got \"\""},
    {"arch x\nfolder \"a\" with transposed",
     "my.arch:2: expected a word that docs/arch-language.md lists for such a line, got \"transposed\""},
    {"arch x\nfolder \"a\"\nfolder \"a\"", "my.arch:3: expected each name once, got a second \"a\""},
    {"arch x\nfolder \"a\" {\n  folder \"b\"\n}",
     "my.arch:3: expected config, expect, need, ignore, heed, gguf, tensor, layer, activation, prefix or \"}\", got "
     "\"folder\""},
    {"arch x\ngguf \"a\" as \"b\" and c", "my.arch:2: expected the name of the second tensor in quotes, got \"c\""},
    {"arch x\ngguf \"a\" as \"b\" with halves",
     "my.arch:2: expected a word that docs/arch-language.md lists for such a line, got \"halves\""},
    {"arch x\nconfig \"a\"", "my.arch:2: expected \"as\" and what it is here, got the end of the text"},
    {"arch x\nconfig \"a\" as none", "my.arch:2: expected a name in quotes, got \"none\""},
    {"arch x\nconfig \"a\" * 2 as \"b\"", "my.arch:2: expected the path of the second number, got \"a number\""},
    {"arch x\nconfig -1 as \"b\"", "my.arch:2: expected a name in quotes, got \"-\""},
    {"arch x\nexpect \"a\" as b", "my.arch:2: expected a number, true, false or a text, got \"b\""},
    {"arch x\nprefix \"a.\" as \"b\"", "my.arch:2: expected \"layer\", got \"b\""},
    {"arch x\nconfig \"a\" == 2 as \"b\"", "my.arch:2: expected the text that counts as 1, got \"a number\""},
    {"arch x\ntensor \"a\" as b", "my.arch:2: expected a name in quotes, or none, got \"b\""},
    {"arch x\nlayer \"a\" as \"b.*\"", "my.arch:2: expected a \"*\" in what a name with one stands for, got \"a\""},
    {"arch x\nlayer \"a\" as \"b\"\nlayer \"a\" as \"c\"", "my.arch:3: expected each name once, got a second \"a\""},
    {"arch x\nparam a 3", "my.arch:2: expected \"=\", got \"a number\""},
    {"arch x\nblock a(", "my.arch:2: expected a parameter's name, got the end of the text"},
    {"arch x\nblock a(b, b) { return b }", "my.arch:2: expected each parameter once, got a second \"b\""},
    {"arch x\nblock a() { return 1 }\nblock a() { return 2 }",
     "my.arch:3: expected each block once, got a second \"a\""},
    {"arch x\nparam a = 1\nparam a = 2", "my.arch:3: expected each parameter once, got a second \"a\""},
    {GRAPH("return 0") "\ngraph(tokens) { return 0 }", "my.arch:4: expected one graph, got a second \"graph\""},
    {"arch x\ngraph() { return 0 }", "my.arch:2: expected the graph to have one parameter, as in graph(tokens), got "
                                     "another number of them in \"graph\""},
    {GRAPH("y"), "my.arch:3: expected \"=\", got \"}\""},
    {GRAPH("return"), "my.arch:3: expected an expression, got \"}\""},
    {GRAPH("for l in blocks(1) { }"), "my.arch:3: expected layers(\"blk\", n), got \"blocks\""},
    {GRAPH("return parent"), "my.arch:3: expected \".\" and a block's name after parent, got \"}\""},
    {GRAPH("return a(1 2)"), "my.arch:3: expected \",\" or \")\", got \"a number\""},
    /* parents */
    {"arch x : nobody", "my.arch: the parent \"nobody\" is not known; it must be one of the built-in definitions"},
    {"arch x : loop", "parent.arch: more than 16 parents, the last of them \"loop\"; does one inherit itself?"},
    {"arch x : wide", "parent.arch:2: expected an expression, got \",\""},
    {"arch x", "my.arch:1: expected graph(tokens) { ... } here or in a parent, got none"},
    {GRAPH("return parent.start(tokens)"), "my.arch:3: no parent has a block \"start\""},
    /* names and kinds */
    {GRAPH("return 0"), "my.arch:2: expected the graph to return logits, got the number 0"},
    {GRAPH("x = 0"), "my.arch:2: graph ends without a return"},
    {GRAPH("return embd(tokens)"),
     "my.arch:3: expected the name of a block, function or op before \"(\", got \"embd\""},
    {GRAPH("return tokens(1)"), "my.arch:3: expected the name of a block, function or op before \"(\", got \"tokens\""},
    {GRAPH("return embed(tokens, 3)"), "my.arch:3: embed: expected a tensor's name for table, got the number 3"},
    {GRAPH("return embed(token, token_embd)"),
     "my.arch:3: embed: expected a value of the graph for ids, got \"token\", a tensor's name"},
    {GRAPH("return embed(tokens, toke_embd)"), "my.arch:3: embed: the file has no tensor \"toke_embd.weight\""},
    {GRAPH("return embed(tokens, output | none)"), "my.arch:3: embed: expected a tensor's name for table, got none"},
    {GRAPH("return embed(tokens)"), "my.arch:3: embed: the argument table is missing"},
    {GRAPH("return embed(tokens, token_embd, 3)"), "my.arch:3: embed: argument 3 is one too many, or given twice"},
    {GRAPH("return ngrams(tokens, token_embd, 1, \"a\", \"a\", 0)"),
     "my.arch:3: ngrams: expected a key of the metadata for multipliers, got the number 1"},
    {GRAPH("return ngrams(tokens, token_embd, \"a\", \"a\", \"a\", 0)"),
     "my.arch:3: multipliers: expected \"a\" to be at most 1024 whole numbers in the file's metadata"},
    {"#: a 1 0.5\n" GRAPH("return ngrams(tokens, token_embd, \"a\", \"a\", \"a\", 0)"),
     "my.arch:4: multipliers: number 1 of \"a\" is not a whole one"},
    {"#: a 1 2\n" GRAPH("return ngrams(tokens, token_embd, \"a\", \"a\", \"a\", 1e-5)"),
     "my.arch:4: ngrams: expected end to be a token, got 1e-05"},
    {GRAPH("return embed(tokens, token_embd, ids: tokens)"),
     "my.arch:3: embed: the argument \"ids\" is unknown, or given twice"},
    {GRAPH("return embed(tokens, tabel: token_embd)"),
     "my.arch:3: embed: the argument \"tabel\" is unknown, or given twice"},
    {GRAPH(EMBED "return heads(x, 4)(1)"), "my.arch:3: expected a statement: NAME = ..., return, if or for, got \"(\""},
    {GRAPH(EMBED "return rope(heads(x, 4), 16, 10000, style: \"pair\")"),
     "my.arch:3: rope: expected one of pairs halves for style, got the text \"pair\""},
    {GRAPH(EMBED "return rope(heads(x, 4), \"16\", 10000)"),
     "my.arch:3: rope: expected a number for dims, got the text \"16\""},
    {GRAPH(EMBED "return attend(x, x, x, cache: 1)"),
     "my.arch:3: attend: expected the layer at hand or an earlier one with a cache for cache, got the number 1"},
    {GRAPH(EMBED "return x + token_embd"),
     "my.arch:3: expected numbers, or values of the graph around +, - or *; got a value of "
     "the graph and \"token_embd\", a tensor's name"},
    {GRAPH(EMBED "return x / \"a\""),
     "my.arch:3: expected numbers, or values of the graph around +, - or *; got a value "
     "of the graph and the text \"a\""},
    {GRAPH(EMBED "return x < x"), "my.arch:3: expected numbers, or values of the graph around +, - or *; got a value "
                                  "of the graph and a value of the graph"},
    {GRAPH(EMBED "if x { return x }"), "my.arch:3: expected a condition, got a value of the graph"},
    {GRAPH(EMBED "return x.y"),
     "my.arch:3: expected a layer or a tensor's name before \".\", got a value of the graph"},
    {GRAPH(EMBED "return x | x"), "my.arch:3: expected a tensor's name before \"|\", got a value of the graph"},
    {GRAPH("return -tokens"), "my.arch:3: expected a number, got a value of the graph"},
    {"arch x\nparam p = positions\ngraph(tokens) { return p }",
     "my.arch:2: expected a parameter to be a number or a text, got a value of the graph"},
    /* numbers */
    {GRAPH("return 1 / 0"), "my.arch:3: division by zero"},
    {GRAPH(EMBED "return x / 0"), "my.arch:3: division by zero"},
    {GRAPH("return 5 % 0"), "my.arch:3: expected whole numbers around %, got 5 and 0"},
    {GRAPH("return 5.5 % 2"), "my.arch:3: expected whole numbers around %, got 5.5 and 2"},
    {GRAPH("return 1e99 * 1e99 * 1e99 * 1e99"), "my.arch:3: expected a finite number, got the number inf"},
    {GRAPH("return sqrt(-1)"), "my.arch:3: expected sqrt of one number that is not negative"},
    {GRAPH("return sqrt(\"4\")"), "my.arch:3: expected sqrt of one number that is not negative"},
    {GRAPH("return log(0)"), "my.arch:3: expected log of one number above 0"},
    {GRAPH("return min(1)"), "my.arch:3: expected min of two numbers"},
    {GRAPH("return floor(1e99)"), "my.arch:3: expected floor of one number below 1e15"},
    {GRAPH("return sqrt(x: 4)"), "my.arch:3: sqrt takes its arguments by place, not by name"},
    /* metadata */
    {GRAPH("return meta(\"absent\")"), "my.arch:3: expected \"absent\" in the file's metadata, got none of that kind"},
    {GRAPH("return meta_text(\"block_count\")"),
     "my.arch:3: expected \"block_count\" in the file's metadata, got none of that kind"},
    {GRAPH("return meta(3)"), "my.arch:3: expected meta(\"key\") or meta(\"key\", fallback)"},
    {"#: list 1 2\n" GRAPH("return meta_at(\"list\", 2)"),
     "my.arch:4: expected \"list\" to have a number 2, counted from 0; it has 2"},
    {"#: list 1 2\n" GRAPH("return meta_at(\"list\", 0.5)"),
     "my.arch:4: expected meta_at(\"key\", index) or meta_at(\"key\", index, fallback), the index a whole number"},
    {"#: nan nan\n" GRAPH("return meta(\"nan\")"), "my.arch:4: expected a finite number, got the number nan"},
    {"#: big inf\n" GRAPH("return meta(\"big\")"), "my.arch:4: expected a finite number, got the number inf"},
    {"#: block_count 1152921504606846976\narch x : llama",
     "llama.arch:N: expected 1 to 4096 layers, got the number 1.15292e+18"},
    {"#: block_count -1\narch x : llama", "llama.arch:N: expected 1 to 4096 layers, got the number -1"},
    {"#: block_count 1.5\narch x : llama", "llama.arch:N: expected 1 to 4096 layers, got the number 1.5"},
    {"#: block_count 0\narch x : llama", "llama.arch:N: expected 1 to 4096 layers, got the number 0"},
    {"arch x : llama\nparam n_begin = 65537",
     "my.arch:2: expected n_begin to be a count up to 65536, got the number 65537"},
    {"#: context_length -5\narch x : llama",
     "llama.arch:N: expected n_ctx_train to be a count up to 1e9, got the number -5"},
    {"#: attention.head_count 0\narch x : llama",
     "llama.arch:N: heads: expected n to be a whole number from 1 on, got 0"},
    {"#: attention.head_count 5\narch x : llama",
     "llama.arch:N: heads: expected a number of heads that divides x [64], got 5"},
    /* bounds */
    {"arch x\nblock a(x) { return b(x) }\nblock b(x) { return a(x) }\ngraph(tokens) { return a(tokens) }",
     "my.arch:3: a calls itself, and no block may"},
    {"arch x\nparam a = b\nparam b = a\ngraph(tokens) { return a }", "my.arch:3: the parameter a depends on itself"},
    {GRAPH("for l in layers(\"blk\", 2) { for m in layers(\"blk\", 2) { y = 1 } } return 0"),
     "my.arch:3: layers cannot stand within layers"},
    {GRAPH("for l in layers(\"blk\", 2) { " EMBED
           "h = heads(x, 4) a = attend(h, h, h, cache: l) b = attend(h, h, h, cache: l) } "
           "return b"),
     "my.arch:3: a layer has one cache, and this is its second attend"},
    {GRAPH("for l in layers(\"blk\", 2) { " EMBED
           "h = heads(x, 4) a = attend(h, h, h, cache: l, open: 1)\nb = attend(h, h, h, cache: l, joins: a)\n"
           "c = attend(h, h, h, cache: l) } return c"),
     "my.arch:5: a layer has one cache, and this is its second attend"},
    {GRAPH("for l in layers(\"blk\", 2) { " EMBED " m = l } h = heads(x, 4) return attend(h, h, h, cache: m)"),
     "my.arch:3: attend: expected the layer at hand or an earlier one with a cache for cache, got the layer blk.1"},
    {"arch x\nblock a(x) { return x }\ngraph(tokens) { return a(1, 2) }", "my.arch:3: a: expected 1 arguments, got 2"},
    {"arch x\nblock a(x) { return x }\ngraph(tokens) { return a(y: 1) }",
     "my.arch:3: a: argument 1 is unknown, or given twice"},
    {"arch x\nblock a(x) { y = x }\ngraph(tokens) { return a(1) }", "my.arch:2: a ends without a return"},
    {"arch x\nblock a(x) { return refuse(\"not this kind\") }\ngraph(tokens) { return a(1) }",
     "my.arch:2: not this kind"},
    {"arch x\ngraph(tokens) { return refuse(1) }", "my.arch:2: expected refuse(\"what is not covered\")"},
};

/* ---- folders ---- */

/* Lines in the order in which they hold: "verb from>to" each. */
static void said_of(struct arch *a, const char *type, char *out, size_t n_bytes)
{
    struct arch_folder f;
    size_t at = 0;
    assert_int_equal(arch_find_folder(a, span_of(type), &f, NULL), ANDIRON_OK);
    out[0] = 0;
    if (!f.type)
        return;
    assert_string_equal(f.type, type);
    for (size_t i = 0; i < f.n && at < n_bytes; i++)
        at += (size_t)snprintf(out + at, n_bytes - at, "%d %.*s>%.*s ", f.lines[i]->verb, (int)f.lines[i]->from.n,
                               f.lines[i]->from.p, (int)f.lines[i]->to.n, f.lines[i]->to.p);
}

static bool find_family(void *user, struct span name, struct span *text, const char **file)
{
    (void)user;
    *file = "family.arch";
    *text = span_of(span_is(name, "elder") ? "arch elder\nfolder \"old\" with halves\nlayer \"q\" as \"elder\""
                                           : "arch library\nlayer \"q\" as \"library\"");
    return true;
}

static void the_nearest_definition_names_a_folders_tensors(void **state)
{
    (void)state;
    struct arch *a;
    char said[200];
    andiron_error e = {0};
    const char *text = "arch child : elder with library\nlayer \"q\" as \"child\"\n"
                       "folder \"new\" with part_turns, encoder { config 2 as \"k\" with real layer \"q\" as none }";
    assert_int_equal(arch_open(&a, span_of(text), "my.arch", find_family, NULL, &e), ANDIRON_OK);
    said_of(a, "new", said, sizeof said);
    assert_string_equal(said, "1 >k 4 q> 4 q>child 4 q>library 4 q>elder ");
    said_of(a, "old", said, sizeof said);
    assert_string_equal(said, "4 q>child 4 q>library 4 q>elder ");
    said_of(a, "other", said, sizeof said);
    assert_string_equal(said, "");
    arch_close(a);
    assert_string_equal(arch_builtin_of_folder(span_of("mistral")), "llama");
    assert_string_equal(arch_builtin_of_folder(span_of("qwen3_next")), "qwen3next");
    assert_null(arch_builtin_of_folder(span_of("mistra")));
    assert_null(arch_builtin_of_folder(span_of("")));
}

static void mistakes_are_named_with_their_place(void **state)
{
    (void)state;
    size_t n_wrong = 0;
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        struct made m;
        andiron_status s = make(&m, mistakes[i].text);
        if (s != ANDIRON_E_FORMAT || !error_is(m.error.text, mistakes[i].error)) {
            print_error("%s\n  expected: %s\n  got:      %s\n", mistakes[i].text, mistakes[i].error,
                        s ? m.error.text : "success");
            n_wrong++;
        }
        unmake(&m);
    }
    assert_int_equal(n_wrong, 0);
}

/* ---- what a hostile text could cost ---- */

static void expect_error(struct buffer *text, const char *words)
{
    struct made m;
    assert_false(text->failed);
    assert_int_equal(make_span(&m, buffer_span(text)), ANDIRON_E_FORMAT);
    if (!strstr(m.error.text, words)) {
        print_error("expected: %s\ngot: %s\n", words, m.error.text);
        fail();
    }
    unmake(&m);
    buffer_reset(text);
    buffer_init(text, 4 << 20);
}

static void repeat(struct buffer *text, size_t n, const char *part)
{
    while (n--)
        buffer_add_text(text, part);
}

static void texts_are_bounded(void **state)
{
    (void)state;
    struct buffer t;
    buffer_init(&t, 4 << 20);
    repeat(&t, 300 << 10, "#");
    expect_error(&t, "a definition has at most 262144 bytes, this one 307200");

    buffer_add_text(&t, "arch x param a = ");
    repeat(&t, 100000, "(");
    expect_error(&t, "less nesting");

    buffer_add_text(&t, "arch x param a = ");
    repeat(&t, 100000, "-");
    expect_error(&t, "less nesting");

    buffer_add_text(&t, "arch x graph(tokens) {");
    repeat(&t, 20000, "if 1 { ");
    expect_error(&t, "less nesting");

    buffer_add_text(&t, "arch x graph(tokens) { if 0 { }");
    repeat(&t, 10000, " else if 0 { }");
    expect_error(&t, "less nesting");

    buffer_add_text(&t, "arch x graph(tokens) { return 1");
    repeat(&t, 100000, "+1");
    buffer_add_text(&t, " }");
    expect_error(&t, "expressions and statements stand more than 512 deep within each other");

    buffer_add_text(&t, "arch x graph(tokens) { return a");
    repeat(&t, 100000, ".b");
    buffer_add_text(&t, " }");
    expect_error(&t, "expressions and statements stand more than 512 deep within each other");

    buffer_reset(&t);
}

static void blocks_are_bounded(void **state)
{
    (void)state;
    struct buffer t;
    buffer_init(&t, 4 << 20);
    /* each block calls the next one twice */
    buffer_add_text(&t, "arch x\nblock b60(x) { return x }\n");
    for (int i = 59; i >= 0; i--)
        buffer_printf(&t, "block b%d(x) { y = b%d(x) return b%d(x) }\n", i, i + 1, i + 1);
    buffer_add_text(&t, "graph(tokens) { return b0(tokens) }");
    expect_error(&t, "the definition takes more than 1000000 steps");

    /* and each value is twice the one before: nodes */
    buffer_add_text(&t, "arch x\nblock b40(x) { return x");
    repeat(&t, 100, " + x");
    buffer_add_text(&t, " }\n");
    for (int i = 39; i >= 0; i--)
        buffer_printf(&t, "block b%d(x) { return b%d(b%d(x)) }\n", i, i + 1, i + 1);
    buffer_add_text(&t, "graph(tokens) { return b0(embed(tokens, token_embd)) }");
    expect_error(&t, "expected at most 131072 nodes in a graph, got one more");

    buffer_add_text(&t, "arch x\nblock b100(x) { return x }\n");
    for (int i = 99; i >= 0; i--)
        buffer_printf(&t, "block b%d(x) { return b%d(x) }\n", i, i + 1);
    buffer_add_text(&t, "graph(tokens) { return b0(tokens) }");
    expect_error(&t, "blocks call each other more than 64 deep");

    buffer_add_text(&t, "arch x\ngraph(tokens) {");
    for (int i = 0; i < 100; i++)
        buffer_printf(&t, "v%d = 1\n", i);
    buffer_add_text(&t, "return tokens }");
    expect_error(&t, "a block has at most 96 variables");

    buffer_add_text(&t, "arch x\ngraph(tokens) { return ");
    repeat(&t, 200, "a_rather_long_name.");
    buffer_add_text(&t, "x }");
    expect_error(&t, "a tensor's name has at most 192 bytes");

    buffer_add_text(&t, "arch x\ngraph(tokens) { return min(1");
    repeat(&t, 30, ", 1");
    expect_error(&t, "at most 24 arguments");

    buffer_add_text(&t, "arch x\n");
    for (int i = 0; i < 600; i++)
        buffer_printf(&t, "param p%d = 1\n", i);
    expect_error(&t, "expected at most 512 parameters, got one more");

    buffer_add_text(&t, "arch x\n");
    for (int i = 0; i < 600; i++)
        buffer_printf(&t, "block p%d() { return 1 }\n", i);
    expect_error(&t, "expected at most 512 blocks, got one more");
    buffer_reset(&t);
}

/* ---- graphs ---- */

static void numbers_around_values(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum op op;
        double number;
    } all[] = {
        {"x + 3", OP_add, 3}, {"3 + x", OP_add, 3}, {"x - 3", OP_add, -3},   {"3 - x", OP_add, 3},
        {"x * 3", OP_mul, 3}, {"3 * x", OP_mul, 3}, {"x / 4", OP_mul, 0.25},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char text[256];
        struct made m;
        snprintf(text, sizeof text, GRAPH(EMBED "return %s"), all[i].text);
        assert_int_equal(make(&m, text), ANDIRON_OK);
        const struct node *n = &m.g.nodes[m.g.output];
        assert_int_equal(n->op, all[i].op);
        assert_int_equal(n->arg[1].value, -1);
        assert_true(n->arg[2].number == all[i].number);
        assert_true(strcmp(all[i].text, "3 - x") || (n[-1].op == OP_mul && n[-1].arg[2].number == -1));
        unmake(&m);
    }
}

static void nodes_know_where_they_come_from(void **state)
{
    (void)state;
    struct made m;
    assert_int_equal(make(&m, "#: block_count 3\n#= blk.N.attn_q.bias 64\narch x : llama\n"
                              "block gate(x) { y = relu(x)\n return y * 2 - y + -1 }"),
                     ANDIRON_OK);
    size_t n_relu = 0, n_bias = 0;
    for (size_t i = 0; i < m.g.n_nodes; i++) {
        const struct node *n = &m.g.nodes[i];
        n_bias += n->op == OP_linear && n->arg[2].weight != NULL;
        if (n->op != OP_relu)
            continue;
        assert_string_equal(n->label, "y");
        assert_string_equal(n->file, "my.arch");
        assert_int_equal(n->line, 4);
        assert_int_equal(n->layer, n_relu++);
        assert_int_equal(n[1].op, OP_mul);
        assert_string_equal(n[1].label, "gate");
        assert_true(n[1].arg[2].number == 2 && n[2].arg[2].number == -1 && n[3].op == OP_add &&
                    n[4].arg[2].number == -1);
    }
    assert_int_equal(n_relu, 3);
    assert_int_equal(n_bias, 3);
    assert_int_equal(m.g.n_caches, 3);
    assert_int_equal(m.g.n_ctx_train, 128);
    assert_string_equal(m.g.nodes[m.g.output].label, "word_scores");
    assert_string_equal(m.g.nodes[m.g.output].file, "llama.arch");
    assert_int_equal(m.g.nodes[m.g.output].layer, -1);
    unmake(&m);
}

/* Query, key and value of the first layer are each `op` of what llama has. */
static void scaling_reaches_rope(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double linear, yarn, magnitude;
    } all[] = {
        {"arch x : llama", 1, 0, 1},
        {"#: rope.scaling.factor 4\narch x : llama", 4, 0, 1},
        {"#: rope.scale_linear 2\narch x : llama", 2, 0, 1},
        {"#' rope.scaling.type none\n#: rope.scaling.factor 4\narch x : llama", 1, 0, 1},
        {"#' rope.scaling.type linear\n#: rope.scaling.factor 0\narch x : llama", 1, 0, 1},
        {"#' rope.scaling.type yarn\n#: rope.scaling.factor 4\narch x : llama", 1, 4, 1.13862943611},
        {"#' rope.scaling.type longrope\n#: rope.scaling.attn_factor 1.19\narch x : llama", 1, 0, 1.19},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct made m;
        assert_int_equal(make(&m, all[i].text), ANDIRON_OK);
        size_t at = 0;
        while (m.g.nodes[at].op != OP_rope)
            at++;
        const union arg *a = m.g.nodes[at].arg;
        assert_true(a[6].number == all[i].linear && a[7].number == all[i].yarn);
        assert_true(a[11].number - all[i].magnitude < 1e-9 && all[i].magnitude - a[11].number < 1e-9);
        unmake(&m);
    }
}

static void names_are_the_built_in_ones(void **state)
{
    (void)state;
    size_t n = 0;
    for (const char *name, *before = ""; (name = arch_builtin_name(n)); before = name, n++) {
        struct arch *a;
        struct span text;
        const char *file;
        andiron_error e;
        assert_true(strcmp(before, name) != 0);
        assert_true(arch_builtin(NULL, span_of(name), &text, &file));
        assert_int_equal(arch_open(&a, text, file, arch_builtin, NULL, &e), ANDIRON_OK);
        assert_string_equal(arch_name(a), name);
        arch_close(a);
    }
    assert_true(n > 100);
    assert_null(arch_builtin_name(1000));
    struct span text;
    const char *file;
    assert_false(arch_builtin(NULL, span_of("llam"), &text, &file));
    arch_close(NULL);
}

static void failing_allocations_are_errors(void **state)
{
    (void)state;
    for (int64_t i = 0;; i++) {
        struct made m;
        alloc_fail_after(i);
        andiron_status s = make(&m, "arch x : qwen2");
        alloc_fail_after(-1);
        unmake(&m);
        if (!s)
            break;
        assert_int_equal(s, ANDIRON_E_MEMORY);
        assert_true(i < 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expressions_have_their_values),
        cmocka_unit_test(the_nearest_definition_names_a_folders_tensors),
        cmocka_unit_test(mistakes_are_named_with_their_place),
        cmocka_unit_test(texts_are_bounded),
        cmocka_unit_test(blocks_are_bounded),
        cmocka_unit_test(nodes_know_where_they_come_from),
        cmocka_unit_test(scaling_reaches_rope),
        cmocka_unit_test(names_are_the_built_in_ones),
        cmocka_unit_test(failing_allocations_are_errors),
        cmocka_unit_test(numbers_around_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
