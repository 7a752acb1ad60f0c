/* render_template.c - a filter for tools/oracle/fuzz_templates.py and make_template_cases.py: renders templates that
 * come in on standard input.
 *
 * In, again and again: two decimal lengths and a newline, then that many bytes of template and of JSON variables.
 * Out: a status, a length and a newline, then that many bytes: the text, or the error's sentence. */
#include "text/template.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void answer(int status, const char *text, size_t n)
{
    printf("%d %zu\n", status, n);
    fwrite(text, 1, n, stdout);
    fflush(stdout);
}

static void give(const struct template_output *o)
{
    size_t n = 0;
    for (size_t i = 0; i < template_n_pieces(o); i++)
        n += template_piece_at(o, i).text.n;
    printf("0 %zu\n", n);
    for (size_t i = 0; i < template_n_pieces(o); i++)
        fwrite(template_piece_at(o, i).text.p, 1, template_piece_at(o, i).text.n, stdout);
    fflush(stdout);
}

static void render(struct span source, struct span json)
{
    struct chat_template *t = NULL;
    struct template_output *o = NULL;
    andiron_error error = {0};
    const struct template_input input = {.extra_json = json, .now_s = 1700000000};
    andiron_status status = template_open(&t, source, &error);
    if (!status)
        status = template_run(t, &input, &o, &error);
    if (status)
        answer((int)status, error.text, strlen(error.text));
    else
        give(o);
    template_output_close(o);
    template_close(t);
}

int main(void)
{
    unsigned long n_source, n_json;
    char line[64];
    while (fgets(line, sizeof line, stdin) && sscanf(line, "%lu %lu", &n_source, &n_json) == 2) {
        char *p = n_source < 1u << 26 && n_json < 1u << 26 ? malloc(n_source + n_json + 1) : NULL;
        if (!p || fread(p, 1, n_source + n_json, stdin) != n_source + n_json)
            return 1;
        render((struct span){p, n_source}, (struct span){p + n_source, n_json});
        free(p);
    }
    return 0;
}
