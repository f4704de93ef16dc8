// An engine for tests that reads no graph: it codes the mosaic of block means, as the stub of the Python package does, so
// pictures stay recognisable and tiles change nothing. Analysis puts the mean colour of each block, less 128, into the
// first three channels of every latent; synthesis repeats the colours of the finest latent. Graphs that it holds are
// counted, and it can be told to fail, to wait, and to take certain shapes only.
#pragma once

#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

#include "edgecodec/edgecodec.h"

class StubEngine {
public:
    StubEngine() {
        table_.name = "stub";
        table_.context = this;
        table_.load = load;
        table_.run = run;
        table_.cancel = cancel;
        table_.unload = unload;
    }
    StubEngine(const StubEngine &) = delete;
    StubEngine &operator=(const StubEngine &) = delete;

    const ec_engine *table() const { return &table_; }

    std::atomic<int> loaded{0}, runs{0}, running{0}, most_running{0}, cancels{0};
    std::atomic<const ec_job *> cancelled{nullptr};  // what the last call of cancel was for
    std::atomic<int32_t> load_status{EC_OK}, run_status{EC_OK};
    std::atomic<bool> waits{false};  // runs wait until they are cancelled
    uint32_t serial = 0;
    std::vector<ec_shape_range> shapes;
    std::function<void(const ec_graph &, const ec_tensor *inputs)> watch;  // is told what each run is given

private:
    static constexpr int kColours = 3;
    static constexpr float kGrey = 128;

    static StubEngine &of(void *context) { return *static_cast<StubEngine *>(context); }

    static ec_status report(ec_error *error, int32_t status, const char *message) {
        if (error != nullptr && status != EC_OK) std::snprintf(error->message, sizeof error->message, "%s", message);
        return static_cast<ec_status>(status);
    }

    static ec_status load(void *context, const ec_job *, const ec_graph_data *data, const ec_engine_options *,
                          ec_loaded_graph *out, ec_error *error) {
        StubEngine &self = of(context);
        if (self.load_status != EC_OK) return report(error, self.load_status, "the stub was told not to load");
        out->graph = const_cast<ec_graph *>(data->graph);
        std::snprintf(out->device, sizeof out->device, "cpu");
        out->serial = self.serial;
        for (const ec_shape_range &range : self.shapes) out->shapes[out->shape_count++] = range;
        ++self.loaded;
        return EC_OK;
    }

    static void unload(void *context, void *) { --of(context).loaded; }

    static void cancel(void *context, const ec_job *job) {
        of(context).cancelled = job;
        ++of(context).cancels;
    }

    static ec_status run(void *context, const ec_job *job, void *graph, const ec_tensor *inputs, size_t input_count,
                         ec_tensor *outputs, size_t output_count, ec_error *error) {
        StubEngine &self = of(context);
        ++self.runs;
        const int now = ++self.running;
        int most = self.most_running;
        while (now > most && !self.most_running.compare_exchange_weak(most, now)) {
        }
        while (self.waits && ec_job_cancelled(job) == 0) std::this_thread::yield();
        if (self.run_status == EC_OK) {
            self.compute(*static_cast<const ec_graph *>(graph), inputs, input_count, outputs, output_count);
        }
        --self.running;
        return report(error, self.run_status, "the stub was told to fail");
    }

    void compute(const ec_graph &graph, const ec_tensor *inputs, size_t input_count, ec_tensor *outputs,
                 size_t output_count) {
        if (watch) watch(graph, inputs);
        size_t finest = input_count;
        for (size_t i = 0; i < input_count; ++i) {
            const ec_port &port = *graph.inputs[i];
            if (port.channels < kColours) continue;
            if (finest == input_count || port.stride < graph.inputs[finest]->stride) finest = i;
        }
        for (size_t i = 0; i < output_count; ++i) {
            if (finest == input_count) {
                std::memset(outputs[i].data, 0, outputs[i].bytes);
            } else if (graph.side == EC_ENCODE) {
                block_means(inputs[finest], outputs[i], graph.outputs[i]->stride);
            } else {
                mosaic(inputs[finest], outputs[i], graph.inputs[finest]->stride);
            }
        }
    }

    static void block_means(const ec_tensor &image, const ec_tensor &latent, uint32_t stride) {
        const uint8_t *pixels = static_cast<const uint8_t *>(image.data);
        float *values = static_cast<float *>(latent.data);
        std::memset(values, 0, latent.bytes);
        const int64_t channels = latent.shape[1], rows = latent.shape[2], columns = latent.shape[3];
        for (int64_t c = 0; c < kColours && c < channels; ++c) {
            for (int64_t y = 0; y < rows; ++y) {
                for (int64_t x = 0; x < columns; ++x) {
                    uint64_t sum = 0;
                    for (uint32_t i = 0; i < stride; ++i) {
                        for (uint32_t j = 0; j < stride; ++j) {
                            sum += pixels[((y * stride + i) * image.shape[1] + x * stride + j) * 3 + c];
                        }
                    }
                    const double mean = static_cast<double>(sum) / (double{1} * stride * stride);
                    values[(c * rows + y) * columns + x] = static_cast<float>(std::nearbyint(mean - kGrey));
                }
            }
        }
    }

    static void mosaic(const ec_tensor &latent, const ec_tensor &image, uint32_t stride) {
        const float *values = static_cast<const float *>(latent.data);
        uint8_t *pixels = static_cast<uint8_t *>(image.data);
        const int64_t rows = latent.shape[2], columns = latent.shape[3];
        for (int64_t y = 0; y < image.shape[0]; ++y) {
            for (int64_t x = 0; x < image.shape[1]; ++x) {
                for (int64_t c = 0; c < kColours; ++c) {
                    const float value = values[(c * rows + y / stride) * columns + x / stride] + kGrey;
                    pixels[(y * image.shape[1] + x) * 3 + c] = static_cast<uint8_t>(value < 0     ? 0
                                                                                    : value > 255 ? 255
                                                                                                  : value);
                }
            }
        }
    }

    ec_engine table_ = EC_INIT(ec_engine);
};
