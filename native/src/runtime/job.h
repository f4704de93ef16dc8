// One picture on its way, in steps: what an engine has to run, and what becomes of its outputs.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "edgecodec/edgecodec.h"
#include "runtime/codec.h"
#include "runtime/stopwatch.h"
#include "runtime/windows.h"

// The handle of the C interface. All are of the class below.
struct ec_job {
protected:
    ~ec_job() = default;
};

namespace edgecodec {

class Job : public ec_job {
public:
    virtual ~Job() = default;

    // Takes the outputs of the step before, and gives the next; one without a graph after the last.
    void next(ec_step &step);
    // The shapes that the caller's engine takes for the graph of the step that was given, its first. Whether the job
    // planned with others, and `next` gives that step once more. Throws Failure(EC_INVALID_ARGUMENT) for a later step.
    bool take_shapes(std::vector<ec_shape_range> shapes);
    // All steps, on the codec's own engine. Throws Failure(EC_INVALID_ARGUMENT) where some have been given already.
    void run();
    // What the codec's own engine reported of the last graph that it ran.
    const ec_loaded_graph &engine() const { return engine_; }
    virtual ec_tensor latent(size_t i) const = 0;

    // Windows of the picture that the graph has been run on, and how many there are.
    struct Progress {
        uint32_t done, count;
    };

    // These may be called by any thread.
    Progress progress() const { return progress_.load(std::memory_order_relaxed); }
    void cancel();
    bool cancelled() const;
    // Throws Failure(EC_CANCELLED).
    void check_cancelled() const;

protected:
    explicit Job(Codec &codec) : codec_(codec), cancellations_(codec.cancellations()) {}

    // Sets graph, inputs and outputs of the next call of the engine; false where there is none.
    virtual bool prepare() = 0;
    // Takes what the engine gave for them.
    virtual void take() = 0;

    // Makes `graph` the one to run, over a picture of this size in pixels; the first window is 0.
    void plan(const ec_graph &graph, uint32_t height, uint32_t width, uint32_t unit);
    // Has it loaded on the codec's own engine.
    void load(const ec_graph &graph, bool low_memory);
    // An input of the next step; the memory lives until then.
    void add_input(const char *name, ec_type type, std::vector<int64_t> shape, const void *data);
    // An output of the next step: where the engine may write it, unless the caller brings memory of its own.
    void add_output(const char *name, ec_type type, std::vector<int64_t> shape, void *data);
    void require_finished() const;
    ec_timings timings() const { return timings_; }

    Codec &codec_;
    const ec_graph *graph_ = nullptr;
    Plan plan_{};
    size_t window_ = 0;
    std::vector<ec_tensor> inputs_, outputs_;
    ec_timings timings_{};
    Stopwatch watch_;

private:
    bool advance();

    std::atomic<bool> cancelled_{false};
    std::atomic<Progress> progress_{Progress{}};
    const uint64_t cancellations_;                   // of the codec, when the job began
    std::vector<ec_shape_range> shapes_;             // that the plan was made for; none for all
    std::shared_ptr<LoadedGraph> loaded_;            // while the codec's own engine runs the job
    ec_loaded_graph engine_{};                       // of the last graph that it ran
    bool runs_itself_ = false, is_stepped_ = false;  // who runs the engine, once it is decided
    bool under_way_ = false;                         // a step has been given and its outputs are awaited
    bool failed_ = false;                            // it cannot go on from what the failure left
    bool finished_ = false;
};

}  // namespace edgecodec
