/* jinja_strings.h - operations on text that filters and methods share, and helpers for reading their arguments. */
#ifndef TEXT_JINJA_STRINGS_H
#define TEXT_JINJA_STRINGS_H

#include "text/jinja_run.h"

enum text_case { CASE_UPPER, CASE_LOWER, CASE_CAPITAL, CASE_TITLE, CASE_SWAP, CASE_FOLD };
struct text *text_case(struct run *run, struct text *t, enum text_case to);

/* Without whitespace, or the characters of `chars`, at the ends named. */
enum { STRIP_LEFT = 1, STRIP_RIGHT = 2 };
struct text *text_strip(struct run *run, struct text *t, const struct text *chars, int ends);
/* `count` < 0: all. */
struct text *text_replace(struct run *run, struct text *t, const struct text *old, const struct text *with,
                          int64_t count);
/* For HTML; the result is safe. */
struct text *text_escape(struct run *run, struct text *t);
struct list *text_lines(struct run *run, struct text *t, bool keep_ends);
/* Python's split and rsplit; `separator` NULL: whitespace; `count` < 0: no limit. */
struct list *text_split(struct run *run, struct text *t, const struct text *separator, int64_t count, bool from_right);
/* `fill` on either side up to `width` characters. */
struct text *text_pad(struct run *run, struct text *t, int64_t left, int64_t right, const struct text *fill);
/* Byte offset of `part` in t at or behind `from`, SIZE_MAX if there is none. */
size_t text_find(const struct text *t, const struct text *part, size_t from, size_t to);

/* An argument; `otherwise` where it was not given. Fails if it is of another type. */
bool call_int(struct run *run, const struct call *call, int slot, int64_t otherwise, int64_t *out);
/* NULL where it was not given or is none; fails (status) if it is no text. */
struct text *call_text(struct run *run, const struct call *call, int slot);
static inline bool call_truth(const struct call *call, int slot) { return jinja_truth(&call->slots[slot]); }
static inline bool call_has(const struct call *call, int slot) { return call->slots[slot].kind != V_MISSING; }

/* The end of many functions. */
static inline bool give_text(struct text *t, struct value *out) { return (*out = value_text(t)).text != NULL; }
static inline bool give_list(struct list *l, struct value *out) { return (*out = value_list(l)).list != NULL; }
static inline bool give_bool(bool truth, struct value *out) { return *out = value_bool(truth), true; }
static inline bool give_int(int64_t i, struct value *out) { return *out = value_int(i), true; }
/* A stream over `list`. */
bool give_stream(struct run *run, struct list *list, struct value *out);

#endif
