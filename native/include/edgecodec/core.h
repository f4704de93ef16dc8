/* The internal C interface of libedgecodec: what the Python package and the tests call beside edgecodec.h, whose rules
 * hold here too. It may change with every version. No Python, no engine.
 */
#ifndef EDGECODEC_CORE_H
#define EDGECODEC_CORE_H

#include "edgecodec/edgecodec.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- kernels ------------------------------------------------------------------------------------------------- */

/* Name of the kernels in use: "scalar", "avx2", "avxvnni", "avx512" or "neon". EDGECODEC_KERNELS in the environment
 * forces one and is read once. A name that this processor cannot run is ignored; compare with ec_core_kernels. */
EC_API const char *ec_core_kernels(void);
/* Comma separated, slowest first. */
EC_API const char *ec_core_kernels_available(void);
/* For tests, and not while coding. Nets that are already open, also in models, keep the kernels that they were opened
 * with. */
EC_API ec_status ec_core_kernels_force(const char *name, ec_error *error);

/* ---- container (docs/format.md, section 1) ------------------------------------------------------------------- */

typedef struct ec_core_span {
    uint64_t offset, size;
} ec_core_span;

#define EC_CORE_MAX_SECTIONS 16

typedef struct ec_core_container {
    uint32_t version, lanes;
    uint32_t width, height;        /* pixels */
    uint32_t greyscale;            /* 0 or 1 */
    uint32_t has_quality, quality; /* 1/64 of a level */
    uint32_t model_id;
    uint32_t section_count;
    uint32_t section_tag[EC_CORE_MAX_SECTIONS];
    ec_core_span section[EC_CORE_MAX_SECTIONS];
    ec_core_span payload;
} ec_core_container;

EC_API ec_status ec_core_container_parse(const uint8_t *data, size_t size, ec_core_container *out, ec_error *error);

/* Writes the file into out (capacity bytes) from the fields of `head` (of the spans only the sizes count) and the bytes
 * of sections and payload. *written is set also when capacity is too small (EC_INVALID_ARGUMENT). */
EC_API ec_status ec_core_container_write(const ec_core_container *head, const uint8_t *const *sections,
                                         const uint8_t *payload, uint8_t *out, size_t capacity, size_t *written,
                                         ec_error *error);
EC_API uint32_t ec_core_crc32(const uint8_t *data, size_t size);

/* ---- entropy model (docs/format.md, sections 2 and 3) --------------------------------------------------------- */

typedef struct ec_core_model ec_core_model;

typedef struct ec_core_tensor {
    const char *name; /* lives as long as the model */
    uint32_t channels, stride;
} ec_core_tensor;

EC_API ec_status ec_core_model_open(const uint8_t *data, size_t size, ec_core_model **out, ec_error *error);
EC_API void ec_core_model_close(ec_core_model *model); /* NULL is fine */
EC_API uint32_t ec_core_model_id(const ec_core_model *model);
EC_API uint32_t ec_core_model_alignment(const ec_core_model *model);
/* The latents that an encoder takes and those that a decoder returns, in their order. */
EC_API uint32_t ec_core_model_encoder_latent_count(const ec_core_model *model);
EC_API uint32_t ec_core_model_decoder_latent_count(const ec_core_model *model);
EC_API ec_status ec_core_model_encoder_latent(const ec_core_model *model, uint32_t i, ec_core_tensor *out);
EC_API ec_status ec_core_model_decoder_latent(const ec_core_model *model, uint32_t i, ec_core_tensor *out);

/* What decoding a picture takes: bytes held at once beside the latents and the payload, and about as many
 * multiplications. A model that takes too much for a pixel is refused when it is opened. */
typedef struct ec_core_cost {
    uint64_t bytes, multiplications;
} ec_core_cost;

EC_API ec_status ec_core_model_cost(const ec_core_model *model, uint32_t width, uint32_t height, ec_core_cost *out,
                                    ec_error *error);

/* latents[i]: decoder latent i as int16 (channels, rows, columns), exactly the size the picture's size implies.
 * threads: 1 or more, an upper limit; results do not depend on it. */
EC_API ec_status ec_core_decode(const ec_core_model *model, uint32_t width, uint32_t height, uint32_t lanes,
                                const uint8_t *payload, size_t size, int16_t *const *latents, uint32_t threads,
                                ec_error *error);

/* latents[i]: encoder latent i, in the same layout.
 * lanes: 0 chooses by size and is replaced by the choice. The payload is at most ec_core_encode_bound bytes. */
EC_API size_t ec_core_encode_bound(const ec_core_model *model, uint32_t width, uint32_t height);
EC_API ec_status ec_core_encode(const ec_core_model *model, uint32_t width, uint32_t height, uint32_t *lanes,
                                const int16_t *const *latents, uint8_t *payload, size_t capacity, size_t *written,
                                uint32_t threads, ec_error *error);

/* For measurements: the bits that coding these encoder latents takes, without the coder's states. */
EC_API ec_status ec_core_encode_bits(const ec_core_model *model, uint32_t width, uint32_t height,
                                     const int16_t *const *latents, uint64_t *bits, uint32_t threads, ec_error *error);

/* ---- graphs (docs/format.md, section 5) ------------------------------------------------------------------------ */

/* The values of one initializer that lie in a file of their own. */
typedef struct ec_core_weights {
    ec_core_span location; /* the file's name, in the graph's bytes: a plain relative path */
    ec_core_span values;   /* in that file */
} ec_core_weights;

/* Reads an ONNX file as strictly as a bundle demands, and reports the weights that it has elsewhere, in its order.
 * *count may exceed capacity; the first `capacity` are written then. EC_BAD_MODEL: the message names the place. */
EC_API ec_status ec_core_graph_read(const uint8_t *data, size_t size, ec_core_weights *weights, size_t capacity,
                                    size_t *count, ec_error *error);

/* ---- codecs ---------------------------------------------------------------------------------------------------- */

/* What encoding any picture with these options would fail with. */
EC_API ec_status ec_core_check_encoding(const ec_codec *codec, const ec_encode_options *options, ec_error *error);
/* What opening a job with these knobs would fail with, whatever the file. */
EC_API ec_status ec_core_check_decoding(const ec_codec *codec, const ec_decode_options *options, ec_error *error);
/* The shapes that the engine of a caller who runs jobs takes for a graph; a job that has begun keeps its plan. */
EC_API ec_status ec_core_codec_shapes(ec_codec *codec, uint32_t graph, const ec_shape_range *shapes, size_t count,
                                      ec_error *error);

/* ---- bundles (docs/format.md, section 6) ------------------------------------------------------------------------ */

/* The index of a bundle alone. What its description points to lives until it is closed. */
typedef struct ec_core_index ec_core_index;

EC_API ec_status ec_core_index_open(const uint8_t *data, size_t size, ec_core_index **out, ec_error *error);
EC_API ec_status ec_core_index_describe(const ec_core_index *index, ec_bundle_info *out, ec_error *error);
EC_API void ec_core_index_close(ec_core_index *index); /* NULL is fine */

/* The contents of a file that the index lists, which are those that it describes; *written bytes of them. */
EC_API ec_status ec_core_bundle_read(const ec_bundle *bundle, const char *name, uint8_t *out, size_t capacity,
                                     size_t *written, ec_error *error);
/* Hashes a file that the index lists, of any size. EC_BUNDLE_CHANGED where it is not as described. */
EC_API ec_status ec_core_bundle_check(const ec_bundle *bundle, const char *name, ec_error *error);

/* portable: 1 without the processor's instructions for SHA-256. The digest is the same. */
EC_API void ec_core_sha256(const uint8_t *data, size_t size, uint32_t portable, uint8_t digest[32]);

/* ---- the rANS coder alone, for tests and benchmarks ------------------------------------------------------------ */

typedef struct ec_core_tables ec_core_tables; /* one table set: the bytes of one "table set" of entropy.bin */

EC_API ec_status ec_core_tables_open(const uint8_t *data, size_t size, ec_core_tables **out, ec_error *error);
EC_API void ec_core_tables_close(ec_core_tables *tables);

/* `steps` runs of symbols, run k of counts[k] symbols, one after the other in symbols and indices. */
EC_API ec_status ec_core_coder_encode(const ec_core_tables *tables, const uint8_t *indices, const int16_t *symbols,
                                      const size_t *counts, size_t steps, uint32_t *lanes, uint32_t digest,
                                      uint8_t *payload, size_t capacity, size_t *written, ec_error *error);
EC_API ec_status ec_core_coder_decode(const ec_core_tables *tables, const uint8_t *indices, int16_t *symbols,
                                      const size_t *counts, size_t steps, uint32_t lanes, uint32_t *digest,
                                      const uint8_t *payload, size_t size, ec_error *error);

/* ---- integer nets alone, for tests and benchmarks -------------------------------------------------------------- */

typedef struct ec_core_net ec_core_net; /* the bytes of one "net" of entropy.bin */

EC_API ec_status ec_core_net_open(const uint8_t *data, size_t size, ec_core_net **out, ec_error *error);
EC_API void ec_core_net_close(ec_core_net *net);
/* Output shape (channels, rows, columns) for an input of rows x columns. */
EC_API ec_status ec_core_net_shape(const ec_core_net *net, uint32_t rows, uint32_t columns, uint32_t out[3],
                                   ec_error *error);
/* input (channels, rows, columns) int16 within the net's bounds; output int16, indices widened; same layout. */
EC_API ec_status ec_core_net_run(const ec_core_net *net, const int16_t *input, uint32_t rows, uint32_t columns,
                                 int16_t *output, uint32_t threads, ec_error *error);

#ifdef __cplusplus
}
#endif
#endif
