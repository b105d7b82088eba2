// Vector clocks: who knows about whose accesses. All lanes of a warp usually know the same, so knowledge is kept per
// warp; a lane that learnt more on its own carries a copy until the next collective.
#include <algorithm>

#include "machine.hpp"

namespace gonka::emulator {
namespace {

void join(std::vector<uint32_t> &into, const std::vector<uint32_t> &from) {
  if (into.empty()) into.resize(from.size());
  for (size_t i = 0; i < from.size(); ++i) into[i] = std::max(into[i], from[i]);
}

}  // namespace

void release_into(std::vector<uint32_t> &clocks, thread &t) {
  join(clocks, t.own.empty() ? t.warp->known : t.own);
  clocks[t.id] = std::max(clocks[t.id], t.clock);
  ++t.clock;
}

void acquire_from(thread &t, const std::vector<uint32_t> &clocks) {
  if (clocks.empty()) return;
  if (t.own.empty()) t.own = t.warp->known;
  join(t.own, clocks);
}

void acquire_all(const std::vector<thread *> &threads, const std::vector<uint32_t> &clocks) {
  size_t i = 0;
  while (i < threads.size()) {
    // Arrival order may mix warps; only a run of all lanes of one warp takes the short way.
    warp *w = threads[i]->warp;
    uint32_t lanes = 0;
    size_t end = i;
    while (end < threads.size() && threads[end]->warp == w) lanes |= 1u << threads[end++]->lane;
    if (lanes == w->present) {
      join(w->known, clocks);
      for (size_t j = i; j < end; ++j) {
        if (!threads[j]->own.empty()) join(w->known, threads[j]->own);
        threads[j]->own.clear();
      }
    } else {
      for (size_t j = i; j < end; ++j) acquire_from(*threads[j], clocks);
    }
    i = end;
  }
}

void synchronize_lanes(warp &w, uint32_t mask) {
  if (mask == w.present) {
    for (uint32_t lane = 0; lane < k_warp_size; ++lane) {
      if ((mask >> lane & 1) == 0) continue;
      thread &t = *w.lanes[lane];
      if (!t.own.empty()) {
        join(w.known, t.own);
        t.own.clear();
      }
    }
    for (uint32_t lane = 0; lane < k_warp_size; ++lane) {
      if ((mask >> lane & 1) == 0) continue;
      thread &t = *w.lanes[lane];
      w.known[t.id] = t.clock;
      ++t.clock;
    }
    return;
  }
  std::vector<uint32_t> joint;
  for (uint32_t lane = 0; lane < k_warp_size; ++lane)
    if (mask >> lane & 1) release_into(joint, *w.lanes[lane]);
  for (uint32_t lane = 0; lane < k_warp_size; ++lane)
    if (mask >> lane & 1) w.lanes[lane]->own = joint;
}

void synchronize_through(const void *word) {
  machine &m = *g_machine;
  meeting_point &point = m.meetings[word];
  for (uint32_t cluster : point.clusters)
    if (std::find(m.known_clusters.begin(), m.known_clusters.end(), cluster) == m.known_clusters.end())
      m.known_clusters.push_back(cluster);
  if (point.clusters.empty() || point.clusters.back() != m.cluster_index) point.clusters.push_back(m.cluster_index);
  if (point.cluster != m.cluster_index || point.clocks.empty()) {
    point.cluster = m.cluster_index;
    point.clocks.assign(m.clock_count(), 0);
  }
  acquire_from(self(), point.clocks);
  release_into(point.clocks, self());
}

void collective(const char *what, uint32_t mask, bool aligned, void *argument, perform_function perform, site at) {
  thread &t = self();
  warp &w = *t.warp;
  if ((mask >> t.lane & 1) == 0)
    stop(fault::divergent_collective, at, "%s: lane %u is not named in its own mask 0x%08x", what, t.lane, mask);
  if (aligned && mask != w.present)
    stop(fault::divergent_collective, at, "%s needs a full warp; this one has lanes 0x%08x", what, w.present);
  if ((mask & ~w.present) != 0)
    stop(fault::divergent_collective, at, "%s: mask 0x%08x names lanes that do not exist (0x%08x)", what, mask,
         w.present);
  rendezvous *place = nullptr;
  for (rendezvous &r : w.open) {
    if (r.arrived == 0) {
      if (place == nullptr) place = &r;
      continue;
    }
    if ((r.mask & mask) == 0) continue;
    if (r.mask != mask || r.what != what || (aligned && (r.at.line != at.line || r.at.file != at.file)))
      stop(fault::divergent_collective, at, "%s with mask 0x%08x while other lanes are at %s with mask 0x%08x, line %d",
           what, mask, r.what, r.mask, r.at.line);
    place = &r;
    break;
  }
  if (place->arrived == 0) {
    place->mask = mask;
    place->what = what;
    place->at = at;
  }
  place->arrived |= 1u << t.lane;
  place->arguments[t.lane] = argument;
  if (place->arrived != mask) {
    wait(wait_kind::collective, 0, at);
    return;
  }
  synchronize_lanes(w, mask);
  if (g_machine->how.count && mask == w.present && t.log.size() > 256) flush_access_log(w, mask);
  void *arguments[k_warp_size];
  std::copy(place->arguments, place->arguments + k_warp_size, arguments);
  place->arrived = 0;
  if (perform != nullptr) perform(w, mask, arguments);
  for (uint32_t lane = 0; lane < k_warp_size; ++lane)
    if ((mask >> lane & 1) != 0 && lane != t.lane) make_ready(*w.lanes[lane]);
}

}  // namespace gonka::emulator
