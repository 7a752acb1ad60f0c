/* jinja_filters.h - the filters' functions by file; the table is in jinja_filters.c. */
#ifndef TEXT_JINJA_FILTERS_H
#define TEXT_JINJA_FILTERS_H

#include "text/jinja_strings.h"

/* Item's attribute as filters name them ("a.b.0", or a number; V_MISSING and none: the item itself). `fallback` (or
 * NULL) stands in for what is undefined on the way. */
bool filter_attribute(struct run *run, const struct value *attribute, const struct value *item,
                      const struct value *fallback, struct value *out);

/* jinja_filters_text.c */
builtin_function filter_upper, filter_lower, filter_capitalize, filter_title, filter_trim, filter_replace,
    filter_string, filter_indent, filter_escape, filter_forceescape, filter_safe, filter_wordcount, filter_truncate,
    filter_center, filter_format, filter_urlencode, filter_tojson;
/* jinja_filters_list.c */
builtin_function filter_first, filter_last, filter_length, filter_list, filter_join, filter_reverse, filter_batch,
    filter_slice, filter_items, filter_sum, filter_map, filter_select, filter_reject, filter_selectattr,
    filter_rejectattr, filter_attr;
/* jinja_filters_order.c */
builtin_function filter_sort, filter_dictsort, filter_unique, filter_min, filter_max, filter_groupby;
/* jinja_filters.c */
builtin_function filter_default, filter_int, filter_float, filter_abs, filter_round;

#endif
