// Work recorded once and replayed: between record_begin and record_end ops are taken down instead of queued, with
// memory of their own.
#include "backend_state.hpp"

namespace gonka::cuda {

gk_status record_begin(gk_stream *stream, gk_error *err) {
  stream_state &s = state(stream);
  return guard(&s.device, err, [&] {
    if (s.ctx.records()) return refuse_recording(err);
    auto made = std::make_unique<recording_state>(s.device);
    runtime::record_begin(s.ctx.stream());
    s.recording = std::move(made);
    s.recording_failed = GK_OK;
    s.ctx.record_into(&s.recording->memory);
    return GK_OK;
  });
}

gk_status record_end(gk_stream *stream, gk_recording **out, gk_error *err) {
  stream_state &s = state(stream);
  *out = nullptr;
  const auto stop = [&] {
    s.ctx.record_into(nullptr);
    return std::move(s.recording);
  };
  const gk_status status = guard(&s.device, err, [&] {
    if (!s.ctx.records()) return fail(err, GK_INVALID_ARGUMENT, "cuda: the stream does not record");
    auto made = stop();
    if (s.recording_failed != GK_OK) {
      runtime::record_cancel(s.ctx.stream());
      return fail(err, s.recording_failed, "cuda: an op could not be recorded");
    }
    made->steps = runtime::record_end(s.ctx.stream());
    *out = reinterpret_cast<gk_recording *>(made.release());
    return GK_OK;
  });
  if (s.ctx.records()) {  // the device was lost in between
    runtime::record_cancel(s.ctx.stream());
    stop();
  }
  return status;
}

gk_status replay(gk_stream *stream, gk_recording *recording, gk_error *err) {
  stream_state &s = state(stream);
  return guard(&s.device, err, [&] {
    if (s.ctx.records()) return refuse_recording(err);
    runtime::replay(s.ctx.stream(), state(recording).steps);
    return GK_OK;
  });
}

void recording_free(gk_recording *recording) {
  delete reinterpret_cast<recording_state *>(recording);
}

}  // namespace gonka::cuda
