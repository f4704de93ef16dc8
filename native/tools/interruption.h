/* Signals that ask the tool to end: it ends in order, and leaves nothing half-written. */
#ifndef EDGECODEC_TOOLS_INTERRUPTION_H
#define EDGECODEC_TOOLS_INTERRUPTION_H

#include "edgecodec/edgecodec.h"

/* From here on the signals are noted, and calls of the system that wait return early. */
void watch_signals(void);

/* The signal that came, or 0. */
int signal_that_came(void);

/* Between these two a signal cancels the codec's work. An engine may need long to reach its next node; the process then
 * leaves without it, with the exit status of the signal. */
void begin_cancellable(ec_codec *codec);
void end_cancellable(void);

#endif
