// The public C functions that say which library this is, and what its statuses mean.
#include "edgecodec/edgecodec.h"

const char *ec_version(void) { return EDGECODEC_VERSION; }

const char *ec_status_text(int32_t status) {
    switch (status) {
        case EC_OK: return "no error";
        case EC_INVALID_ARGUMENT: return "invalid argument";
        case EC_NOT_EDGC: return "not a coded picture";
        case EC_CORRUPT: return "damaged or truncated picture";
        case EC_LATENTS_DIFFER: return "latents are not those that were encoded";
        case EC_VERSION: return "picture or bundle of another version";
        case EC_MODEL_MISMATCH: return "picture of another model";
        case EC_BAD_MODEL: return "entropy model or graph is damaged or unsafe to run";
        case EC_NOT_A_BUNDLE: return "no bundle with a readable index";
        case EC_BUNDLE_CHANGED: return "file is not the one that the index describes";
        case EC_KNOB_UNAVAILABLE: return "bundle has no such knob, or not this value of it";
        case EC_LIMIT: return "larger than the caller allows";
        case EC_NO_MEMORY: return "not enough memory";
        case EC_OUT_OF_RANGE: return "latent beyond 16 bits, or picture too small for the networks";
        case EC_ENGINE_UNAVAILABLE: return "engine is not installed, or not on this device";
        case EC_ENGINE_FAILED: return "engine refused the graph, or failed while running it";
        case EC_CANNOT_READ: return "cannot be read";
        case EC_INTERNAL: return "bug of the library";
        case EC_CANCELLED: return "cancelled";
        default: return "unknown status";
    }
}
