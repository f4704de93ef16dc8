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
/* What runs the graphs of a codec that has an engine. */
typedef struct ec_core_running_engine {
    char device[64], version[64];
} ec_core_running_engine;

/* A job without steps, which loads a graph on the codec's engine, unless it is loaded: ec_job_run does. */
EC_API ec_status ec_core_job_load(ec_codec *codec, uint32_t graph, uint32_t low_memory, ec_job **out, ec_error *error);
/* What loaded or ran the graph of a job's last step, also where that is no longer loaded. */
EC_API ec_status ec_core_job_engine(const ec_job *job, ec_core_running_engine *out, ec_error *error);
/* Lets go of all loaded graphs, those in use as soon as they are not. A later job loads what it needs again. */
EC_API void ec_core_codec_unload(ec_codec *codec);
/* For a caller who runs a job's steps: the shapes that the engine takes for the graph of the step that was given, the
 * graph's first. *again: 1 where the job planned with others; ec_job_next gives the graph's first step once more then.
 * The codec's other jobs plan with these shapes too. count: 0 means all shapes. */
EC_API ec_status ec_core_job_shapes(ec_job *job, const ec_shape_range *shapes, size_t count, uint32_t *again,
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
/* Opens an entropy model by its number and compares it with the index. EC_BAD_MODEL, EC_BUNDLE_CHANGED. */
EC_API ec_status ec_core_bundle_check_model(const ec_bundle *bundle, uint32_t number, ec_error *error);

/* portable: 1 without the processor's instructions for SHA-256. The digest is the same. */
EC_API void ec_core_sha256(const uint8_t *data, size_t size, uint32_t portable, uint8_t digest[32]);
/* ---- the rules of the runtime, for the Python package and for tests --------------------------------------------- */

/* These write a text of at most 31 characters and a zero. Decimal: the shortest that reads back as this very value, as
 * Python writes it, without ".0". Words: "3.9 GB", "512 MB" or "10 KB", rounded up. */
EC_API ec_status ec_core_decimal(double value, char out[32], ec_error *error);
EC_API ec_status ec_core_memory_words(double bytes, char out[32], ec_error *error);

/* Bytes that this process can still take without swapping; UINT64_MAX where the system does not say. root: where /proc
 * and /sys are looked for, "" but in tests. */
EC_API ec_status ec_core_available_memory(const char *root, uint64_t *bytes, ec_error *error);

/* EC_LIMIT for a picture that is too large, in pixels, and for a coded file that is, in bytes, or that has too many
 * pixels for its bytes. limits: 0 for a default, NULL for all of them. */
EC_API ec_status ec_core_check_size(const ec_limits *limits, uint64_t width, uint64_t height, ec_error *error);
EC_API ec_status ec_core_check_bytes(const ec_limits *limits, uint64_t file_bytes, ec_error *error);
EC_API ec_status ec_core_check_ratio(const ec_limits *limits, uint64_t width, uint64_t height, uint64_t file_bytes,
                                     ec_error *error);

/* `count` values of normal noise, in units of 1/4096. */
EC_API ec_status ec_core_noise(uint64_t seed, int16_t *out, size_t count, ec_error *error);

/* Smallest picture that the networks of a model take: EC_OUT_OF_RANGE for one that is smaller. */
EC_API ec_status ec_core_check_room(const ec_model *model, uint32_t width, uint32_t height, ec_error *error);
/* Length of a side of a picture after padding for the analysis graph, in pixels. */
EC_API uint32_t ec_core_encoder_side(const ec_model *model, uint32_t side);
/* out: uint8 (rows, columns, 3), not smaller than the picture. */
EC_API ec_status ec_core_pad(const ec_image *image, uint32_t rows, uint32_t columns, ec_padding rule, uint8_t *out,
                             ec_error *error);
/* uint8 (rows, columns, 3) to (rows, columns, channels). Strides: bytes from row to row. */
EC_API ec_status ec_core_store_pixels(const uint8_t *from, size_t from_row_stride, uint8_t *to, size_t to_row_stride,
                                      uint32_t rows, uint32_t columns, uint32_t channels, uint32_t grey,
                                      ec_error *error);

/* A window along one axis, in units of the grid: start to stop is given to the engine, first to last is kept. */
typedef struct ec_core_window {
    uint32_t start, stop, first, last;
} ec_core_window;

/* padded: 1 where the caller pads what of a window lies beyond the picture. */
typedef struct ec_core_plan {
    uint32_t row_count, column_count;
    uint32_t low_memory, padded;
    ec_tiles tiles;
} ec_core_plan;

/* The windows of a picture of height x width pixels: those of the rows and then those of the columns, as far as capacity
 * goes. tile, max_memory: as in ec_codec_options. shapes: that the engine takes; none for all. */
EC_API ec_status ec_core_windows(const ec_graph *graph, uint32_t height, uint32_t width, uint32_t unit, uint32_t tile,
                                 uint64_t max_memory, const ec_shape_range *shapes, size_t shape_count,
                                 ec_core_window *windows, size_t capacity, ec_core_plan *plan, ec_error *error);

/* The graph of one side, model and precision (NULL for any) for the values of knobs. any: whether knobs without a value
 * may have any, instead of their defaults. */
EC_API ec_status ec_core_choose_graph(const ec_bundle_info *bundle, ec_side side, uint32_t model, const char *precision,
                                      const ec_knob_value *knobs, size_t knob_count, uint32_t any,
                                      const ec_graph **graph, ec_error *error);
/* The value of an input of a graph. */
EC_API ec_status ec_core_input_value(const ec_knob *knob, const ec_knob_value *knobs, size_t knob_count, double *value,
                                     ec_error *error);

/* The latents (1, rows, columns) that the caller gives, on a grid of one position every `alignment` pixels: of labels
 * and of a mask, for those that the model has. Strides: bytes from row to row, 0 for width. */
EC_API ec_status ec_core_side_inputs(const ec_model *model, uint32_t width, uint32_t height, const uint8_t *labels,
                                     size_t labels_row_stride, const uint8_t *mask, size_t mask_row_stride,
                                     int16_t *label_latent, int16_t *mask_latent, ec_error *error);

/* A search for the point whose size is the largest not above the target. expected: as many as points, or NULL. */
typedef struct ec_core_search ec_core_search;

EC_API ec_status ec_core_search_open(size_t points, double target, const double *expected, ec_core_search **out,
                                     ec_error *error);
/* The point to look at next; SIZE_MAX where the result is certain. */
EC_API ec_status ec_core_search_next(const ec_core_search *search, size_t *point, ec_error *error);
EC_API ec_status ec_core_search_report(ec_core_search *search, size_t point, uint64_t size, ec_error *error);
/* After a report. */
EC_API ec_status ec_core_search_best(const ec_core_search *search, size_t *point, ec_error *error);
EC_API void ec_core_search_close(ec_core_search *search);
/* ---- ONNX Runtime ------------------------------------------------------------------------------------------------ */

/* A device that a provider of ONNX Runtime can use. name: "gpu", and "gpu:1" for the second of the kind. vendor: of the
 * hardware. */
typedef struct ec_core_device {
    char provider[64], name[16], vendor[64];
} ec_core_device;

/* The devices that a plugin finds here, or, for NULL, those of ONNX Runtime's own providers that say. library,
 * provider_library: as in ec_codec_options. *count may exceed capacity; the first `capacity` are written then. */
EC_API ec_status ec_core_onnxruntime_devices(const char *library, const char *provider_library, ec_core_device *out,
                                             size_t capacity, size_t *count, ec_error *error);

/* For tests. */

typedef struct ec_core_onnxruntime ec_core_onnxruntime;

/* engine, library, provider_library, provider_device: as in ec_codec_options. */
EC_API ec_status ec_core_onnxruntime_open(const char *engine, const char *library, const char *provider_library,
                                          const char *provider_device, ec_core_onnxruntime **out, ec_error *error);
/* Lives as long as the engine. */
EC_API const ec_engine *ec_core_onnxruntime_table(const ec_core_onnxruntime *engine);
EC_API void ec_core_onnxruntime_close(ec_core_onnxruntime *engine); /* NULL is fine */

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
