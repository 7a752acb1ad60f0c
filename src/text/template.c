/* template.c - the room's door: opening, the variables a run starts with, and its output cut into pieces. */
#include "text/template.h"
#include "base/alloc.h"
#include "base/error.h"
#include "text/jinja_run.h"
#include <locale.h>
#include <time.h>

struct chat_template {
    struct arena arena;
    struct node *body;
};

struct template_output {
    size_t n_pieces;
    struct template_piece pieces[];
};

/* Numbers and dates are read and written as in the C locale, whatever the program around us has set. */
struct locales {
    locale_t c, before;
};

static andiron_status enter_c_locale(struct locales *l, andiron_error *error)
{
    l->c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!l->c)
        return error_set(error, ANDIRON_E_MEMORY, "out of memory for the chat template's locale");
    l->before = uselocale(l->c); /* of this thread */
    return ANDIRON_OK;
}

static void leave_c_locale(struct locales *l)
{
    uselocale(l->before);
    freelocale(l->c);
}

andiron_status template_open(struct chat_template **out, struct span source, andiron_error *error)
{
    struct locales locales = {0};
    struct chat_template *t = alloc_zeroed(1, sizeof *t);
    if (!t)
        return error_memory(error, sizeof *t, "the chat template");
    arena_init(&t->arena, JINJA_PARSE_MEMORY_MAX);
    andiron_status status = enter_c_locale(&locales, error);
    if (!status) {
        status = jinja_parse(&t->arena, source, &t->body, error);
        leave_c_locale(&locales);
    }
    if (status) {
        template_close(t);
        return status;
    }
    *out = t;
    return ANDIRON_OK;
}

void template_close(struct chat_template *t)
{
    if (!t)
        return;
    arena_reset(&t->arena);
    alloc_free(t);
}

static bool set(struct run *run, struct dict *dict, const char *name, struct value v)
{
    struct text *key = jinja_text(run, span_of(name), true);
    return key && jinja_dict_set(run, dict, value_text(key), v);
}

static bool set_text(struct run *run, struct dict *dict, const char *name, struct span text, bool markup)
{
    struct text *t = jinja_text(run, text.p ? text : span_of(""), markup);
    return t && set(run, dict, name, value_text(t));
}

static bool set_messages(struct run *run, const struct template_input *input)
{
    struct list *list = jinja_list(run, input->n_messages);
    for (size_t i = 0; list && i < input->n_messages; i++) {
        const andiron_message *m = &input->messages[i];
        struct dict *dict = jinja_dict(run);
        if (!dict || !set_text(run, dict, "role", span_of(m->role ? m->role : ""), false) ||
            !set_text(run, dict, "content", span_of(m->content ? m->content : ""), false) ||
            !jinja_list_add(run, list, value_dict(dict)))
            return false;
    }
    return list && set(run, run->context, "messages", value_list(list));
}

/* The variables of input->extra_json; those with the names of others replace them. */
static bool set_extra(struct run *run, struct span json)
{
    struct value v;
    if (json.n == 0)
        return true;
    if (!jinja_read_json(run, json, &v))
        return false;
    if (v.kind != V_DICT) {
        run->status = error_set(run->error, ANDIRON_E_ARGUMENT, "chat template: its variables are no JSON object");
        return false;
    }
    for (size_t i = 0; i < v.dict->n; i++)
        if (!jinja_dict_set(run, run->context, v.dict->entries[i].key, v.dict->entries[i].value))
            return false;
    return true;
}

/* The usual roles are markup where they stand in messages, as templates make control tokens of them ("<|" + role +
 * "|>"). They name who speaks; whatever else a caller puts there stays content. */
static void mark_role(struct value *role)
{
    static const char *const known[] = {"system",   "user",        "assistant", "tool",  "developer",
                                        "function", "observation", "ipython",   "model", "environment"};
    for (size_t i = 0; role && i < sizeof known / sizeof *known; i++)
        if (text_is(role, known[i]))
            role->text->markup = true;
}

static void mark_roles(const struct value *messages)
{
    if (!messages || messages->kind != V_LIST)
        return;
    for (size_t i = 0; i < messages->list->n; i++)
        if (messages->list->items[i].kind == V_DICT)
            mark_role(jinja_dict_get_name(messages->list->items[i].dict, span_of("role")));
}

static bool set_context(struct run *run, const struct template_input *input)
{
    run->context = jinja_dict(run);
    run->now_s = input->now_s ? input->now_s : (int64_t)time(NULL);
    bool good = run->context && set_messages(run, input) && set(run, run->context, "tools", value_none()) &&
                set(run, run->context, "documents", value_none()) &&
                set(run, run->context, "add_generation_prompt", value_bool(input->add_generation_prompt)) &&
                set_text(run, run->context, "bos_token", input->bos_token, true) &&
                set_text(run, run->context, "eos_token", input->eos_token, true) && set_extra(run, input->extra_json);
    if (good)
        mark_roles(jinja_dict_get_name(run->context, span_of("messages")));
    return good;
}

/* Where the run of equal marks that starts at `from` ends. */
static size_t piece_end(const struct builder *b, size_t from)
{
    if (!b->marks)
        return b->n;
    size_t end = from + 1;
    while (end < b->n && b->marks[end] == b->marks[from])
        end++;
    return end;
}

static andiron_status give_output(const struct builder *b, struct template_output **out, andiron_error *error)
{
    size_t n = 0;
    for (size_t at = 0; at < b->n; at = piece_end(b, at))
        n++;
    size_t bytes = sizeof **out + n * sizeof(struct template_piece);
    struct template_output *o = alloc_zeroed(1, bytes + b->n);
    if (!o)
        return error_memory(error, bytes + b->n, "the chat template's output");
    char *text = (char *)o + bytes;
    if (b->n)
        memcpy(text, b->p, b->n);
    for (size_t at = 0, end; at < b->n; at = end) {
        end = piece_end(b, at);
        o->pieces[o->n_pieces++] = (struct template_piece){{text + at, end - at}, b->marks ? b->marks[at] : b->markup};
    }
    *out = o;
    return ANDIRON_OK;
}

andiron_status template_run(const struct chat_template *t, const struct template_input *input,
                            struct template_output **out, andiron_error *error)
{
    struct run run = {.error = error};
    struct builder output;
    struct locales locales = {0};
    run.status = enter_c_locale(&locales, error);
    if (run.status)
        return run.status;
    arena_init(&run.arena, RUN_MEMORY_MAX);
    builder_init(&output, &run);
    run.output = &output;
    if (set_context(&run, input) && (run.scope = jinja_scope(&run, NULL)) != NULL && jinja_exec(&run, t->body))
        run.status = give_output(&output, out, error);
    leave_c_locale(&locales);
    arena_reset(&run.arena);
    return run.status;
}

size_t template_n_pieces(const struct template_output *o) { return o->n_pieces; }

struct template_piece template_piece_at(const struct template_output *o, size_t i) { return o->pieces[i]; }

void template_output_close(struct template_output *o) { alloc_free(o); }
