/* jinja_exec.c - statements: what is printed, set and repeated.
 *
 * Scopes: a loop's pass, a macro, a block with an end tag (but "if") each get their own; a name is looked up from the
 * inside out and set in the innermost. A loop empties its scope before each pass instead of making a new one, unless a
 * macro made in it remembers it. */
#include "text/jinja_run.h"

enum flow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE, FLOW_FAIL };

static enum flow exec(struct run *run, const struct node *body);

struct scope *jinja_scope(struct run *run, struct scope *up)
{
    struct scope *s = run_alloc(run, 1, sizeof *s);
    if (s)
        s->up = up;
    return s;
}

static bool set_variable(struct run *run, struct scope *s, struct span name, uint32_t hash, struct value v)
{
    if (!run_charge(run, 1 + s->n / 16))
        return false;
    for (size_t i = 0; i < s->n; i++)
        if (s->variables[i].hash == hash && span_same(s->variables[i].name, name)) {
            s->variables[i].value = v;
            return true;
        }
    if (s->n == s->capacity) {
        size_t capacity = s->capacity ? s->capacity * 2 : 4;
        struct variable *variables = run_alloc(run, capacity, sizeof *variables);
        if (!variables)
            return false;
        if (s->n)
            memcpy(variables, s->variables, s->n * sizeof *variables);
        s->variables = variables;
        s->capacity = capacity;
    }
    s->variables[s->n++] = (struct variable){name, hash, v};
    return true;
}

bool jinja_scope_set(struct run *run, struct scope *scope, const struct node *name, struct value v)
{
    return set_variable(run, scope, name->name, name->hash, v);
}

static bool set_named(struct run *run, struct scope *scope, const char *name, struct value v)
{
    return set_variable(run, scope, span_of(name), jinja_hash(span_of(name)), v);
}

static bool set_in_namespace(struct run *run, const struct node *target, const struct value *v)
{
    struct node name = {.kind = N_NAME, .line = target->line, .name = target->name, .hash = target->hash};
    struct value space;
    if (!jinja_eval(run, &name, &space))
        return false;
    if (space.kind != V_NAMESPACE)
        return run_fail(run, "cannot set an attribute of a %s, only of a namespace", jinja_type_name(&space));
    if (target->attr.p[0] == '_')
        return run_fail(run, "a namespace takes no names that begin with an underscore");
    struct text *key = jinja_text(run, target->attr, true);
    return key && jinja_dict_set(run, space.dict, value_text(key), *v);
}

bool jinja_assign(struct run *run, const struct node *target, const struct value *v)
{
    if (target->kind == N_NAME)
        return jinja_scope_set(run, run->scope, target, *v);
    if (target->kind == N_NSREF)
        return set_in_namespace(run, target, v);
    struct list *list = jinja_iterate(run, v);
    size_t i = 0;
    for (const struct node *part = target->a; list && part; part = part->next, i++)
        if (i >= list->n || !jinja_assign(run, part, &list->items[i]))
            return run_fail(run, "not enough values to unpack: %zu", list->n);
    return list && (i == list->n || run_fail(run, "too many values to unpack: %zu", list->n));
}

/* Run `body` in a new scope over `up`, its text into `out` (NULL: where it goes now). */
static enum flow exec_inner(struct run *run, const struct node *body, struct scope *scope, struct builder *out)
{
    struct scope *outer = run->scope;
    struct builder *output = run->output;
    if (!scope)
        return FLOW_FAIL;
    run->scope = scope;
    if (out)
        run->output = out;
    enum flow flow = exec(run, body);
    run->scope = outer;
    run->output = output;
    return flow;
}

static enum flow exec_block_text(struct run *run, const struct node *node, struct value *text)
{
    struct builder b;
    builder_init(&b, run);
    enum flow flow = exec_inner(run, node->body, jinja_scope(run, run->scope), &b);
    *text = value_text(builder_text(&b));
    if (flow != FLOW_ON || !text->text)
        return run->status ? FLOW_FAIL : flow;
    if (!node->b)
        return FLOW_ON;
    struct value outer = run->block_text;
    run->block_text = *text;
    bool good = jinja_eval(run, node->b, text);
    run->block_text = outer;
    return good ? FLOW_ON : FLOW_FAIL;
}

/* The items a loop runs over: those that pass its "if". */
static struct list *chosen_items(struct run *run, const struct node *node, struct list *all)
{
    struct list *chosen = jinja_list(run, 0);
    struct scope *outer = run->scope, *scope = jinja_scope(run, outer);
    struct value test;
    for (size_t i = 0; scope && chosen && i < all->n; i++) {
        scope->n = 0;
        run->scope = scope;
        bool good = jinja_assign(run, node->a, &all->items[i]) && jinja_eval(run, node->c, &test);
        run->scope = outer;
        if (!good || (jinja_truth(&test) && !jinja_list_add(run, chosen, all->items[i])))
            return NULL;
    }
    return scope ? chosen : NULL;
}

/* *whole: some pass ran to its end, without break or continue. */
static enum flow exec_passes(struct run *run, const struct node *node, const struct list *items, bool *whole)
{
    struct loop *loop = run_alloc(run, 1, sizeof *loop);
    struct scope *outer = run->scope, *scope = jinja_scope(run, outer);
    enum flow flow = FLOW_ON;
    if (!loop || !scope)
        return FLOW_FAIL;
    *loop = (struct loop){.items = items->items, .n = items->n};
    for (; loop->at < loop->n && flow != FLOW_BREAK; loop->at++) {
        if (scope->captured && !(scope = jinja_scope(run, outer)))
            return FLOW_FAIL;
        scope->n = 0;
        run->scope = scope;
        bool good = set_named(run, scope, "loop", (struct value){.kind = V_LOOP, .loop = loop}) &&
                    jinja_assign(run, node->a, &loop->items[loop->at]);
        run->scope = outer;
        flow = good ? exec_inner(run, node->body, scope, NULL) : FLOW_FAIL;
        if (flow == FLOW_FAIL)
            return flow;
        *whole |= flow == FLOW_ON;
    }
    if (loop->at == loop->n)
        loop->at--; /* whoever kept the loop sees its last pass */
    return FLOW_ON;
}

static enum flow exec_for(struct run *run, const struct node *node)
{
    struct value v;
    struct list *items = jinja_eval(run, node->b, &v) ? jinja_iterate(run, &v) : NULL;
    if (items && node->c)
        items = chosen_items(run, node, items);
    if (!items)
        return FLOW_FAIL;
    bool whole = false;
    if (items->n && exec_passes(run, node, items, &whole) == FLOW_FAIL)
        return FLOW_FAIL;
    if (whole || !node->other) /* "else" runs where no pass was whole: jinja2 notes one at its end */
        return FLOW_ON;
    return exec_inner(run, node->other, jinja_scope(run, run->scope), NULL);
}

static enum flow exec_if(struct run *run, const struct node *node)
{
    struct value test;
    for (;;) {
        if (!jinja_eval(run, node->a, &test))
            return FLOW_FAIL;
        if (jinja_truth(&test))
            return exec(run, node->body);
        if (!node->other || !(node->other->flags & IF_IS_ELIF))
            break;
        node = node->other;
    }
    return node->other ? exec(run, node->other) : FLOW_ON;
}

/* A macro remembers the scope it was made in, and so all around it. */
static bool macro_value(struct run *run, const struct node *node, struct value *out)
{
    struct macro *macro = run_alloc(run, 1, sizeof *macro);
    if (!macro)
        return false;
    *macro = (struct macro){node, run->scope};
    for (struct scope *s = run->scope; s && !s->captured; s = s->up)
        s->captured = true;
    *out = (struct value){.kind = V_MACRO, .macro = macro};
    return true;
}

static bool exec_macro(struct run *run, const struct node *node)
{
    struct value v;
    return macro_value(run, node, &v) && jinja_scope_set(run, run->scope, node, v);
}

static bool call_block(struct run *run, const struct node *node)
{
    struct value callee, caller, result;
    struct arguments args;
    struct text *name = jinja_text(run, span_of("caller"), true);
    if (!name || !macro_value(run, node, &caller) || !jinja_eval(run, node->a->a, &callee) ||
        !jinja_eval_arguments(run, node->a->args, &args) || !jinja_dict_set(run, &args.named, value_text(name), caller))
        return false;
    return jinja_call(run, &callee, &args, &result) && jinja_add_str(run->output, &result);
}

static bool exec_set(struct run *run, const struct node *node)
{
    struct value v;
    return jinja_eval(run, node->b, &v) && jinja_assign(run, node->a, &v);
}

static enum flow exec_with(struct run *run, const struct node *node)
{
    struct scope *outer = run->scope, *scope = jinja_scope(run, outer);
    struct value v;
    bool good = scope != NULL;
    for (const struct node *set = node->args; good && set; set = set->next) {
        good = jinja_eval(run, set->b, &v); /* values are those of outside, */
        run->scope = scope;
        good = good && jinja_assign(run, set->a, &v); /* names those of inside */
        run->scope = outer;
    }
    return good ? exec_inner(run, node->body, scope, NULL) : FLOW_FAIL;
}

static bool exec_print(struct run *run, const struct node *node)
{
    struct value v;
    return jinja_eval(run, node->a, &v) && jinja_add_str(run->output, &v);
}

static enum flow exec_captured(struct run *run, const struct node *node)
{
    struct value text;
    enum flow flow = exec_block_text(run, node, &text);
    if (flow != FLOW_ON)
        return flow;
    bool good = node->kind == N_SET_BLOCK ? jinja_assign(run, node->a, &text) : jinja_add_str(run->output, &text);
    return good ? FLOW_ON : FLOW_FAIL;
}

static enum flow exec_one(struct run *run, const struct node *node)
{
    bool good;
    switch (node->kind) {
    case N_DATA: good = builder_add_text(run->output, node->constant.text); break;
    case N_PRINT: good = exec_print(run, node); break;
    case N_SET: good = exec_set(run, node); break;
    case N_MACRO: good = exec_macro(run, node); break;
    case N_CALL_BLOCK: good = call_block(run, node); break;
    case N_FOR: return exec_for(run, node);
    case N_IF: return exec_if(run, node);
    case N_SET_BLOCK:
    case N_FILTER_BLOCK: return exec_captured(run, node);
    case N_WITH: return exec_with(run, node);
    case N_SCOPE: return exec_inner(run, node->body, jinja_scope(run, run->scope), NULL);
    case N_BREAK: return FLOW_BREAK;
    case N_CONTINUE: return FLOW_CONTINUE;
    default: good = run_fail(run, "a statement that cannot be run");
    }
    return good ? FLOW_ON : FLOW_FAIL;
}

static enum flow exec(struct run *run, const struct node *body)
{
    enum flow flow = run_deeper(run) ? FLOW_ON : FLOW_FAIL;
    for (; body && flow == FLOW_ON; body = body->next) {
        run->line = body->line;
        flow = run_charge(run, 1) ? exec_one(run, body) : FLOW_FAIL;
    }
    run->depth--;
    return run->status ? FLOW_FAIL : flow;
}

bool jinja_exec(struct run *run, const struct node *body) { return exec(run, body) != FLOW_FAIL; }

/* A macro's parameter from the arguments; named ones are taken out of `named`. */
static bool set_parameter(struct run *run, const struct node *param, size_t i, const struct arguments *args,
                          struct dict *named)
{
    struct value v = jinja_undefined(run, param->name);
    if (i < args->positional.n) {
        v = args->positional.items[i];
    } else {
        size_t at = 0;
        while (at < named->n && !span_same(text_span(named->entries[at].key.text), param->name))
            at++;
        if (at < named->n) {
            v = named->entries[at].value;
            memmove(named->entries + at, named->entries + at + 1, (--named->n - at) * sizeof *named->entries);
        } else if (param->a && !jinja_eval(run, param->a, &v)) {
            return false;
        }
    }
    return !run->status && jinja_scope_set(run, run->scope, param, v);
}

/* What is left of the arguments: varargs, kwargs and caller, if the macro speaks of them. */
static bool set_rest(struct run *run, const struct node *node, size_t n_params, const struct arguments *args,
                     struct dict *named)
{
    struct node caller = {.name = span_of("caller")};
    caller.hash = jinja_hash(caller.name);
    if ((node->flags & MACRO_USES_CALLER) && node->kind == N_MACRO &&
        !set_parameter(run, &caller, SIZE_MAX, args, named))
        return false;
    if (node->flags & MACRO_USES_KWARGS) {
        struct dict *kwargs = jinja_dict(run);
        if (!kwargs)
            return false;
        *kwargs = *named;
        if (!set_named(run, run->scope, "kwargs", value_dict(kwargs)))
            return false;
    } else if (named->n) {
        struct span name = text_span(named->entries[0].key.text);
        return run_fail(run, "macro '%.*s': unexpected argument '%.*s'", (int)node->name.n, node->name.p,
                        name.n > 40 ? 40 : (int)name.n, name.p);
    }
    size_t n = args->positional.n;
    if (!(node->flags & MACRO_USES_VARARGS))
        return n <= n_params ||
               run_fail(run, "macro '%.*s' takes at most %zu arguments", (int)node->name.n, node->name.p, n_params);
    struct list *rest = jinja_list(run, 0);
    for (size_t i = n_params; rest && i < n; i++)
        if (!jinja_list_add(run, rest, args->positional.items[i]))
            return false;
    return rest && set_named(run, run->scope, "varargs", value_tuple(rest));
}

bool jinja_call_macro(struct run *run, const struct macro *macro, const struct arguments *args, struct value *out)
{
    struct scope *outer = run->scope;
    struct dict named = args->named;
    struct builder b;
    size_t n_params = 0;
    builder_init(&b, run);
    bool good = run_deeper(run) && (run->scope = jinja_scope(run, macro->scope)) != NULL;
    struct scope *scope = run->scope;
    for (const struct node *param = macro->node->args; good && param; param = param->next)
        good = set_parameter(run, param, n_params++, args, &named);
    good = good && set_rest(run, macro->node, n_params, args, &named);
    run->scope = outer;
    if (good)
        good = exec_inner(run, macro->node->body, scope, &b) != FLOW_FAIL;
    *out = value_text(builder_text(&b));
    run->depth--;
    return good && out->text;
}
