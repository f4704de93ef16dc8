// The C functions that name and choose the kernels.
#include "edgecodec/core.h"
#include "support/instruction_set.h"
#include "support/status.h"

using namespace edgecodec;

const char *ec_core_kernels(void) { return instruction_set_name(); }

const char *ec_core_kernels_available(void) { return available_instruction_sets(); }

ec_status ec_core_kernels_force(const char *name, ec_error *error) {
    return guarded(error, [&] {
        if (name == nullptr || !use_instruction_set(name)) {
            throw Failure(EC_INVALID_ARGUMENT, "no kernels of this name run on this processor");
        }
    });
}
