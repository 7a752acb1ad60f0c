/* jinja_eval.c - the value of an expression. */
#include "text/jinja_run.h"

static bool eval_name(struct run *run, const struct node *node, struct value *out)
{
    size_t looked_at = 1;
    for (struct scope *s = run->scope; s; s = s->up) {
        for (size_t i = 0; i < s->n; i++)
            if (s->variables[i].hash == node->hash && span_same(s->variables[i].name, node->name)) {
                *out = s->variables[i].value;
                return run_charge(run, 1 + looked_at / 16);
            }
        looked_at += s->n + 1;
    }
    if (!run_charge(run, 1 + (looked_at + run->context->n) / 16))
        return false;
    struct value *given = jinja_dict_get_name(run->context, node->name);
    const struct builtin *global = given ? NULL : jinja_global(node->name);
    if (global) {
        struct function *f = run_alloc(run, 1, sizeof *f);
        if (!f)
            return false;
        f->builtin = global;
        *out = (struct value){.kind = V_FUNCTION, .function = f};
        return true;
    }
    *out = given ? *given : jinja_undefined(run, node->name);
    return !run->status;
}

static bool eval_items(struct run *run, const struct node *node, struct value *out)
{
    struct list *list = jinja_list(run, 0);
    struct value v;
    if (!list)
        return false;
    for (const struct node *item = node->a; item; item = item->next)
        if (!jinja_eval(run, item, &v) || !jinja_list_add(run, list, v))
            return false;
    *out = node->kind == N_LIST ? value_list(list) : value_tuple(list);
    return true;
}

static bool eval_dict(struct run *run, const struct node *node, struct value *out)
{
    struct dict *dict = jinja_dict(run);
    struct value key, v;
    for (const struct node *item = node->a; dict && item; item = item->next->next)
        if (!jinja_eval(run, item, &key) || !jinja_eval(run, item->next, &v) || !jinja_dict_set(run, dict, key, v))
            return false;
    *out = value_dict(dict);
    return dict != NULL;
}

static bool eval_unary(struct run *run, const struct node *node, struct value *out)
{
    struct value v;
    if (!jinja_eval(run, node->a, &v))
        return false;
    if (v.kind == V_UNDEFINED)
        return jinja_fail_undefined(run, &v);
    if (!value_is_number(&v))
        return run_fail(run, "a %s has no sign", jinja_type_name(&v));
    if (v.kind == V_FLOAT) {
        *out = value_float(node->op == OP_NEG ? -v.real : v.real);
        return true;
    }
    int64_t i = value_integer(&v);
    if (node->op == OP_NEG && i == INT64_MIN)
        return run_fail(run, "a number beyond 64 bits");
    *out = value_int(node->op == OP_NEG ? -i : i);
    return true;
}

static bool eval_binary(struct run *run, const struct node *node, struct value *out)
{
    struct value a, b;
    if (!jinja_eval(run, node->a, &a) || !jinja_eval(run, node->b, &b))
        return false;
    run->line = node->line;
    return jinja_binary(run, node->op, &a, &b, out);
}

/* a < b < c: each operand once, as far as needed. */
static bool eval_compare(struct run *run, const struct node *node, struct value *out)
{
    struct value left, right;
    bool truth = true;
    if (!jinja_eval(run, node->a, &left))
        return false;
    for (const struct node *operand = node->b; operand && truth; operand = operand->next) {
        if (!jinja_eval(run, operand->a, &right) || !jinja_compare(run, operand->op, &left, &right, &truth))
            return false;
        left = right;
    }
    *out = value_bool(truth);
    return true;
}

static bool eval_concat(struct run *run, const struct node *node, struct value *out)
{
    struct builder b;
    struct value v;
    builder_init(&b, run);
    for (const struct node *item = node->a; item; item = item->next)
        if (!jinja_eval(run, item, &v) || !jinja_add_str(&b, &v))
            return false;
    *out = value_text(builder_text(&b));
    return out->text != NULL;
}

static bool eval_condition(struct run *run, const struct node *node, struct value *out)
{
    struct value test;
    if (!jinja_eval(run, node->b, &test))
        return false;
    if (jinja_truth(&test))
        return jinja_eval(run, node->a, out);
    if (node->c)
        return jinja_eval(run, node->c, out);
    *out = value_undefined();
    return true;
}

static bool eval_item(struct run *run, const struct node *node, struct value *out)
{
    struct value object, key, bounds[3];
    if (!jinja_eval(run, node->a, &object))
        return false;
    if (node->b->kind != N_SLICE)
        return jinja_eval(run, node->b, &key) && jinja_item(run, &object, &key, out);
    const struct node *const parts[] = {node->b->a, node->b->b, node->b->c};
    for (int i = 0; i < 3; i++) {
        bounds[i] = value_none();
        if (parts[i] && !jinja_eval(run, parts[i], &bounds[i]))
            return false;
    }
    return jinja_slice(run, &object, bounds, out);
}

static bool spread(struct run *run, const struct node *node, struct arguments *out)
{
    struct value v;
    if (!jinja_eval(run, node->a, &v))
        return false;
    if (node->kind == N_SPREAD) {
        struct list *list = jinja_iterate(run, &v);
        for (size_t i = 0; list && i < list->n; i++)
            if (!jinja_list_add(run, &out->positional, list->items[i]))
                return false;
        return list != NULL;
    }
    if (v.kind != V_DICT)
        return run_fail(run, "after ** a dict is needed, not a %s", jinja_type_name(&v));
    for (size_t i = 0; i < v.dict->n; i++) {
        if (v.dict->entries[i].key.kind != V_TEXT)
            return run_fail(run, "after ** every key must be a text");
        if (!jinja_dict_set(run, &out->named, v.dict->entries[i].key, v.dict->entries[i].value))
            return false;
    }
    return true;
}

bool jinja_eval_arguments(struct run *run, const struct node *args, struct arguments *out)
{
    struct value v;
    *out = (struct arguments){0};
    for (; args; args = args->next) {
        if (args->kind == N_SPREAD || args->kind == N_SPREAD_NAMED) {
            if (!spread(run, args, out))
                return false;
        } else if (args->kind == N_KEYWORD) {
            struct text *name = jinja_text(run, args->name, true);
            if (!name || !jinja_eval(run, args->a, &v) || !jinja_dict_set(run, &out->named, value_text(name), v))
                return false;
        } else if (!jinja_eval(run, args, &v) || !jinja_list_add(run, &out->positional, v)) {
            return false;
        }
    }
    return true;
}

static bool eval_call(struct run *run, const struct node *node, struct value *out)
{
    struct value callee;
    struct arguments args;
    if (!jinja_eval(run, node->a, &callee) || !jinja_eval_arguments(run, node->args, &args))
        return false;
    run->line = node->line;
    return jinja_call(run, &callee, &args, out);
}

/* Filters and tests. */
static bool eval_builtin(struct run *run, const struct node *node, struct value *out)
{
    struct value self = run->block_text;
    struct arguments args;
    if (node->a && !jinja_eval(run, node->a, &self))
        return false;
    run->line = node->line;
    if (!node->builtin)
        return run_fail(run, "there is no %s '%.*s'", node->kind == N_TEST ? "test" : "filter",
                        node->name.n > 40 ? 40 : (int)node->name.n, node->name.p);
    if (!jinja_eval_arguments(run, node->args, &args))
        return false;
    run->line = node->line;
    return jinja_call_builtin(run, node->builtin, &self, &args, out);
}

static bool eval_logic(struct run *run, const struct node *node, struct value *out)
{
    if (!jinja_eval(run, node->a, out))
        return false;
    if (node->kind == N_NOT)
        *out = value_bool(!jinja_truth(out));
    else if (jinja_truth(out) == (node->kind == N_AND))
        return jinja_eval(run, node->b, out);
    return true;
}

static bool eval_attribute(struct run *run, const struct node *node, struct value *out)
{
    struct value object;
    if (!jinja_eval(run, node->a, &object))
        return false;
    run->line = node->line;
    return jinja_attribute(run, &object, node->name, out);
}

static bool eval(struct run *run, const struct node *node, struct value *out)
{
    switch (node->kind) {
    case N_CONST: *out = node->constant; return true;
    case N_NAME: return eval_name(run, node, out);
    case N_LIST:
    case N_TUPLE: return eval_items(run, node, out);
    case N_DICT: return eval_dict(run, node, out);
    case N_UNARY: return eval_unary(run, node, out);
    case N_BINARY: return eval_binary(run, node, out);
    case N_AND:
    case N_OR:
    case N_NOT: return eval_logic(run, node, out);
    case N_COMPARE: return eval_compare(run, node, out);
    case N_CONCAT: return eval_concat(run, node, out);
    case N_COND: return eval_condition(run, node, out);
    default: return run_fail(run, "an expression that cannot be evaluated");
    }
}

bool jinja_eval(struct run *run, const struct node *node, struct value *out)
{
    bool good = run_deeper(run) && run_charge(run, 1);
    run->line = node->line;
    if (!good)
        ;
    else if (node->kind == N_ATTR)
        good = eval_attribute(run, node, out);
    else if (node->kind == N_ITEM)
        good = eval_item(run, node, out);
    else if (node->kind == N_CALL)
        good = eval_call(run, node, out);
    else if (node->kind == N_FILTER || node->kind == N_TEST)
        good = eval_builtin(run, node, out);
    else
        good = eval(run, node, out);
    run->depth--;
    return good && !run->status;
}
