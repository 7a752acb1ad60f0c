/* quant.h - a folder's weights in fewer bits, made once and kept on disk. */
#ifndef ENGINE_QUANT_H
#define ENGINE_QUANT_H

#include "andiron.h"
#include "files/gguf.h"

/* The folder `dir`, of that definition, as a file of type options->quant, from options->cache_dir where it is there
 * already, else made now. It has no vocabulary: that is the folder's. */
andiron_status quant_open(struct gguf **out, const char *dir, struct span definition,
                          const andiron_model_options *options, andiron_error *error);

#endif
