// What the translator does not know it refuses, with file, line, kernel and instruction.
#include <string>

#include "check.hpp"
#include "ptx/translate.hpp"

using namespace gonka;

namespace {

std::string message_of(const std::string &body, const std::string &before = "") {
  const std::string text = ".version 8.0\n.target sm_80\n.address_size 64\n" + before +
                           ".visible .entry probe(\n.param .align 8 .b8 probe_arguments[16]\n)\n{\n" +
                           ".reg .pred %p<4>;\n.reg .b32 %r<8>;\n.reg .f32 %f<80>;\n.reg .b64 %rd<4>;\n" + body +
                           "\nret;\n}\n";
  try {
    ptx_translator::translate(text, "probe.ptx", "k_probe");
  } catch (const ptx_translator::translation_error &e) {
    return e.what();
  }
  return "";
}

void refused(const std::string &body, const std::string &with, const std::string &before = "") {
  const std::string message = message_of(body, before);
  check_report(message.find(with) != std::string::npos && message.find("probe.ptx:") == 0, __FILE__, __LINE__,
               "'" + body + "' gives: " + (message.empty() ? "a translation" : message) + "; expected: " + with);
}

}  // namespace

int main() {
  CHECK_EQ(message_of("add.s32 %r0, %r1, %r2;"), "");
  const std::string whole = message_of("add.s32 %r0, %r1, %r2;\nfrobnicate.b32 %r0, %r1;");
  CHECK_EQ(whole, "probe.ptx:13: kernel probe: the translator does not know this instruction: frobnicate.b32 %r0, %r1");
  // A modifier that would change the result.
  refused("add.ftz.f32 %f0, %f1, %f2;", "does not know this instruction: add.ftz.f32");
  refused("fma.rm.f64 %rd0, %rd1, %rd2, %rd3;", "does not know this instruction");
  refused("cvt.rz.f16.f32 %r0, %f0;", "does not know this instruction");
  refused("ld.volatile.global.u32 %r0, [%rd0];", "does not know this instruction");
  refused("ld.acquire.gpu.global.u32 %r0, [%rd0];", "does not know this instruction");
  refused("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%f0,%f1,%f2,%f3}, {%r0,%r1}, {%r2}, {%f0,%f1,%f2,%f3};",
          "does not know this instruction");
  refused("tcgen05.alloc.cta_group::1.sync.aligned.shared::cta.b32 [%r0], 32;",
          "does not know this instruction: tcgen05");
  refused("@%p0 brx.idx %r0, targets;", "does not know this instruction");
  // Operands.
  refused("add.s32 %r0, %r1, %r9;", "unknown name %r9");
  refused("add.s32 %r0, %r1;", "expected 3 operands, not 2");
  refused("add.s32 %p0, %r1, %r2;", "register %p0 is .pred, not .b32");
  refused("add.s64 %r0, %rd1, %rd2;", "register %r0 is narrower than .b64");
  refused("bra nowhere;", "no label nowhere");
  refused("ld.param.u64 %rd0, [probe_arguments+12];", "outside of the parameter's 16 bytes");
  refused("ld.shared.v4.u32 {%r0,%r1}, [%r2];", "as many registers as the vector has elements");
  refused("cp.async.cg.shared.global [%r0], [%rd0], 8;", "cp.async copies 4, 8 or 16 bytes, .cg only 16");
  // A wgmma's accumulators have one place each.
  refused(
      "wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%f0,%f1,%f2,%f3}, %rd0, %rd1, %p0, 1, 1, 0, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%f1,%f0,%f2,%f3}, %rd0, %rd1, %p0, 1, 1, 0, 0;",
      "stands at different places of two wgmma");
  refused("barrier.cluster.arrive.release.aligned;\nadd.s32 %r0, %r0, 1;\nbarrier.cluster.wait.acquire.aligned;",
          "only with its wait right behind it");
  // Modules.
  refused("", "static shared memory is not modelled", ".shared .align 4 .b8 table[64];\n");
  refused("", "only kernels (.entry) are translated", ".func helper()\n{\nret;\n}\n");
  return check_summary();
}
