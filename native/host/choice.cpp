#include "choice.hpp"

namespace gonka {

std::string chosen_name(stream &s, gk_op op, void *problem) {
  device &d = s.owner();
  const gk_backend &table = *d.library().table;
  if (table.implementation == nullptr)
    return table.run(s.handle(), op, problem, 1, nullptr) == GK_OK ? "default" : "cpu:fallback";
  d.ensure_tested(op);
  const auto known = d.implementations(op);
  bool any_disabled = false;
  for (const implementation_status &i : known) any_disabled = any_disabled || i.disabled;
  // With one disabled, run() goes through the others in their order.
  if (table.choice != nullptr && !any_disabled) {
    const uint32_t index = table.choice(s.handle(), op, problem);
    return index == 0 || index > known.size() ? "cpu:fallback" : known[index - 1].name;
  }
  auto *wanted = static_cast<uint32_t *>(problem) + 1;
  std::string name = "cpu:fallback";
  for (uint32_t i = 0; i < known.size() && name == "cpu:fallback"; ++i) {
    if (known[i].disabled) continue;
    *wanted = i + 1;
    if (table.run(s.handle(), op, problem, 1, nullptr) == GK_OK) name = known[i].name;
  }
  *wanted = 0;
  return name;
}

}  // namespace gonka
