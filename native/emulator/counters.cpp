#include "counters.hpp"

#include <algorithm>
#include <map>
#include <tuple>
#include <vector>

#include "machine.hpp"

namespace gonka::emulator {

void log_access(thread &t, request kind, uint64_t address, uint32_t bytes, site at) {
  t.log.push_back({address, at, uint16_t(bytes), kind});
}

// A bank serves one 4-byte word per wavefront; lanes that want the same word share it. 8- and 16-byte accesses go out
// in halves and quarters of the warp.
uint32_t shared_wavefronts(const uint64_t *addresses, uint32_t count, uint32_t bytes) {
  const uint32_t lanes_at_once = bytes <= 4 ? 32 : bytes <= 8 ? 16 : 8;
  uint32_t total = 0;
  for (uint32_t first = 0; first < count; first += lanes_at_once) {
    std::vector<uint64_t> words;
    for (uint32_t i = first; i < std::min(count, first + lanes_at_once); ++i)
      for (uint64_t word = addresses[i] / 4; word <= (addresses[i] + bytes - 1) / 4; ++word) words.push_back(word);
    std::sort(words.begin(), words.end());
    words.erase(std::unique(words.begin(), words.end()), words.end());
    uint32_t per_bank[32] = {}, most = 0;
    for (uint64_t word : words) most = std::max(most, ++per_bank[word % 32]);
    total += std::max(most, 1u);
  }
  return total;
}

void flush_access_log(warp &w, uint32_t lanes) {
  using key = std::tuple<const char *, int, request, uint32_t>;
  std::map<key, std::vector<const access_record *>> requests;
  for (uint32_t lane = 0; lane < k_warp_size; ++lane) {
    if ((lanes >> lane & 1) == 0) continue;
    std::map<std::tuple<const char *, int, request>, uint32_t> seen;
    for (const access_record &r : w.lanes[lane]->log) {
      const uint32_t occurrence = seen[{r.at.file, r.at.line, r.kind}]++;
      requests[{r.at.file, r.at.line, r.kind, occurrence}].push_back(&r);
    }
  }
  counters &c = *g_machine->count;
  for (const auto &[k, records] : requests) {
    std::vector<uint64_t> addresses, sectors;
    uint64_t bytes = 0;
    for (const access_record *r : records) {
      addresses.push_back(r->address);
      bytes += r->bytes;
      for (uint64_t s = r->address / 32; s <= (r->address + r->bytes - 1) / 32; ++s) sectors.push_back(s);
    }
    std::sort(sectors.begin(), sectors.end());
    sectors.erase(std::unique(sectors.begin(), sectors.end()), sectors.end());
    const uint32_t wavefronts = shared_wavefronts(addresses.data(), uint32_t(addresses.size()), records.front()->bytes);
    switch (std::get<2>(k)) {
      case request::global_load:
        ++c.global_load_requests;
        c.global_load_sectors += sectors.size();
        c.global_load_bytes += bytes;
        break;
      case request::global_store:
        ++c.global_store_requests;
        c.global_store_sectors += sectors.size();
        c.global_store_bytes += bytes;
        break;
      case request::shared_load:
        ++c.shared_load_requests;
        c.shared_load_wavefronts += wavefronts;
        c.shared_load_bytes += bytes;
        break;
      case request::shared_store:
        ++c.shared_store_requests;
        c.shared_store_wavefronts += wavefronts;
        c.shared_store_bytes += bytes;
        break;
    }
  }
  for (uint32_t lane = 0; lane < k_warp_size; ++lane)
    if (lanes >> lane & 1) w.lanes[lane]->log.clear();
}

}  // namespace gonka::emulator
