/* edgecodec: learned image codecs on edge devices.
 *
 * A bundle is a folder that `edgecodec export` wrote: networks as ONNX graphs, and a frozen entropy model. This library
 * turns coded pictures (.edgc) into pixels with it, and pixels into coded pictures. What lies between the bytes and an
 * inference engine is done here, in integers, and gives the same latents on every machine; the engine that runs the
 * networks is found at run time, is the caller's own table of functions, or is called by the caller itself.
 *
 *     ec_error error = EC_INIT(ec_error);
 *     ec_bundle *bundle = NULL;
 *     ec_codec *codec = NULL;
 *     ec_picture picture = EC_INIT(ec_picture);
 *     if (ec_bundle_open("hific.bundle", &bundle, &error) == EC_OK &&
 *         ec_codec_open(bundle, NULL, &codec, &error) == EC_OK &&
 *         ec_decode(codec, file, file_size, NULL, &picture, &error) == EC_OK) {
 *         use(picture.pixels, picture.width, picture.height, picture.channels);
 *     } else {
 *         fprintf(stderr, "%s: %s. %s\n", error.where[0] ? error.where : "photo.edgc", error.message, error.hint);
 *     }
 *     ec_free(picture.pixels);
 *     ec_codec_close(codec);
 *     ec_bundle_close(bundle);
 *
 * Rules that hold everywhere
 *
 *   Errors. Every function that can fail returns a status. Where the last argument, which may be NULL, is an ec_error,
 *   it is filled with the first cause and left alone otherwise. What a function was to give is then as it was before.
 *   Structs. Those with a `struct_size` may grow at their end in later versions; EC_INIT fills in the size that the
 *   caller was compiled with, and zeros, which mean the default of every field. So may those that are only ever pointed
 *   to, as in the description of a bundle. All others are final.
 *   Memory. Arguments are borrowed for the call unless it says otherwise. What the library allocates for the caller is
 *   named as such, and freed by ec_free.
 *   Text. UTF-8, ended by a zero; NULL is allowed where an empty text is.
 *   Threads. A bundle may be used by several threads, and a codec too: each call or job works on its own picture. A job
 *   belongs to one thread at a time, but any may cancel it. Close is called once, when nobody uses the thing any more:
 *   of a bundle after its codecs and graphs, of a codec after its jobs.
 *   The library never prints, never exits, changes no locale and no signal handler, and has no global state but for the
 *   choice of processor kernels, made once. Nothing in a bundle or a coded picture is trusted: both may come from
 *   strangers, and are refused, with a typed error, before anything large is allocated.
 */
#ifndef EDGECODEC_EDGECODEC_H
#define EDGECODEC_EDGECODEC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define EC_API __declspec(dllexport)
#else
#define EC_API __attribute__((visibility("default")))
#endif

/* First field of a struct that may grow, and how a variable of such a struct starts. */
#ifdef __cplusplus
#define EC_STRUCT_SIZE(type) size_t struct_size = sizeof(type)
#define EC_INIT(type) \
    {                 \
    }
#else
#define EC_STRUCT_SIZE(type) size_t struct_size
#define EC_INIT(type) {.struct_size = sizeof(type)}
#endif

/* ---- status ---------------------------------------------------------------------------------------------------- */

/* Frozen numbers, the same as those of the Python package's errors. The tens are the exit status of the commands. */
typedef enum ec_status {
    EC_OK = 0,
    EC_INVALID_ARGUMENT = 20, /* a value that no input could make right */
    EC_NOT_EDGC = 30,         /* not a coded picture */
    EC_CORRUPT = 31,          /* damaged or truncated picture */
    EC_LATENTS_DIFFER = 32,   /* parsed, but the latents are not those that were encoded */
    EC_VERSION = 40,          /* picture or bundle of another version of the formats */
    EC_MODEL_MISMATCH = 41,   /* picture of a model that the bundle does not hold */
    EC_BAD_MODEL = 42,        /* entropy.bin or a graph is damaged or unsafe to run */
    EC_NOT_A_BUNDLE = 43,     /* no readable index */
    EC_BUNDLE_CHANGED = 44,   /* a file is not the one that the index describes */
    EC_KNOB_UNAVAILABLE = 45, /* the bundle has no such knob, or was not exported for this value of it */
    EC_LIMIT = 50,            /* larger than the caller allows */
    EC_NO_MEMORY = 51,
    EC_OUT_OF_RANGE = 52,       /* a latent beyond 16 bits, or a picture too small for the networks */
    EC_ENGINE_UNAVAILABLE = 60, /* not installed, or not on this device */
    EC_ENGINE_FAILED = 61,      /* refused the graph, or failed while running it */
    EC_CANNOT_READ = 70,
    EC_INTERNAL = 90,  /* a bug of the library */
    EC_CANCELLED = 130 /* ec_codec_cancel was called */
} ec_status;

/* where: the file, knob or tensor that it happened in, or "" for what the call was given, such as the coded picture.
 * message: what happened, to be read after `where` or after the caller's own name for the data: "is damaged". hint:
 * what to do about it, or "". offset: byte in the data that the call reads, or -1. Texts that are too long are cut. */
typedef struct ec_error {
    EC_STRUCT_SIZE(ec_error);
    int32_t status;
    int64_t offset;
    char message[512];
    char where[1024];
    char hint[512];
} ec_error;

/* "0.1.0". */
EC_API const char *ec_version(void);
/* A status in a few words, "damaged or truncated picture"; never NULL. */
EC_API const char *ec_status_text(int32_t status);

/* ---- coded pictures without a model ---------------------------------------------------------------------------- */

/* Metadata that a coded picture carries as they were: tags of ec_section. */
enum { EC_ICC = 1, EC_EXIF = 2, EC_XMP = 3 };

typedef struct ec_section {
    uint32_t tag;
    const uint8_t *data;
    size_t size; /* bytes */
} ec_section;

#define EC_MAX_SECTIONS 16

/* What a coded picture says about itself. quality: of the encoder, in steps of 1/64, where has_quality is 1. model_id:
 * of the entropy model that reads it. sections: metadata, whose bytes lie in the data that were looked at. */
typedef struct ec_file_info {
    EC_STRUCT_SIZE(ec_file_info);
    uint32_t version;
    uint32_t width, height; /* pixels */
    uint32_t greyscale;     /* 0 or 1 */
    uint32_t has_quality;
    double quality;
    uint32_t model_id;
    uint32_t lanes; /* interleaved coder states */
    uint64_t noise_seed;
    uint64_t payload_offset, payload_bytes;
    uint32_t section_count;
    ec_section sections[EC_MAX_SECTIONS];
} ec_file_info;

/* Reads the head of a coded picture and proves its checksum; decodes nothing. size: bytes of the whole file. */
EC_API ec_status ec_peek(const void *data, size_t size, ec_file_info *out, ec_error *error);

/* ---- bundles --------------------------------------------------------------------------------------------------- */

typedef struct ec_bundle ec_bundle;

typedef enum ec_side { EC_ENCODE = 1, EC_DECODE = 2 } ec_side;

/* A knob's value, by name. */
typedef struct ec_knob_value {
    const char *name;
    double value;
} ec_knob_value;

/* A knob of the encoders or of the decoders of a bundle. It was baked into graphs at `values`, ascending, which are
 * then all that there is; or, where value_count is 0, is an input of graphs and takes what lies from low to high.
 * fit: how it changes the rate, where that was measured: log2(bits per pixel) is the sum of fit[k] * value^k, from
 * fit_low to fit_high; fit_residual: percent. */
typedef struct ec_knob {
    const char *name, *help;
    ec_side side;
    const double *values;
    size_t value_count;
    double low, high;
    double default_value;
    const double *fit;
    size_t fit_count;
    double fit_low, fit_high, fit_residual;
} ec_knob;

/* Where an encoder's latent comes from: a graph, or the caller. */
typedef enum ec_source { EC_FROM_GRAPH = 0, EC_LABELS = 1, EC_MASK = 2 } ec_source;

/* `channels` planes of integers, one every `stride` pixels. classes: of labels, their names. */
typedef struct ec_latent {
    const char *name;
    uint32_t channels, stride;
    ec_source source;
    const char *const *classes;
    size_t class_count;
} ec_latent;

/* What lies beyond a picture's edge for the analysis graph: the picture mirrored without its edge, or mid grey. */
typedef enum ec_padding { EC_REFLECT = 0, EC_GREY = 1 } ec_padding;

/* An entropy model and what belongs to it. file: its name in the bundle. alignment: a picture's sides are rounded up to
 * a multiple of it for the latents; padding_alignment and smallest_side: the same for the analysis graph, in pixels.
 * rate: about the bits per pixel of photographs, where the bundle has several models; the encoders of each are then
 * baked at a quality of their own, by which it is chosen. noise_channels: planes of noise that decoders take, one value
 * every noise_stride pixels; 0: none. */
typedef struct ec_model {
    uint32_t id;
    const char *file;
    double rate;
    uint32_t alignment;
    uint32_t padding_alignment, smallest_side;
    ec_padding padding;
    uint32_t noise_channels, noise_stride;
    const ec_latent *const *encoder_latents;
    size_t encoder_latent_count;
    const ec_latent *const *decoder_latents;
    size_t decoder_latent_count;
} ec_model;

typedef enum ec_type { EC_UINT8 = 1, EC_INT16 = 2, EC_INT64 = 3, EC_FLOAT32 = 4 } ec_type;

/* What an input or output of a graph carries.
 * EC_IMAGE: uint8 (rows, columns, 3). EC_LATENT: float32 (1, channels, rows, columns), latent `index` of the model's
 * encoder or decoder latents. EC_KNOB: one float32, knob `index` of the bundle. EC_SIZE: int64 (2), height and width
 * of the picture in pixels. EC_NOISE: float32 like a latent. */
typedef enum ec_role { EC_IMAGE = 0, EC_LATENT = 1, EC_KNOB = 2, EC_SIZE = 3, EC_NOISE = 4 } ec_role;

/* An input or output of a graph, under the graph's name for it. channels, stride: 3 and 1 for an image, 0 where they
 * have no meaning. */
typedef struct ec_port {
    const char *name;
    ec_role role;
    uint32_t index;
    ec_type type;
    uint32_t channels, stride;
} ec_port;

/* A graph of a bundle: an encoder's network, or a decoder's. number: among the bundle's graphs. file: its name in the
 * bundle. model: number of its model. precision: "fp32", "fp16"... knobs: what is baked into it.
 * tolerance_levels: how far a pixel may be off on another engine, of 255; tolerance_db: PSNR to fp32, 0 where none is
 * stated. not_tiled: why it cannot work on a part of a picture, or NULL; halo_before and halo_after: how much it sees
 * around a part, in units of the model's alignment. bytes_per_pixel: of memory that it takes, without weights; 0 where
 * that is unknown. */
typedef struct ec_graph {
    uint32_t number;
    const char *file;
    ec_side side;
    uint32_t model;
    const char *precision;
    const ec_knob_value *knobs;
    size_t knob_count;
    const ec_port *const *inputs;
    size_t input_count;
    const ec_port *const *outputs;
    size_t output_count;
    uint32_t tolerance_levels;
    double tolerance_db;
    const char *not_tiled;
    uint32_t halo_before, halo_after;
    double bytes_per_pixel;
} ec_graph;

/* A file of the bundle that the library may open. */
typedef struct ec_bundle_file {
    const char *name;
    uint64_t size;
    uint8_t sha256[32];
} ec_bundle_file;

/* All of it lives as long as the bundle. family and preset: names for people. */
typedef struct ec_bundle_info {
    EC_STRUCT_SIZE(ec_bundle_info);
    uint32_t schema;
    const char *family, *preset;
    const ec_model *const *models;
    size_t model_count;
    const ec_knob *const *knobs;
    size_t knob_count;
    const ec_graph *const *graphs;
    size_t graph_count;
    const ec_bundle_file *const *files;
    size_t file_count;
} ec_bundle_info;

/* Opens the folder of a bundle: reads its index, and compares the size of every file with it. Contents are hashed when
 * they are used, and what is used is what was hashed. The folder may be written to by others: then a later call gives
 * EC_BUNDLE_CHANGED. Only weights in files of their own are mapped rather than copied: while a graph is open or being
 * loaded, nobody may write into these or shorten them; replacing them is fine. The bundle must outlive its codecs. */
EC_API ec_status ec_bundle_open(const char *path, ec_bundle **out, ec_error *error);
EC_API ec_status ec_bundle_describe(const ec_bundle *bundle, ec_bundle_info *out, ec_error *error);
EC_API void ec_bundle_close(ec_bundle *bundle); /* NULL is fine */

/* The weights of a graph that lie in a file of their own: `location` is the graph's name for that file. */
typedef struct ec_weights {
    const char *location;
    const void *data;
    size_t size;
} ec_weights;

/* A graph as an engine takes it. data: the ONNX file, proven to lead out of the bundle nowhere. path: of the file, for
 * messages and for engines that take no bytes; the file may have changed since. */
typedef struct ec_graph_data {
    EC_STRUCT_SIZE(ec_graph_data);
    const ec_graph *graph;
    const char *path;
    const void *data;
    size_t size;
    const ec_weights *weights;
    size_t weight_count;
    void *owner; /* the library's */
} ec_graph_data;

/* Reads a graph for an engine of the caller's, by its number. What `out` points to lives until ec_graph_close. */
EC_API ec_status ec_graph_open(const ec_bundle *bundle, uint32_t number, ec_graph_data *out, ec_error *error);
EC_API void ec_graph_close(ec_graph_data *graph);

/* ---- engines --------------------------------------------------------------------------------------------------- */

/* A tensor of a graph's input or output, dense, in row-major order. */
typedef struct ec_tensor {
    const char *name;
    ec_type type;
    uint32_t rank;
    int64_t shape[4];
    void *data;
    size_t bytes;
} ec_tensor;

/* The sides of a picture or of a part of it, in pixels, that an engine takes: from least to most, in multiples.
 * most 0: no end; multiple 0 or 1: any. */
typedef struct ec_side_range {
    uint32_t least, most, multiple;
} ec_side_range;

typedef struct ec_shape_range {
    ec_side_range height, width;
} ec_shape_range;

#define EC_MAX_SHAPES 16

/* A graph on an engine, as `load` reports it. graph: the engine's own. device, version: for reports. serial: 1 where
 * only one `run` of this graph may be under way at a time. shapes: those that it takes; none means all. */
typedef struct ec_loaded_graph {
    EC_STRUCT_SIZE(ec_loaded_graph);
    void *graph;
    char device[64];
    char version[64];
    uint32_t serial;
    uint32_t shape_count;
    ec_shape_range shapes[EC_MAX_SHAPES];
} ec_loaded_graph;

/* threads: of the processor, 0 for the engine's own choice. low_memory: 1 where memory is to be returned as soon as it
 * can be, rather than kept for the next call. one_shot: 1 where the graph is wanted for one picture, so that it matters
 * more how soon it starts than how fast it runs. */
typedef struct ec_engine_options {
    EC_STRUCT_SIZE(ec_engine_options);
    uint32_t threads;
    uint32_t low_memory;
    uint32_t one_shot;
} ec_engine_options;

/* One picture on its way, whose work an engine does. What an engine may do with a job is compare it with another, and
 * ask ec_job_cancelled. */
typedef struct ec_job ec_job;

/* An inference engine of the caller's. Functions return a status, and may write their message into `error`, which is
 * never NULL. An engine's statuses are EC_ENGINE_UNAVAILABLE, EC_ENGINE_FAILED, EC_NO_MEMORY and EC_CANCELLED, and those
 * of the graph itself: EC_BAD_MODEL, EC_LIMIT, EC_BUNDLE_CHANGED. One that no engine can have is reported as
 * EC_ENGINE_FAILED. Functions may be called by any thread that uses the codec, by several at a time. name: for people,
 * or NULL. context: handed to each function. job: whose work it is; NULL where it is nobody's. precision: in which it
 * decodes where the caller names none and the bundle has it, "fp16" for most GPUs; NULL for fp32.
 *
 * load: makes a graph ready to run when it is first needed, and again where memory has become scarce. The data live
 *   until it returns, weights among them.
 * run: inputs and outputs stand in the order of the graph's description, all of them, with their final shapes;
 *   outputs[i].data has room for outputs[i].bytes.
 * cancel: asks the runs and loads of a job that are under way to end soon, with EC_CANCELLED; those of all jobs for
 *   NULL. From any thread. May be NULL. One that comes before a run has begun finds nothing to end, so a run that may
 *   take long asks ec_job_cancelled first, or as it goes, instead of this function.
 * unload: frees what load made. NULL where there is nothing to free. */
typedef struct ec_engine {
    EC_STRUCT_SIZE(ec_engine);
    const char *name;
    void *context;
    ec_status (*load)(void *context, const ec_job *job, const ec_graph_data *data, const ec_engine_options *options,
                      ec_loaded_graph *out, ec_error *error);
    ec_status (*run)(void *context, const ec_job *job, void *graph, const ec_tensor *inputs, size_t input_count,
                     ec_tensor *outputs, size_t output_count, ec_error *error);
    void (*cancel)(void *context, const ec_job *job);
    void (*unload)(void *context, void *graph);
    const char *precision;
} ec_engine;

/* ---- codecs ---------------------------------------------------------------------------------------------------- */

typedef struct ec_codec ec_codec;

/* Upper bounds, checked before anything of that size is allocated; 0 stands for the default. max_pixels: width times
 * height (2^28). max_side: pixels (65535). max_file_bytes: of a coded picture (2^30). max_pixels_per_byte: of a coded
 * picture (2^18), so that a few bytes cannot ask for minutes of work. */
typedef struct ec_limits {
    uint64_t max_pixels;
    uint64_t max_side;
    uint64_t max_file_bytes;
    uint64_t max_pixels_per_byte;
} ec_limits;

/* Memory for results: pixels, coded files. The caller frees what came from its own allocator as it likes. */
typedef struct ec_allocator {
    void *(*allocate)(void *context, size_t bytes); /* NULL where there is none; aligned for any type */
    void (*release)(void *context, void *memory);   /* of what a failing call had allocated */
    void *context;
} ec_allocator;

/* Engine name for a codec whose jobs the caller runs. */
#define EC_NO_ENGINE "none"
/* Value of `tile`: work on every picture whole, whatever memory that takes. */
#define EC_TILE_OFF UINT32_MAX

/* engine: "onnxruntime" (also for NULL), "onnxruntime:cuda", "onnxruntime:tensorrt", "onnxruntime:NAME" of a plugin
 *   whose library is provider_library, or EC_NO_ENGINE. A named engine is that engine or an error.
 * provider_device: of a plugin, "cpu", "gpu" or "npu", and "gpu:1" for the second of the kind; NULL for the first that
 *   the plugin lists.
 * engine_table: an engine of the caller's instead, which must outlive the codec; `engine` is not looked at then.
 * onnxruntime_library: path of ONNX Runtime's shared library; NULL looks at the environment variable
 *   EDGECODEC_ONNXRUNTIME, beside this library, and where the system looks for libraries. It stays in memory once it is
 *   opened. From 1.29 on it sends facts about its use over the network, unless the environment variable
 *   ORT_DISABLE_TELEMETRY is 1; where that is not set, it is set to 1 before ONNX Runtime starts.
 * knobs: of decoders, for all pictures; those of a picture override them.
 * precision: of decoders, "fp32", "fp16"...; a precision that the bundle lacks is an error. NULL for that of the engine:
 *   fp16 on the GPUs that ONNX Runtime reaches by the names cuda, tensorrt, nvtensorrtrtx, rocm, migraphx, dml and
 *   webgpu, else fp32, and fp32 where the bundle has nothing else. What was used stands in ec_picture. encode_precision:
 *   of encoders, likewise; NULL for fp32 on every engine, because it may change what is coded.
 * threads: of the processor, for engine and entropy model, 256 at most; 0 for all that this process may use.
 * max_memory: bytes that one engine call may take beside the weights; 0 for half of what is available.
 * tile: 0 (auto) works on a picture in parts where it would take more than max_memory otherwise; else the side of every
 *   part in pixels, without what overlaps; or EC_TILE_OFF.
 * one_shot: 1 where one small picture is coming rather than many: graphs with large weights then start sooner and take
 *   less memory, and run up to a fifth slower. */
typedef struct ec_codec_options {
    EC_STRUCT_SIZE(ec_codec_options);
    const char *engine;
    const ec_engine *engine_table;
    const char *onnxruntime_library;
    const char *provider_library;
    const ec_knob_value *knobs;
    size_t knob_count;
    const char *precision;
    const char *encode_precision;
    uint32_t threads;
    uint32_t tile;
    uint64_t max_memory;
    ec_limits limits;
    ec_allocator allocator;
    uint32_t one_shot;
    const char *provider_device;
} ec_codec_options;

/* options: NULL for the defaults; nothing that they point to is needed afterwards, but for the engine table and the
 * allocator's context. Opens the engine, and the entropy model where the bundle has one; graphs, and one of several
 * entropy models, are loaded when they are first needed. The codec must outlive its jobs. */
EC_API ec_status ec_codec_open(const ec_bundle *bundle, const ec_codec_options *options, ec_codec **out,
                               ec_error *error);
/* Lets every call and job of the codec that is under way end soon, with EC_CANCELLED; from any thread, though not from
 * a signal handler. An engine may end only at its next node. Later calls work as before. */
EC_API void ec_codec_cancel(ec_codec *codec);
EC_API void ec_codec_close(ec_codec *codec); /* NULL is fine */

/* ---- decoding -------------------------------------------------------------------------------------------------- */

/* knobs: override the codec's. channels: of the pixels; 0 as the file says, 3 always three, equal where the picture is
 * grey. */
typedef struct ec_decode_options {
    EC_STRUCT_SIZE(ec_decode_options);
    const ec_knob_value *knobs;
    size_t knob_count;
    uint32_t channels;
} ec_decode_options;

/* Seconds. parse: of the container. entropy: of the entropy model. engine: in the engine, its loading included. rest:
 * of everything else. */
typedef struct ec_timings {
    double parse, entropy, engine, rest;
} ec_timings;

/* The parts in which a picture went through the engine. height, width: pixels of the largest. overhead: the sum of all
 * over the picture's own size, less 1. */
typedef struct ec_tiles {
    uint32_t count, height, width;
    double overhead;
} ec_tiles;

/* A decoded picture: uint8, interleaved, red, green, blue or grey alone, from the top row down. The caller may give
 * memory: pixels, capacity bytes of it, and row_stride bytes from row to row (0: width * channels); the last row may
 * end where its pixels do. Where pixels is NULL the library allocates, with the codec's allocator or, to be freed by
 * ec_free, without one, and fills in capacity and row_stride. So a picture that is given again as it is takes the next
 * one in the same memory; for memory of its own, start with EC_INIT again. All else is filled in: channels 1 or 3.
 * sections: metadata, whose bytes lie in the data that were decoded. graph: the decoder that was used; it lives as long
 * as the bundle. */
typedef struct ec_picture {
    EC_STRUCT_SIZE(ec_picture);
    uint8_t *pixels;
    size_t capacity;
    size_t row_stride;
    uint32_t width, height, channels;
    uint32_t section_count;
    ec_section sections[EC_MAX_SECTIONS];
    ec_timings timings;
    ec_tiles tiles;
    const ec_graph *graph;
} ec_picture;

/* data: a whole coded picture, of `size` bytes. options: NULL for the defaults. */
EC_API ec_status ec_decode(ec_codec *codec, const void *data, size_t size, const ec_decode_options *options,
                           ec_picture *picture, ec_error *error);

/* ---- encoding -------------------------------------------------------------------------------------------------- */

/* uint8, interleaved, from the top row down; channels: 3 for red, green, blue, 1 for grey; row_stride: bytes from row
 * to row, 0 for width * channels. The last row may end where its pixels do. */
typedef struct ec_image {
    EC_STRUCT_SIZE(ec_image);
    const uint8_t *pixels;
    size_t row_stride;
    uint32_t width, height, channels;
} ec_image;

/* knobs: of encoders. target_bpp: instead of knobs, bits per pixel that the whole file may take; 0: none. seed: of the
 * decoder's noise, where has_seed is 1. labels: the class of every pixel, as its number among the latent's classes, for
 * bundles that need it, labels_row_stride bytes from row to row (0: width). mask: not 0 where the picture must be kept,
 * likewise; NULL keeps everything. sections: metadata to be carried. */
typedef struct ec_encode_options {
    EC_STRUCT_SIZE(ec_encode_options);
    const ec_knob_value *knobs;
    size_t knob_count;
    double target_bpp;
    uint64_t seed;
    uint32_t has_seed;
    const uint8_t *labels;
    size_t labels_row_stride;
    const uint8_t *mask;
    size_t mask_row_stride;
    const ec_section *sections;
    size_t section_count;
} ec_encode_options;

/* A coded picture. The caller may give memory: data, capacity bytes of it; where that is too small, size says what is
 * needed, with EC_INVALID_ARGUMENT. Where data is NULL the library allocates, as for ec_picture. graph: the encoder
 * that was used. knob, value: what was chosen for a target rate; NULL and 0 without one. reached: 1 where the target was
 * met, which not every picture can. graph and knob live as long as the bundle. */
typedef struct ec_file {
    EC_STRUCT_SIZE(ec_file);
    uint8_t *data;
    size_t capacity;
    size_t size;
    ec_timings timings;
    ec_tiles tiles;
    const ec_graph *graph;
    const char *knob;
    double value;
    uint32_t reached;
} ec_file;

/* options: NULL for the defaults. */
EC_API ec_status ec_encode(ec_codec *codec, const ec_image *image, const ec_encode_options *options, ec_file *file,
                           ec_error *error);

/* ---- jobs: whoever holds one runs the engine -------------------------------------------------------------------- */

/* A job is one picture on its way, in steps. A codec that was opened with EC_NO_ENGINE works with jobs alone; with the
 * codec's engine they let the entropy stage of the next picture overlap the engine's work on the last (ec_job_run):
 *
 *     ec_job_decode(codec, file, file_size, NULL, &job, &error);
 *     while (ec_job_next(job, &step, &error) == EC_OK && step.graph != NULL) run(&step);
 *     ec_job_finish_decode(job, &picture, &error);
 *     ec_job_close(job);
 */

/* One call of an engine. graph: which graph; NULL after the last step. low_memory: as in ec_engine_options. inputs live
 * until the next call for the job. outputs: name, type and shape that are expected; the caller fills the memory that
 * `data` points to, or lets `data` point to memory of its own that lives until the next call for the job. What else it
 * writes into outputs is not looked at. */
typedef struct ec_step {
    EC_STRUCT_SIZE(ec_step);
    const ec_graph *graph;
    uint32_t low_memory;
    const ec_tensor *inputs;
    size_t input_count;
    ec_tensor *outputs;
    size_t output_count;
} ec_step;

/* Parses the file and decodes its latents: the entropy stage is over when it returns. The data must live as long as the
 * job. */
EC_API ec_status ec_job_decode(ec_codec *codec, const void *data, size_t size, const ec_decode_options *options,
                               ec_job **out, ec_error *error);
/* Checks and pads the picture, which is copied; so are labels, mask and sections. */
EC_API ec_status ec_job_encode(ec_codec *codec, const ec_image *image, const ec_encode_options *options, ec_job **out,
                               ec_error *error);
/* Takes the outputs of the step before, and gives the next. A search for a rate asks for as many as it needs. A job of
 * which this or ec_job_run has failed is over, and can only be closed. */
EC_API ec_status ec_job_next(ec_job *job, ec_step *step, ec_error *error);
/* Runs all steps with the codec's own engine, instead. */
EC_API ec_status ec_job_run(ec_job *job, ec_error *error);
/* After the last step. */
EC_API ec_status ec_job_finish_decode(ec_job *job, ec_picture *picture, ec_error *error);
EC_API ec_status ec_job_finish_encode(ec_job *job, ec_file *file, ec_error *error);
/* The integer latents, int16 (channels, rows, columns), the same on every machine: number `i` of the model's decoder
 * latents for a job that decodes, at any time; of its encoder latents for one that has been finished. They live as long
 * as the job. EC_INVALID_ARGUMENT beyond the last. */
EC_API ec_status ec_job_latent(const ec_job *job, size_t i, ec_tensor *out, ec_error *error);
/* ec_codec_cancel for one job: ec_job_next and ec_job_run end soon, and fail from then on, with EC_CANCELLED. */
EC_API void ec_job_cancel(ec_job *job);
/* 1 once the job has been cancelled, or its codec since it began; else 0, also for NULL. From any thread. */
EC_API uint32_t ec_job_cancelled(const ec_job *job);
/* How far the job has come: *done of the *count steps that its graph takes for the picture, which are its tiles; 0 of 0
 * before the graph is loaded. A search for a rate begins anew for each point that it tries. From any thread. */
EC_API void ec_job_progress(const ec_job *job, uint32_t *done, uint32_t *count);
EC_API void ec_job_close(ec_job *job); /* NULL is fine */

/* Frees what the library allocated for the caller. */
EC_API void ec_free(void *memory); /* NULL is fine */

/* ---- ONNX Runtime's custom operator ----------------------------------------------------------------------------- */

/* The function that ONNX Runtime (1.17 or newer) calls when this library is registered with a session, by
 * RegisterCustomOpsLibrary_V2 or register_custom_ops_library in Python. It adds the operator "Decode" of the domain
 * "edgecodec", with which one graph takes a coded picture and gives its pixels. Its arguments are an OrtSessionOptions
 * and an OrtApiBase; it returns an OrtStatus or NULL.
 *
 *   input       uint8 (n): the coded picture
 *   outputs     int64 (2): height and width in pixels, to which the graph crops what its networks give
 *               bool (): whether the picture is grey, so that its three channels are to be their mean
 *               float32 (1, channels, rows, columns), as many as there are: the model's decoder latents in their order,
 *               then the noise where the networks take any, in units of 1/4096
 *   attributes  model: uint8 (n), the bytes of entropy.bin
 *               quality: that the networks were baked at, in steps of 1/64; -1, the default: none
 *               noise_channels, noise_stride: as in ec_model; 0, the default: none
 *               max_pixels: of a picture; 2^26 by default
 *
 * What ec_decode would refuse before it calls an engine is refused likewise. */
EC_API void *RegisterCustomOps(void *options, const void *api_base);

#ifdef __cplusplus
}
#endif
#endif
