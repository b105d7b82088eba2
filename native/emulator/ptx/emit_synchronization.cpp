// Barriers, lanes, asynchronous copies.
#include "kernel_writer.hpp"

namespace gonka::ptx_translator {

void kernel_writer::bar(opcode_parts &p) {
  if (p.take("warp")) {
    if (!p.take("sync")) unknown();
    finish(p);
    want_operands(1);
    return emit("bar_warp_sync(" + read(0, "b32") + ", " + line() + ");");
  }
  p.take("cta");
  const bool arrives = p.take("arrive");
  if (!arrives && !p.take("sync")) unknown();
  finish(p);
  if (now_->operands.size() != 1 || arrives) want_operands(2);
  const std::string count = now_->operands.size() == 2 ? read(1, "b32") : "0";
  emit(std::string(arrives ? "bar_arrive(" : "bar_sync(") + read(0, "b32") + ", " + count + ", " + line() + ");");
}

void kernel_writer::barrier(opcode_parts &p) {
  if (!p.take("cluster")) unknown();
  const bool arrives = p.take("arrive");
  if (!arrives && !p.take("wait")) unknown();
  if (!p.take(arrives ? "release" : "acquire")) unknown();
  p.take("aligned");
  finish(p);
  want_operands(0);
  // The emulator's cluster barrier is arrival and wait in one, so nothing may stand between the two.
  const size_t other = arrives ? at_ + 1 : at_ - 1;
  const auto &body = kernel_.body;
  if (other >= body.size() || body[other].is != statement::kind::instruction || body[other].opcode.size() < 3 ||
      body[other].opcode[0] != "barrier" || body[other].opcode[2] != (arrives ? "wait" : "arrive") ||
      body[other].guard != now_->guard)
    fail("barrier.cluster.arrive is modelled only with its wait right behind it");
  if (!arrives) emit("cluster_sync(" + line() + ");");
}

void kernel_writer::shfl(opcode_parts &p) {
  if (!p.take("sync")) unknown();
  const std::string mode = p.next();
  if (mode != "up" && mode != "down" && mode != "bfly" && mode != "idx") unknown();
  if (p.type() != "b32") unknown();
  finish(p);
  want_operands(5);
  operand to = arg(0), in_range = arg(0);
  in_range.text = to.second_name;
  to.second_name.clear();
  emit("{bool in_range; const uint32_t t = translated::shfl(shuffle::" + mode + ", " + read(1, "b32") + ", " +
       read(2, "b32") + ", " + read(3, "b32") + ", " + read(4, "b32") + ", &in_range, " + line() + ");");
  set(to, "b32", "t");
  if (!in_range.text.empty() && in_range.text != "_") set(in_range, "pred", "in_range");
  emit("}");
}

void kernel_writer::vote(opcode_parts &p) {
  if (!p.take("sync")) unknown();
  const std::string mode = p.next(), type = p.type();
  finish(p);
  want_operands(3);
  const std::string call = "(" + predicate(1) + ", " + read(2, "b32") + ", " + line() + ")";
  if (mode == "ballot" && type == "b32")
    set(0, type, "vote_ballot" + call);
  else if ((mode == "any" || mode == "all") && type == "pred")
    set(0, type, "vote_" + mode + call);
  else
    unknown();
}

void kernel_writer::fence(opcode_parts &p) {
  if (p.take("mbarrier_init")) {  // tells other blocks of the cluster; what orders them is the cluster barrier after it
    if (!p.take("release") || !p.take("cluster")) unknown();
    return finish(p);
  }
  if (!p.take("proxy") || !p.take("async")) unknown();
  p.take("shared::cta");
  finish(p);
  emit("translated::fence_proxy_async();");
}

void kernel_writer::setmaxnreg(opcode_parts &p) {
  if (!p.take("inc") && !p.take("dec")) unknown();
  if (!p.take("sync") || !p.take("aligned") || p.type() != "u32") unknown();
  finish(p);
  want_operands(1);
  emit("translated::setmaxnreg(" + read(0, "u32") + ", " + line() + ");");
}

void kernel_writer::cp(opcode_parts &p) {
  if (!p.take("async")) unknown();
  if (p.take("bulk")) return bulk_tensor(p);
  if (p.take("commit_group")) {
    finish(p);
    want_operands(0);
    return emit("cp_async_commit_group();");
  }
  if (p.take("wait_group")) {
    finish(p);
    want_operands(1);
    return emit("cp_async_wait_group(" + read(0, "u32") + ", " + line() + ");");
  }
  const bool whole_only = p.take("cg");
  if (!whole_only && !p.take("ca")) unknown();
  if (!p.take("shared") && !p.take("shared::cta")) unknown();
  if (!p.take("global")) unknown();
  while (p.take_prefix("L2::")) {
  }
  finish(p);
  if (now_->operands.size() != 3) want_operands(4);
  const operand &size = arg(2);
  if (size.is != operand::kind::integer || (size.value != 16 && (whole_only || (size.value != 4 && size.value != 8))))
    fail("cp.async copies 4, 8 or 16 bytes, .cg only 16");
  const std::string bytes = std::to_string(size.value);
  emit("cp_async(" + shared_address(arg(0)) + ", " + wide_address(arg(1)) + ", " + bytes + ", " +
       (now_->operands.size() == 4 ? read(3, "u32") : bytes) + ", " + line() + ");");
}

// cp.async.bulk.tensor.Nd.shared::cluster.global.mbarrier::complete_tx::bytes{.multicast::cluster}
//   [to], [map, {coordinates}], [mbarrier]{, mask}
void kernel_writer::bulk_tensor(opcode_parts &p) {
  if (!p.take("tensor")) unknown();
  const size_t dimensions = p.take("2d") ? 2 : p.take("3d") ? 3 : 0;
  if (dimensions == 0) unknown();
  p.take("tile");
  if (!p.take("shared::cluster") || !p.take("global") || !p.take("mbarrier::complete_tx::bytes")) unknown();
  const bool multicast = p.take("multicast::cluster");
  finish(p);
  want_operands(multicast ? 4 : 3);
  const operand &map = arg(1);
  if (map.is != operand::kind::address || map.parts.size() != 2) fail("expected [map, {coordinates}]");
  emit("{const uint32_t x[] = " + read_list(map.parts[1], "b32", dimensions) + ";");
  operand map_address = map;
  map_address.parts.resize(1);
  emit(std::string(multicast ? "bulk_tensor_multicast(" : "translated::bulk_tensor(") + shared_address(arg(0)) + ", " +
       wide_address(map_address) + ", " + std::to_string(dimensions) + ", reinterpret_cast<const int32_t *>(x), " +
       shared_address(arg(2)) + ", " + (multicast ? read(3, "b16") + ", " : "") + line() + ");}");
}

void kernel_writer::mbarrier(opcode_parts &p) {
  const std::string name = p.next();
  if (p.type() != "b64") unknown();
  const auto shared_cta = [&] {
    if (!p.take("shared::cta") && !p.take("shared")) unknown();
    finish(p);
  };
  if (name == "init") {
    shared_cta();
    want_operands(2);
    return emit("translated::mbarrier_init(" + shared_address(arg(0)) + ", " + read(1, "u32") + ", " + line() + ");");
  }
  if (name == "inval") {
    shared_cta();
    want_operands(1);
    return emit("mbarrier_inval(" + shared_address(arg(0)) + ", " + line() + ");");
  }
  if (name == "expect_tx") {
    p.take("relaxed");
    p.take("cta");
    shared_cta();
    want_operands(2);
    return emit("mbarrier_expect_tx(" + shared_address(arg(0)) + ", " + read(1, "u32") + ", " + line() + ");");
  }
  if (name == "try_wait") {
    if (!p.take("parity")) unknown();
    shared_cta();
    want_operands(3);
    emit("translated::mbarrier_wait_parity(" + shared_address(arg(1)) + ", " + read(2, "u32") + ", " + line() + ");");
    return set(0, "pred", "true");
  }
  if (name != "arrive") unknown();
  const bool expects = p.take("expect_tx");
  if (p.take("release") && !p.take("cluster")) p.take("cta");
  if (!expects && p.take("shared::cluster"))
    finish(p);
  else
    shared_cta();
  if (arg(0).is != operand::kind::blank) fail("the state that mbarrier.arrive returns is not modelled");
  if (expects) {
    want_operands(3);
    const std::string address = shared_address(arg(1));
    emit("mbarrier_expect_tx(" + address + ", " + read(2, "u32") + ", " + line() + ");");
    return emit("translated::mbarrier_arrive(" + address + ", 1, " + line() + ");");
  }
  if (now_->operands.size() != 2) want_operands(3);
  emit("translated::mbarrier_arrive(" + shared_address(arg(1)) + ", " +
       (now_->operands.size() == 3 ? read(2, "u32") : "1") + ", " + line() + ");");
}

}  // namespace gonka::ptx_translator
