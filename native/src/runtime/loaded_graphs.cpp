#include "runtime/loaded_graphs.h"

#include <algorithm>
#include <optional>
#include <string>

#include "runtime/job.h"
#include "support/status.h"

namespace edgecodec {

namespace {

template <size_t size>
void end_text(char (&text)[size]) {
    text[size - 1] = 0;
}

// The engine may be anybody's: a status that an engine cannot have, or none with a message, becomes one that it can,
// and texts without an end get one.
[[noreturn]] void fail(int32_t status, ec_error &error, const ec_graph &graph, const char *what) {
    end_text(error.message);
    end_text(error.where);
    end_text(error.hint);
    const int32_t allowed[] = {EC_ENGINE_UNAVAILABLE, EC_ENGINE_FAILED, EC_NO_MEMORY,     EC_CANCELLED,
                               EC_BAD_MODEL,          EC_LIMIT,         EC_BUNDLE_CHANGED};
    const bool known = std::find(std::begin(allowed), std::end(allowed), status) != std::end(allowed);
    Failure failure(known ? static_cast<ec_status>(status) : EC_ENGINE_FAILED,
                    error.message[0] != 0 ? error.message : what, error.offset);
    failure.where = error.where[0] != 0 ? error.where : graph.file;
    failure.hint = error.hint;
    throw failure;
}

}  // namespace

LoadedGraph::LoadedGraph(const Job &job, const Bundle &bundle, const ec_engine &engine, const ec_graph &graph,
                         const ec_engine_options &options, Turns &turns)
    : engine_(engine), graph_(graph), turns_(turns) {
    const std::unique_ptr<GraphContents> contents = bundle.graph(graph.number);
    ec_error error{};
    error.offset = -1;
    const int32_t status = engine.load(engine.context, &job, &contents->view, &options, &loaded_, &error);
    if (status != EC_OK) fail(status, error, graph, "the engine refuses the graph");
    if (loaded_.shape_count > EC_MAX_SHAPES) {
        if (engine.unload != nullptr) engine.unload(engine.context, loaded_.graph);
        throw Failure(EC_ENGINE_FAILED, "the engine reports too many shapes").at(graph.file);
    }
    end_text(loaded_.device);
    end_text(loaded_.version);
}

LoadedGraph::~LoadedGraph() {
    if (engine_.unload != nullptr) engine_.unload(engine_.context, loaded_.graph);
}

void LoadedGraph::run(const Job &job, const std::vector<ec_tensor> &inputs, std::vector<ec_tensor> &outputs) {
    std::optional<Turns::Turn> alone;
    if (loaded_.serial != 0) alone.emplace(turns_, running_, job);
    job.check_cancelled();
    ec_error error{};
    error.offset = -1;
    const int32_t status = engine_.run(engine_.context, &job, loaded_.graph, inputs.data(), inputs.size(),
                                       outputs.data(), outputs.size(), &error);
    if (status != EC_OK) fail(status, error, graph_, "the engine failed");
}

std::shared_ptr<LoadedGraph> LoadedGraphs::get(const Job &job, const ec_graph &graph, bool low_memory) {
    const Turns::Turn alone(turns_, loading_, job);
    const std::shared_ptr<Entry> entry = this->entry(graph.number);
    if (low_memory && !entry->low_memory) {
        entry->graph.reset();  // whoever still runs it keeps it until then
        entry->low_memory = true;
    }
    if (entry->graph == nullptr) {
        ec_engine_options options{};
        options.threads = threads_;
        options.low_memory = entry->low_memory ? 1 : 0;
        options.one_shot = one_shot_;
        entry->graph = std::make_shared<LoadedGraph>(job, bundle_, engine_, graph, options, turns_);
    }
    return entry->graph;
}

std::shared_ptr<LoadedGraphs::Entry> LoadedGraphs::entry(uint32_t number) {
    const std::lock_guard<std::mutex> lock(listing_);
    std::shared_ptr<Entry> &entry = entries_[number];
    if (entry == nullptr) entry = std::make_shared<Entry>();
    return entry;
}

void LoadedGraphs::unload() {
    std::map<uint32_t, std::shared_ptr<Entry>> entries;
    const std::lock_guard<std::mutex> lock(listing_);
    entries_.swap(entries);
}

void LoadedGraphs::cancel(const Job *job) {
    turns_.look_again();
    if (engine_.cancel != nullptr) engine_.cancel(engine_.context, job);
}

}  // namespace edgecodec
