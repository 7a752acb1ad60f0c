/* text.c - the program's growing buffers. They double, so that a large input is copied few times. */
#include "text.h"
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

bool fail(const char *format, ...)
{
    va_list args;
    fprintf(stderr, "andiron: ");
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n");
    return false;
}

bool fail_memory(void) { return fail("out of memory"); }

bool fail_with(const andiron_error *error) { return fail("%s", error->text); }

bool text_add(struct text *text, const char *bytes, size_t n)
{
    if (n >= SIZE_MAX / 2 - text->n)
        return false;
    if (text->n + n + 1 > text->room) {
        size_t room = text->room ? text->room : 256;
        while (room < text->n + n + 1)
            room *= 2;
        char *grown = realloc(text->bytes, room);
        if (!grown)
            return false;
        text->bytes = grown;
        text->room = room;
    }
    if (n)
        memcpy(text->bytes + text->n, bytes, n);
    text->n += n;
    text->bytes[text->n] = '\0';
    return true;
}

void text_close(struct text *text)
{
    free(text->bytes);
    *text = (struct text){0};
}

bool text_read(struct text *text, FILE *file, const char *name)
{
    char block[1 << 14];
    size_t n;
    if (!text_add(text, "", 0))
        return fail_memory();
    while ((n = fread(block, 1, sizeof block, file)) > 0) {
        if (text->n + n > MOST_TEXT)
            return fail("%s is longer than %d MiB; give less text", name, MOST_TEXT >> 20);
        if (!text_add(text, block, n))
            return fail_memory();
    }
    if (ferror(file))
        return fail("%s: %s", name, strerror(errno));
    return true;
}

bool text_read_path(struct text *text, const char *path)
{
    if (!strcmp(path, "-"))
        return text_read(text, stdin, "standard input");
    FILE *file = fopen(path, "rb");
    if (!file)
        return fail("%s: %s", path, strerror(errno));
    bool ok = text_read(text, file, path);
    fclose(file);
    return ok;
}

bool tokens_reserve(struct tokens *tokens, size_t n)
{
    if (n <= tokens->room)
        return true;
    size_t room = tokens->room ? tokens->room : 64;
    while (room < n)
        room *= 2;
    andiron_token *grown = room > SIZE_MAX / sizeof *grown ? NULL : realloc(tokens->ids, room * sizeof *grown);
    if (!grown)
        return false;
    tokens->ids = grown;
    tokens->room = room;
    return true;
}

void tokens_close(struct tokens *tokens)
{
    free(tokens->ids);
    *tokens = (struct tokens){0};
}

bool tokens_from_text(struct tokens *tokens, const andiron_model *model, const char *text, size_t n, unsigned flags)
{
    andiron_error error;
    if (!tokens_reserve(tokens, n + 16))
        return fail_memory();
    if (andiron_tokenize(model, text, n, flags, tokens->ids, tokens->room, &tokens->n, &error))
        return fail_with(&error);
    return true;
}

bool tokens_parse(struct tokens *tokens, const char *text, size_t n, size_t n_vocab)
{
    tokens->n = 0;
    if (strlen(text) != n)
        return fail("the list of token ids holds a NUL byte");
    for (const char *at = text; *(at += strspn(at, ", \t\r\n[]"));) {
        char *end;
        errno = 0;
        unsigned long long id = *at >= '0' && *at <= '9' ? strtoull(at, &end, 10) : ((void)(end = NULL), 0);
        if (!end || errno || (*end && !strchr(", \t\r\n[]", *end)))
            return fail("'%.20s' is not a list of token ids such as 1,2,3", at);
        if (id >= n_vocab)
            return fail("token %llu is beyond the model's vocabulary of %zu", id, n_vocab);
        if (!tokens_reserve(tokens, tokens->n + 1))
            return fail_memory();
        tokens->ids[tokens->n++] = (andiron_token)id;
        at = end;
    }
    return true;
}
