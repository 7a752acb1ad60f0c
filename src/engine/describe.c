/* describe.c - what is in a file, whether it will run, and the memory it needs: for a person, or as JSON. */
#include "base/alloc.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/printable.h"
#include "engine/engine.h"
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { OUTPUT_MAX = 1 << 28, TEXT_SHOWN = 120, NAME_SHOWN = 200, ITEMS_SHOWN = 8 };
/* JSON takes some 60 bytes of memory for a number: what a real vocabulary has fits, what a hostile file claims does
 * not. */
enum { JSON_ITEMS_MAX = 1 << 22, JSON_BYTES_MAX = 1 << 26, JSON_TENSORS_MAX = 1 << 18 };

struct description {
    andiron_model *model;
    andiron_error failure; /* status OK: it runs */
    size_t n_ctx;
    enum kv_type kv_type;
    uint64_t kv_bytes, step_bytes;
};

/* ---- metadata ---- */

/* One item of a value as JSON; strings that are not UTF-8 lose their broken bytes. */
static json_t *text_json(struct span s)
{
    json_t *j = json_stringn(s.p ? s.p : "", s.n);
    struct buffer printable;
    if (j)
        return j;
    buffer_init(&printable, OUTPUT_MAX);
    for (size_t i = 0; i < s.n; i++)
        buffer_add(&printable, (unsigned char)s.p[i] < 0x80 ? &s.p[i] : "?", 1);
    j = json_stringn(printable.data ? printable.data : "", printable.n);
    buffer_reset(&printable);
    return j;
}

/* At most `most` bytes of a text, cut between characters. */
static struct span shortened(struct span s, uint64_t most)
{
    if (s.n <= most)
        return s;
    for (s.n = most; s.n && ((unsigned char)s.p[s.n] & 0xc0) == 0x80;)
        s.n--;
    return s;
}

static json_t *item_json(const struct gguf_value *v, uint64_t i, size_t *cursor, uint64_t most_bytes)
{
    double x;
    if (v->item_type == GGUF_STRING) {
        struct span s;
        return gguf_next_text(v, cursor, &s) ? text_json(shortened(s, most_bytes)) : NULL;
    }
    if (!gguf_item_f64(v, i, &x))
        return NULL;
    if (v->item_type == GGUF_BOOL)
        return json_boolean(x != 0);
    if (v->item_type == GGUF_F32 || v->item_type == GGUF_F64)
        return json_real(x);
    return json_integer((json_int_t)x);
}

/* The value with at most so many items, and bytes of each text. */
static json_t *value_json(const struct gguf_value *v, uint64_t most, uint64_t most_bytes)
{
    size_t cursor = 0;
    if (v->type != GGUF_ARRAY)
        return item_json(v, 0, &cursor, most_bytes);
    json_t *list = json_array();
    for (uint64_t i = 0; i < v->n && i < most; i++) {
        json_t *item = item_json(v, i, &cursor, most_bytes);
        json_array_append_new(list, item ? item : json_null()); /* an array within an array, or no number */
    }
    return list;
}

static void add_key(json_t *object, struct span key, json_t *value)
{
    char name[1024];
    int n = snprintf(name, sizeof name, "%.*s", (int)(key.n < 1000 ? key.n : 1000), key.p);
    printable(name, n > 0 ? (size_t)n : 0, false); /* JSON has no room for broken UTF-8 */
    json_object_set_new(object, name, value ? value : json_null());
}

static json_t *metadata_json(const struct gguf *g)
{
    json_t *all = json_object();
    for (size_t i = 0; i < gguf_n_values(g); i++) {
        const struct gguf_value *v = gguf_value_at(g, i);
        add_key(all, v->key, value_json(v, UINT64_MAX, UINT64_MAX));
    }
    return all;
}

static int add_dumped(const char *p, size_t n, void *out) { return buffer_add(out, p, n) ? 0 : -1; }

/* `j` as text behind what `out` holds. */
static void dump(const json_t *j, size_t flags, struct buffer *out)
{
    if (!j || json_dump_callback(j, add_dumped, out, flags))
        out->failed = true;
}

static void print_metadata(const struct gguf *g, struct buffer *out)
{
    buffer_printf(out, "\nmetadata (%zu keys)\n", gguf_n_values(g));
    for (size_t i = 0; i < gguf_n_values(g); i++) {
        const struct gguf_value *v = gguf_value_at(g, i);
        json_t *shown = value_json(v, ITEMS_SHOWN, TEXT_SHOWN + 1);
        struct buffer text;
        buffer_init(&text, OUTPUT_MAX);
        dump(shown, JSON_ENCODE_ANY, &text);
        struct span cut = shortened(buffer_span(&text), TEXT_SHOWN);
        buffer_printf(out, "  %-44.*s ", (int)shortened(v->key, NAME_SHOWN).n, v->key.p);
        if (v->type == GGUF_ARRAY)
            buffer_printf(out, "%s[%" PRIu64 "] ", gguf_type_name(v->item_type), v->n);
        buffer_printf(out, "%.*s%s\n", (int)cut.n, cut.n ? cut.p : "", cut.n < text.n ? " ..." : "");
        out->failed = out->failed || text.failed;
        buffer_reset(&text);
        json_decref(shown);
    }
}

/* ---- tensors ---- */

static const char *type_name_of(const struct gguf_tensor *t, char *unknown, size_t n)
{
    const struct type_info *info = type_info(t->type);
    if (info && info->name)
        return info->name;
    snprintf(unknown, n, "type %" PRIu32, t->type);
    return unknown;
}

static json_t *tensors_json(const struct gguf *g)
{
    json_t *all = json_array();
    char unknown[24];
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        json_t *one = json_object(), *dims = json_array();
        for (uint32_t d = 0; d < t->n_dims; d++)
            json_array_append_new(dims, json_integer((json_int_t)t->dims[d]));
        json_object_set_new(one, "name", text_json(t->name));
        json_object_set_new(one, "type", json_string(type_name_of(t, unknown, sizeof unknown)));
        json_object_set_new(one, "shape", dims);
        json_object_set_new(one, "bytes", json_integer((json_int_t)t->n_bytes));
        json_array_append_new(all, one);
    }
    return all;
}

static void print_tensors(const struct gguf *g, struct buffer *out)
{
    char unknown[24];
    buffer_printf(out, "\ntensors (%zu)\n", gguf_n_tensors(g));
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        buffer_printf(out, "  %-44.*s %-6s [", (int)shortened(t->name, NAME_SHOWN).n, t->name.p,
                      type_name_of(t, unknown, sizeof unknown));
        for (uint32_t d = 0; d < t->n_dims; d++)
            buffer_printf(out, "%s%" PRIu64, d ? ", " : "", t->dims[d]);
        buffer_printf(out, "] %" PRIu64 " bytes\n", t->n_bytes);
    }
}

/* ---- summary ---- */

static json_t *summary_json(const struct description *d)
{
    andiron_model_info info;
    andiron_model_get_info(d->model, &info);
    bool runs = d->failure.status == ANDIRON_OK;
    json_t *j = json_object();
    json_object_set_new(j, "path", text_json(span_of(gguf_path(d->model->file))));
    json_object_set_new(j, "gguf_version", d->model->hf ? json_null() : json_integer(gguf_version(d->model->file)));
    json_object_set_new(j, "architecture", text_json(span_of(info.architecture)));
    json_object_set_new(j, "name", text_json(span_of(info.name)));
    json_object_set_new(j, "runs", json_boolean(runs));
    json_object_set_new(j, "reason", runs ? json_null() : text_json(span_of(d->failure.text)));
    json_object_set_new(j, "parameters", json_integer((json_int_t)info.n_params));
    json_object_set_new(j, "layers", json_integer((json_int_t)info.n_layer));
    json_object_set_new(j, "embedding", json_integer((json_int_t)info.n_embd));
    json_object_set_new(j, "vocabulary", json_integer((json_int_t)info.n_vocab));
    json_object_set_new(j, "context_trained", json_integer((json_int_t)info.n_ctx_train));
    json_object_set_new(j, "chat_template", json_boolean(d->model->chat != NULL));
    json_object_set_new(j, "file_bytes", json_integer((json_int_t)info.file_bytes));
    if (runs) {
        json_object_set_new(j, "context", json_integer((json_int_t)d->n_ctx));
        json_object_set_new(j, "kv_type", json_string(kv_type_name(d->kv_type)));
        json_object_set_new(j, "kv_bytes", json_integer((json_int_t)d->kv_bytes));
        json_object_set_new(j, "step_bytes", json_integer((json_int_t)d->step_bytes));
        json_object_set_new(j, "memory_bytes",
                            json_integer((json_int_t)(info.file_bytes + d->kv_bytes + d->step_bytes)));
    }
    json_object_set_new(j, "available_bytes", json_integer((json_int_t)memory_available_bytes()));
    return j;
}

static double mib(uint64_t bytes) { return (double)bytes / (1 << 20); }

static void print_summary(const struct description *d, struct buffer *out)
{
    andiron_model_info info;
    andiron_model_get_info(d->model, &info);
    char format[32] = "Hugging Face folder";
    if (!d->model->hf)
        snprintf(format, sizeof format, "GGUF v%" PRIu32, gguf_version(d->model->file));
    buffer_printf(out, "file          %s (%s, %.1f MiB)\n", gguf_path(d->model->file), format, mib(info.file_bytes));
    buffer_printf(out, "name          %s\n", info.name);
    buffer_printf(out, "architecture  %s, %zu layers, %zu wide, %.1f M parameters\n", info.architecture, info.n_layer,
                  info.n_embd, (double)info.n_params / 1e6);
    buffer_printf(out, "vocabulary    %zu tokens, %s chat template\n", info.n_vocab, d->model->chat ? "with a" : "no");
    if (d->failure.status) {
        buffer_printf(out, "runs here     no: %s\n", d->failure.text);
        return;
    }
    buffer_printf(out, "runs here     yes, on %s with %d threads\n", info.cpu, info.n_threads);
    buffer_printf(
        out, "memory        %.1f MiB for a context of %zu: weights %.1f, cache (%s) %.1f, step %.1f; %.1f available\n",
        mib(info.file_bytes + d->kv_bytes + d->step_bytes), d->n_ctx, mib(info.file_bytes), kv_type_name(d->kv_type),
        mib(d->kv_bytes), mib(d->step_bytes), mib(memory_available_bytes()));
}

static void print_graph(const struct description *d, struct buffer *out)
{
    if (d->failure.status || !d->model->plan)
        return;
    buffer_add_text(out, "\ngraph\n");
    graph_print(&d->model->graph, out);
    buffer_add_text(out, "\nplan\n");
    plan_print(d->model->plan, out);
}

/* Refuse what would take far more memory as JSON than the file has bytes. */
static andiron_status check_json_size(const struct description *d, unsigned flags, andiron_error *error)
{
    const struct gguf *g = d->model->file;
    uint64_t items = 0, bytes = 0;
    for (size_t i = 0; i < gguf_n_values(g) && (flags & ANDIRON_DESCRIBE_METADATA); i++) {
        items += gguf_value_at(g, i)->n;
        bytes += gguf_value_at(g, i)->bytes.n;
    }
    if (items > JSON_ITEMS_MAX || bytes > JSON_BYTES_MAX)
        return error_set(error, ANDIRON_E_SUPPORT,
                         "%s: its metadata (%" PRIu64 " items, %" PRIu64
                         " bytes) is too large for JSON, which takes at most "
                         "%d and %d; ask for text",
                         gguf_path(g), items, bytes, JSON_ITEMS_MAX, JSON_BYTES_MAX);
    if ((flags & ANDIRON_DESCRIBE_TENSORS) && gguf_n_tensors(g) > JSON_TENSORS_MAX)
        return error_set(error, ANDIRON_E_SUPPORT,
                         "%s: its %zu tensors are too many for JSON, which takes at most %d; ask "
                         "for text",
                         gguf_path(g), gguf_n_tensors(g), JSON_TENSORS_MAX);
    return ANDIRON_OK;
}

/* jansson leaves C1 controls, which a terminal could act on; where there are any, all but ASCII is written as \u. */
static void dump_safely(const json_t *j, struct buffer *out)
{
    dump(j, JSON_INDENT(2), out);
    bool odd = false;
    for (size_t i = 0; i + 1 < out->n && !odd; i++)
        odd = (unsigned char)out->data[i] == 0xc2 && (unsigned char)out->data[i + 1] < 0xa0;
    if (!odd || out->failed)
        return;
    buffer_reset(out);
    dump(j, JSON_INDENT(2) | JSON_ENSURE_ASCII, out);
}

static andiron_status describe_json(const struct description *d, unsigned flags, struct buffer *out,
                                    andiron_error *error)
{
    andiron_status status = check_json_size(d, flags, error);
    if (status)
        return status;
    json_t *j = summary_json(d);
    if (flags & ANDIRON_DESCRIBE_METADATA)
        json_object_set_new(j, "metadata", metadata_json(d->model->file));
    if (flags & ANDIRON_DESCRIBE_TENSORS)
        json_object_set_new(j, "tensors", tensors_json(d->model->file));
    if (flags & ANDIRON_DESCRIBE_GRAPH) {
        struct buffer graph;
        buffer_init(&graph, OUTPUT_MAX);
        print_graph(d, &graph);
        json_object_set_new(j, "graph", text_json(buffer_span(&graph)));
        buffer_reset(&graph);
    }
    dump_safely(j, out);
    json_decref(j);
    buffer_add_text(out, "\n");
    return ANDIRON_OK;
}

static void describe_text(const struct description *d, unsigned flags, struct buffer *out)
{
    print_summary(d, out);
    if (flags & ANDIRON_DESCRIBE_METADATA)
        print_metadata(d->model->file, out);
    if (flags & ANDIRON_DESCRIBE_TENSORS)
        print_tensors(d->model->file, out);
    if (flags & ANDIRON_DESCRIBE_GRAPH)
        print_graph(d, out);
    if (out->data)
        printable(out->data, out->n, true);
}

/* ---- */

/* Open as far as possible: whole, or only the file, with the reason why not. */
static andiron_status open_for_description(struct description *d, const struct model_source *source,
                                           const andiron_model_options *options, andiron_error *error)
{
    andiron_status whole = model_open_source(&d->model, source, options, &d->failure);
    if (whole)
        return model_open_file(&d->model, source, error);
    d->failure.status = ANDIRON_OK;
    return ANDIRON_OK;
}

static void measure(struct description *d)
{
    if (d->failure.status || !d->model->plan)
        return;
    if (d->n_ctx == 0)
        d->n_ctx = d->model->graph.n_ctx_train;
    if (!kv_bytes(&d->model->layouts[d->kv_type], d->n_ctx + d->model->graph.n_begin, &d->kv_bytes))
        d->kv_bytes = INT64_MAX; /* more than there is anywhere */
    d->step_bytes = d->model->step_bytes;
}

andiron_status describe_source(const struct model_source *source, const andiron_model_options *options,
                               const struct describe_options *wanted, andiron_error *error)
{
    struct description d = {.n_ctx = wanted->n_ctx};
    struct buffer out;
    if (!kv_type_from_name(wanted->kv_type, &d.kv_type))
        return error_set(error, ANDIRON_E_ARGUMENT, "no cache type \"%s\"; there are f32, f16 and q8_0",
                         wanted->kv_type);
    andiron_status status = open_for_description(&d, source, options, error);
    if (status)
        return status;
    measure(&d);
    buffer_init(&out, OUTPUT_MAX);
    if (wanted->flags & ANDIRON_DESCRIBE_JSON)
        status = describe_json(&d, wanted->flags, &out, error);
    else
        describe_text(&d, wanted->flags, &out);
    if (!status && out.failed)
        status = error_set(error, ANDIRON_E_MEMORY,
                           "%s: its description needs more than %d MiB, or there is no memory left; "
                           "ask for less of it",
                           gguf_path(d.model->file), OUTPUT_MAX >> 20);
    if (!status)
        wanted->write(wanted->user, out.data, out.n);
    buffer_reset(&out);
    andiron_model_close(d.model);
    return status;
}

andiron_status andiron_describe(const char *path, const andiron_model_options *options, size_t n_ctx,
                                const char *kv_type, unsigned flags, andiron_write_fn write, void *user,
                                andiron_error *error)
{
    const struct model_source source = {.path = path};
    const struct describe_options wanted = {n_ctx, kv_type, flags, write, user};
    return describe_source(&source, options, &wanted, error);
}
