// Graphs of a bundle on an engine: each checked and loaded once, when it is first needed.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "bundle/bundle.h"
#include "edgecodec/edgecodec.h"
#include "runtime/turns.h"

namespace edgecodec {

class Job;

// A graph that an engine has loaded; unloaded with its last user.
class LoadedGraph {
public:
    // Throws what the engine reports, located at the graph's file. turns: of all runs on the engine.
    LoadedGraph(const Job &job, const Bundle &bundle, const ec_engine &engine, const ec_graph &graph,
                const ec_engine_options &options, Turns &turns);
    ~LoadedGraph();
    LoadedGraph(const LoadedGraph &) = delete;
    LoadedGraph &operator=(const LoadedGraph &) = delete;

    // Throws Failure(EC_CANCELLED) too, where the job is cancelled before.
    void run(const Job &job, const std::vector<ec_tensor> &inputs, std::vector<ec_tensor> &outputs);
    const ec_loaded_graph &report() const { return loaded_; }
    std::vector<ec_shape_range> shapes() const { return {loaded_.shapes, loaded_.shapes + loaded_.shape_count}; }

private:
    const ec_engine &engine_;
    const ec_graph &graph_;
    ec_loaded_graph loaded_{};
    Turns &turns_;
    bool running_ = false;  // where the engine allows one run at a time
};

// May be used by several threads at a time. A graph is loaded once only: where it is first wanted fast and then with low
// memory, it stays so from then on.
class LoadedGraphs {
public:
    // The engine must outlive this. threads, one_shot: as engines have them.
    LoadedGraphs(const Bundle &bundle, const ec_engine &engine, uint32_t threads, uint32_t one_shot)
        : bundle_(bundle), engine_(engine), threads_(threads), one_shot_(one_shot) {}

    // Throws Failure(EC_CANCELLED) too.
    std::shared_ptr<LoadedGraph> get(const Job &job, const ec_graph &graph, bool low_memory);
    // After a job, or for NULL all of them, was marked as cancelled.
    void cancel(const Job *job);
    // Lets go of all; jobs that run one keep it until they end. Waits for no engine, which may be loading without end.
    void unload();

private:
    struct Entry {
        std::shared_ptr<LoadedGraph> graph;
        bool low_memory = false;
    };

    std::shared_ptr<Entry> entry(uint32_t number);

    const Bundle &bundle_;
    const ec_engine &engine_;
    uint32_t threads_, one_shot_;
    Turns turns_;
    bool loading_ = false;  // a turn while an engine loads, and for what is in entries
    std::mutex listing_;    // for which entries there are
    std::map<uint32_t, std::shared_ptr<Entry>> entries_;
};

}  // namespace edgecodec
