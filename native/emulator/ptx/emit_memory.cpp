// Loads, stores, atomics, addresses, and control flow.
#include "kernel_writer.hpp"

namespace gonka::ptx_translator {
namespace {

// What an access says after ld or st: state space, vector, type. Hints that change no value are passed over.
struct access {
  std::string space, type;
  size_t count = 1;
  bool understood = false;
};

access parse_access(opcode_parts &p) {
  access a;
  a.type = p.type();
  p.take("weak");
  for (const char *space : {"global", "shared", "shared::cta", "local", "param"})
    if (p.take(space)) a.space = space;
  if (a.space == "shared::cta") a.space = "shared";
  p.take("nc");
  for (const char *hint : {"ca", "cg", "cs", "lu", "wb", "wt"}) p.take(hint);
  while (p.take_prefix("L1::") || p.take_prefix("L2::")) {
  }
  if (p.take("v2")) a.count = 2;
  if (p.take("v4")) a.count = 4;
  a.understood = p.done() && bytes_of_type(a.type) != 0 && a.type != "pred";
  return a;
}

}  // namespace

void kernel_writer::cvta(opcode_parts &p) {
  const std::string type = p.type();
  const bool to_space = p.take("to");
  const std::string space = p.next();
  finish(p);
  want_operands(2);
  if (type != "u64") unknown();
  const std::string address = read(1, type);
  if (space == "global" || space == "local" || space == "param" || space == "const") return set(0, type, address);
  if (space != "shared") unknown();
  set(0, type, to_space ? "generic_to_shared(" + address + ", " + line() + ")" : "shared_to_generic(" + address + ")");
}

void kernel_writer::ld(opcode_parts &p) {
  const access a = parse_access(p);
  if (!a.understood) unknown();
  want_operands(2);
  if (list(arg(0)).size() != a.count) fail("as many registers as the vector has elements are expected");
  const operand &from = arg(1);
  const std::string u = unsigned_type(a.type), bytes = std::to_string(bytes_of_type(a.type) * a.count);
  if (a.space == "global" && a.count == 1) {
    set(0, a.type, from_bits(a.type, "ld_global_" + bytes + "(" + wide_address(from) + ", " + line() + ")"));
    return;
  }
  emit("{" + u + " t[" + std::to_string(a.count) + "];");
  if (a.space == "global") {
    emit("ld_global(t, " + bytes + ", " + wide_address(from) + ", " + line() + ");");
  } else if (a.space == "shared") {
    emit("ld_shared(t, " + bytes + ", " + shared_address(from) + ", " + line() + ");");
  } else if (a.space == "param") {
    const variable &v = kernel_.parameters.empty() ? (fail("the kernel has no parameters"), kernel_.parameters[0])
                                                   : kernel_.parameters[0];
    const uint64_t size = v.elements * bytes_of_type(v.type), n = bytes_of_type(a.type) * a.count;
    if (parameter(from) != nullptr) {
      if (from.value > size || n > size - from.value || from.value % n != 0)
        fail("outside of the parameter's " + std::to_string(size) + " bytes, or misaligned");
      emit("__builtin_memcpy(t, static_cast<const char *>(argument) + " + std::to_string(from.value) + ", " + bytes +
           ");");
    } else {
      emit("ld_inside(t, " + bytes + ", " + wide_address(from) + ", argument, " + std::to_string(size) + ", " + line() +
           ");");
    }
  } else if (a.space == "local") {
    if (kernel_.local.size() != 1) fail("expected one local array");
    const std::string array = "n_" + kernel_.local[0].name;
    emit("ld_inside(t, " + bytes + ", " + wide_address(from) + ", " + array + ", sizeof " + array + ", " + line() +
         ");");
  } else {
    emit("ld_generic(t, " + bytes + ", " + wide_address(from) + ", " + line() + ");");
  }
  set_list(arg(0), a.type, "t");
  emit("}");
}

void kernel_writer::st(opcode_parts &p) {
  const access a = parse_access(p);
  if (!a.understood || a.space == "param") unknown();
  want_operands(2);
  const operand &to = arg(0);
  const std::string bytes = std::to_string(bytes_of_type(a.type) * a.count);
  if (a.space == "global" && a.count == 1) {
    emit("st_global_" + bytes + "(" + wide_address(to) + ", " + to_bits(a.type, read(1, a.type)) + ", " + line() +
         ");");
    return;
  }
  emit("{const " + unsigned_type(a.type) + " t[] = " + read_list(arg(1), a.type, a.count) + ";");
  if (a.space == "global") {
    emit("st_global(t, " + bytes + ", " + wide_address(to) + ", " + line() + ");}");
  } else if (a.space == "shared") {
    emit("st_shared(t, " + bytes + ", " + shared_address(to) + ", " + line() + ");}");
  } else if (a.space == "local") {
    if (kernel_.local.size() != 1) fail("expected one local array");
    const std::string array = "n_" + kernel_.local[0].name;
    emit("st_inside(t, " + bytes + ", " + wide_address(to) + ", " + array + ", sizeof " + array + ", " + line() +
         ");}");
  } else {
    emit("st_generic(t, " + bytes + ", " + wide_address(to) + ", " + line() + ");}");
  }
}

// atom{.sem}{.scope}.space.op.type d, [a], b{, c}; red is atom without d.
void kernel_writer::atom(opcode_parts &p) {
  const bool returns = now_->opcode[0] == "atom";
  const std::string type = p.type();
  const bool synchronizes = p.take("acq_rel");
  if (!synchronizes) p.take("relaxed");
  const bool cluster_wide = p.take("gpu") || p.take("sys");
  if (!cluster_wide) p.take("cta");
  const bool shared = p.take("shared") || p.take("shared::cta");
  if (!shared && !p.take("global")) unknown();
  const std::string name = p.next();
  finish(p);
  if (synchronizes && (shared || !cluster_wide)) unknown();
  if (!is_integer(type) || bytes_of_type(type) < 4) unknown();
  std::string op = name;
  if (name == "min" || name == "max")
    op = name + (type[0] == 's' ? "_s" : "_u");
  else if (name == "and" || name == "or" || name == "xor")
    op = name + "_";
  else if (name != "add" && name != "exch" && name != "cas")
    unknown();
  const size_t first = returns ? 1 : 0;
  want_operands(first + (name == "cas" ? 3 : 2));
  const std::string width = std::to_string(bytes_of_type(type)), u = unsigned_type(type),
                    b = "b" + std::to_string(bytes_of_type(type) * 8);
  const std::string c = name == "cas" ? read(first + 2, b) : "0";
  const std::string call = shared ? "atom_shared(atomic::" + op + ", " + width + ", " + shared_address(arg(first)) +
                                        ", " + read(first + 1, b) + ", " + c + ", " + line() + ")"
                                  : "atom_global(atomic::" + op + ", " + width + ", " + wide_address(arg(first)) +
                                        ", " + read(first + 1, b) + ", " + c + ", " +
                                        (synchronizes ? "true" : "false") + ", " + line() + ")";
  if (returns)
    set(0, b, u + "(" + call + ")");
  else
    emit("(void)" + call + ";");
}

void kernel_writer::mapa(opcode_parts &p) {
  if (p.type() != "u32" || !p.take("shared::cluster")) unknown();
  finish(p);
  want_operands(3);
  set(0, "b32", "translated::mapa(" + read(1, "b32") + ", " + read(2, "b32") + ", " + line() + ")");
}

void kernel_writer::bra(opcode_parts &p) {
  p.take("uni");
  finish(p);
  want_operands(1);
  if (arg(0).is != operand::kind::name) unknown();
  emit("goto " + label_of(arg(0).text) + ";");
}
void kernel_writer::ret(opcode_parts &p) {
  p.take("uni");
  finish(p);
  want_operands(0);
  emit("return;");
}
void kernel_writer::trap(opcode_parts &p) {
  finish(p);
  emit("translated::trap(" + line() + ");");
}

}  // namespace gonka::ptx_translator
