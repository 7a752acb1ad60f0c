/* use_model.h - all that one does with a model, for fuzz targets. */
#ifndef TESTS_USE_MODEL_H
#define TESTS_USE_MODEL_H

#include "engine/engine.h"

/* Open, describe, tokenize, run; or see it refused with a sentence; within a budget of memory for a source of n bytes.
 * Aborts where something does not hold. */
void use_model(const struct model_source *source, size_t n);

#endif
