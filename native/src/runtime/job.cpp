#include "runtime/job.h"

#include <algorithm>
#include <string>
#include <utility>

#include "support/status.h"

namespace edgecodec {

namespace {

size_t bytes_of(ec_type type) {
    switch (type) {
        case EC_UINT8: return 1;
        case EC_INT16: return 2;
        case EC_INT64: return 8;
        case EC_FLOAT32: return 4;
    }
    return 0;
}

ec_tensor tensor(const char *name, ec_type type, const std::vector<int64_t> &shape, void *data) {
    ec_tensor out{};
    out.name = name;
    out.type = type;
    out.rank = static_cast<uint32_t>(shape.size());
    std::copy(shape.begin(), shape.end(), out.shape);
    out.data = data;
    out.bytes = bytes_of(type);
    for (const int64_t side : shape) out.bytes *= static_cast<size_t>(side);
    return out;
}

}  // namespace

void Job::next(ec_step &step) {
    is_stepped_ = true;
    const bool more = advance();
    step.graph = more ? graph_ : nullptr;
    step.low_memory = more && plan_.low_memory ? 1 : 0;
    step.inputs = inputs_.data();
    step.input_count = inputs_.size();
    step.outputs = outputs_.data();
    step.output_count = outputs_.size();
}

bool Job::take_shapes(std::vector<ec_shape_range> shapes) {
    if (!under_way_ || window_ > 0 || runs_itself_) {
        throw Failure(EC_INVALID_ARGUMENT, "a graph's shapes are taken at its first step alone");
    }
    const auto same_side = [](const ec_side_range &one, const ec_side_range &other) {
        return one.least == other.least && one.most == other.most && one.multiple == other.multiple;
    };
    const auto same = [&](const ec_shape_range &one, const ec_shape_range &other) {
        return same_side(one.height, other.height) && same_side(one.width, other.width);
    };
    if (std::equal(shapes.begin(), shapes.end(), shapes_.begin(), shapes_.end(), same)) return false;
    codec_.set_shapes(graph_->number, std::move(shapes));
    under_way_ = false;
    graph_ = nullptr;  // which is planned anew
    return true;
}

void Job::run() {
    if (codec_.graphs() == nullptr) {
        throw Failure(EC_INVALID_ARGUMENT, "the codec has no engine")
            .advising("run the job's steps, or name an engine");
    }
    // Its windows are those that suit the caller's engine.
    if (is_stepped_ && !finished_) {
        throw Failure(EC_INVALID_ARGUMENT, "the job's steps are the caller's to run")
            .advising("go on with ec_job_next");
    }
    runs_itself_ = true;
    while (advance()) {
        failed_ = true;
        loaded_->run(*this, inputs_, outputs_);
        failed_ = false;
    }
}

bool Job::advance() {
    check_cancelled();
    if (failed_) throw Failure(EC_INVALID_ARGUMENT, "the job has failed before").advising("begin another");
    failed_ = true;  // unless it gets to the end of this
    if (under_way_) {
        timings_.engine += watch_.lap();
        under_way_ = false;
        for (size_t i = 0; i < outputs_.size(); ++i) {
            if (outputs_[i].data != nullptr) continue;
            throw Failure(EC_INVALID_ARGUMENT, "a step's output has no data").at(graph_->outputs[i]->name);
        }
        take();
        ++window_;
    } else {
        watch_.lap();
    }
    inputs_.clear();
    outputs_.clear();
    under_way_ = prepare();
    progress_.store({static_cast<uint32_t>(window_), static_cast<uint32_t>(plan_.count())}, std::memory_order_relaxed);
    finished_ = !under_way_;
    if (finished_) {
        inputs_.clear();
        outputs_.clear();
        loaded_.reset();
    }
    timings_.rest += watch_.lap();
    failed_ = false;
    return under_way_;
}

void Job::plan(const ec_graph &graph, uint32_t height, uint32_t width, uint32_t unit) {
    graph_ = &graph;
    window_ = 0;
    plan_ = plan_windows(graph, height, width, unit, codec_.tile());
    if (runs_itself_) {
        load(graph, plan_.low_memory);
        shapes_ = loaded_->shapes();
    } else {
        shapes_ = codec_.shapes(graph.number);
    }
    if (!shapes_.empty()) plan_ = plan_windows(graph, height, width, unit, codec_.tile(), shapes_);
}

void Job::load(const ec_graph &graph, bool low_memory) {
    timings_.rest += watch_.lap();
    loaded_ = codec_.graphs()->get(*this, graph, low_memory);
    timings_.engine += watch_.lap();
    engine_ = loaded_->report();
}

void Job::add_input(const char *name, ec_type type, std::vector<int64_t> shape, const void *data) {
    inputs_.push_back(tensor(name, type, shape, const_cast<void *>(data)));
}

void Job::add_output(const char *name, ec_type type, std::vector<int64_t> shape, void *data) {
    outputs_.push_back(tensor(name, type, shape, data));
}

void Job::cancel() {
    cancelled_.store(true, std::memory_order_relaxed);
    if (codec_.graphs() != nullptr) codec_.graphs()->cancel(this);
}

bool Job::cancelled() const {
    return cancelled_.load(std::memory_order_relaxed) || codec_.cancellations() != cancellations_;
}

void Job::check_cancelled() const {
    if (cancelled()) throw Failure(EC_CANCELLED, "cancelled");
}

void Job::require_finished() const {
    if (!finished_) {
        throw Failure(EC_INVALID_ARGUMENT, "the job has steps left")
            .advising("call ec_job_next until it gives no graph");
    }
}

}  // namespace edgecodec
