// Graphs of a bundle on an engine: each checked and loaded once, when it is first needed.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "bundle/bundle.h"
#include "edgecodec/edgecodec.h"

namespace edgecodec {

// A graph that an engine has loaded; unloaded with its last user.
class LoadedGraph {
public:
    // Throws what the engine reports, located at the graph's file.
    LoadedGraph(const Bundle &bundle, const ec_engine &engine, const ec_graph &graph, const ec_engine_options &options);
    ~LoadedGraph();
    LoadedGraph(const LoadedGraph &) = delete;
    LoadedGraph &operator=(const LoadedGraph &) = delete;

    // proceed: called once nothing else is waited for; it throws where the run is not wanted any more.
    void run(const std::vector<ec_tensor> &inputs, std::vector<ec_tensor> &outputs,
             const std::function<void()> &proceed);
    const ec_loaded_graph &report() const { return loaded_; }
    std::vector<ec_shape_range> shapes() const { return {loaded_.shapes, loaded_.shapes + loaded_.shape_count}; }

private:
    const ec_engine &engine_;
    const ec_graph &graph_;
    ec_loaded_graph loaded_{};
    std::mutex running_;  // of an engine that allows one run at a time
};

// May be used by several threads at a time. A graph is loaded once only: where it is first wanted fast and then with low
// memory, it stays so from then on.
class LoadedGraphs {
public:
    // The engine must outlive this. threads, one_shot: as engines have them.
    LoadedGraphs(const Bundle &bundle, const ec_engine &engine, uint32_t threads, uint32_t one_shot)
        : bundle_(bundle), engine_(engine), threads_(threads), one_shot_(one_shot) {}

    // proceed: as in LoadedGraph::run, for a load.
    std::shared_ptr<LoadedGraph> get(const ec_graph &graph, bool low_memory, const std::function<void()> &proceed);
    void cancel();
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
    std::mutex loading_;  // held while an engine loads, and for what is in entries
    std::mutex listing_;  // for which entries there are
    std::map<uint32_t, std::shared_ptr<Entry>> entries_;
};

}  // namespace edgecodec
