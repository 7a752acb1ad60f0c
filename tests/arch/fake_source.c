/* fake_source.c - metadata and tensors from comments. */
#include "fake_source.h"
#include "base/types.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char small_llama[] = "#= token_embd.weight 64 128\n"
                                  "#= output_norm.weight 64\n"
                                  "#= blk.N.attn_norm.weight 64\n"
                                  "#= blk.N.ffn_norm.weight 64\n"
                                  "#= blk.N.attn_q.weight 64 64\n"
                                  "#= blk.N.attn_k.weight 64 32\n"
                                  "#= blk.N.attn_v.weight 64 32\n"
                                  "#= blk.N.attn_output.weight 64 64\n"
                                  "#= blk.N.ffn_gate.weight 64 96\n"
                                  "#= blk.N.ffn_up.weight 64 96\n"
                                  "#= blk.N.ffn_down.weight 96 64\n"
                                  "#: context_length 128\n"
                                  "#: block_count 2\n"
                                  "#: embedding_length 64\n"
                                  "#: attention.head_count 4\n"
                                  "#: attention.head_count_kv 2\n"
                                  "#: attention.layer_norm_rms_epsilon 1e-5\n";

/* What stands behind `mark key ` on a line of its own. */
static bool find_line(struct span text, const char *mark, const char *key, char out[128])
{
    size_t n_key = strlen(key);
    for (const char *p = text.p, *end = text.p + text.n; p < end;) {
        const char *line_end = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((line_end ? line_end : end) - p);
        if (n > n_key + 4 && n < n_key + 128 && !memcmp(p, mark, 2) && p[2] == ' ' && !memcmp(p + 3, key, n_key) &&
            p[3 + n_key] == ' ') {
            memcpy(out, p + 4 + n_key, n - n_key - 4);
            out[n - n_key - 4] = 0;
            return true;
        }
        p += n + 1;
    }
    return false;
}

static bool find(const struct fake_source *s, const char *mark, const char *key, char out[128])
{
    return find_line(s->text, mark, key, out) || find_line(span_of(small_llama), mark, key, out);
}

static bool number(void *user, const char *key, uint64_t i, double *out, uint64_t *n)
{
    char line[128];
    uint64_t count = 0;
    if (!find(user, "#:", key, line))
        return false;
    char *at = line, *end;
    for (double x = strtod(at, &end); end != at; x = strtod(at, &end)) {
        if (count++ == i)
            *out = x;
        at = end;
    }
    if (n)
        *n = count;
    return i < count;
}

static bool whole(void *user, const char *key, uint64_t i, uint64_t *out, uint64_t *n)
{
    double x;
    if (!number(user, key, i, &x, n) || !(x >= 0 && x < 0x1p53) || x != (double)(uint64_t)x)
        return false;
    *out = (uint64_t)x;
    return true;
}

static bool text(void *user, const char *key, struct span *out)
{
    struct fake_source *s = user;
    static char line[128]; /* one at a time is enough for these tests */
    if (!find(s, "#'", key, line))
        return false;
    *out = span_of(line);
    return true;
}

/* blk.17.x as blk.N.x */
static void any_layer(const char *name, char out[256])
{
    int n = 0;
    if (!strncmp(name, "blk.", 4))
        n = (int)strspn(name + 4, "0123456789");
    if (n)
        snprintf(out, 256, "blk.N%s", name + 4 + n);
    else
        snprintf(out, 256, "%s", name);
}

static const struct weight *weight(void *user, const char *name)
{
    struct fake_source *s = user;
    static const float data[1];
    char any[256], line[128], *end;
    any_layer(name, any);
    for (size_t i = 0; i < s->n_made; i++)
        if (!strcmp(s->names[i], any))
            return &s->made[i];
    if (s->n_made == 64 || strlen(any) >= sizeof s->names[0] || !find(s, "#=", any, line))
        return NULL;
    struct weight *w = &s->made[s->n_made];
    *w = (struct weight){.name = s->names[s->n_made], .type = TYPE_F32, .dims = {1, 1, 1, 1}, .data = data};
    for (char *at = line; w->n_dims < 4; at = end) {
        uint64_t d = strtoull(at, &end, 10);
        if (end == at)
            break;
        w->dims[w->n_dims++] = d;
    }
    w->row_bytes = (size_t)(w->dims[0] & 0xffffff) * sizeof(float);
    memcpy(s->names[s->n_made++], any, strlen(any) + 1);
    return w;
}

void fake_source_init(struct fake_source *s, struct span definition)
{
    memset(s, 0, sizeof *s);
    s->text = definition;
    s->source = (struct arch_source){s, number, whole, text, weight, NULL};
}

bool error_is(const char *text, const char *wanted)
{
    const char *any = strstr(wanted, ".arch:N: ");
    const size_t n = any ? (size_t)(any - wanted) + strlen(".arch:") : 0;
    if (!any)
        return !strcmp(text, wanted);
    return !strncmp(text, wanted, n) && strspn(text + n, "0123456789") > 0 &&
           !strcmp(text + n + strspn(text + n, "0123456789"), wanted + n + 1);
}
