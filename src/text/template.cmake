list(APPEND text_sources template.c jinja_lex.c jinja_parse.c jinja_statements.c jinja_run.c jinja_operators.c
  jinja_print.c jinja_json.c jinja_objects.c jinja_eval.c jinja_exec.c jinja_strings.c jinja_unicode.c jinja_spec.c
  jinja_percent.c jinja_format.c jinja_filters.c jinja_filters_text.c jinja_filters_list.c jinja_filters_order.c
  jinja_tests.c jinja_globals.c jinja_methods.c)
