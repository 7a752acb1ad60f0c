/* jinja_spec.h - how one value is written by "%5d" % x and "{:5d}".format(x): what jinja_percent.c and jinja_format.c
 * share. Widths and precisions come from the template and are limited, as what they produce is. */
#ifndef TEXT_JINJA_SPEC_H
#define TEXT_JINJA_SPEC_H

#include "text/jinja_run.h"

enum { WIDTH_MAX = 10000, PRECISION_MAX = 300 };

struct spec {
    uint32_t fill;
    char align; /* '<', '>', '^', '=' or 0: as its type wants */
    char sign;  /* '+', ' ' or 0 */
    bool zero, alternate;
    char grouping;        /* ',' , '_' or 0 */
    int width, precision; /* precision -1: not given */
    char type;
};

/* `body` with a sign in front, filled up to the width. */
bool spec_add_filled(struct builder *b, const struct spec *s, const char *sign, const struct text *body,
                     char align_default);
bool spec_add_int(struct builder *b, const struct spec *s, int64_t i);       /* d x X o b; all else as d */
bool spec_add_real(struct builder *b, const struct spec *s, double f);       /* e E f F g G %; 0: as repr */
bool spec_add_text(struct builder *b, const struct spec *s, struct text *t); /* cut to the precision; NULL: false */
/* Is `c` one of `set`? A zero byte is none. */
bool spec_is_one_of(char c, const char *set);
/* The end of both: what the format gave, all of it content if any of the format is, which then chose fills, digits and
 * places. */
bool spec_give(const struct text *format, struct builder *b, struct value *out);

#endif
