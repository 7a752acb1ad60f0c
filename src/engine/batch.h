/* batch.h - steps from inside the engine. */
#ifndef ENGINE_BATCH_H
#define ENGINE_BATCH_H

#include "engine/engine.h"

/* Run the batch and, where `logits` is not NULL, copy the scores [n_vocab] after its last token there before any other
 * step can run. */
andiron_status batch_run_for(andiron_batch *batch, float *logits, andiron_error *error);

/* Run tokens [n, at most the model's max_rows] as the session's source. */
andiron_status batch_run_source(andiron_batch *batch, andiron_session *session, const andiron_token *tokens, size_t n,
                                andiron_error *error);

/* Take the tokens of a session that is about to close out of the batch, which has not run. */
void batch_forget(andiron_batch *batch, andiron_session *session);

/* As andiron_session_append; without `wants_logits` no scores are computed. */
andiron_status session_extend(andiron_session *session, const andiron_token *tokens, size_t n_tokens, bool wants_logits,
                              andiron_error *error);

#endif
