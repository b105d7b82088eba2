// Random but valid models in Hugging Face's layout, for tests, demonstrations and vendors without model files.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace gonka {

struct tiny_model {
  std::string family;  // "llama", "mistral", "qwen2", "qwen3", "qwen3-moe"; empty: the preset's
  std::string preset;  // of preset_names(); empty: a model of a few hundred kilobytes
  uint64_t seed = 0;
};

const std::vector<std::string> &tiny_family_names();
const std::vector<std::string> &tiny_preset_names();

struct tiny_model_files {
  std::string config_path, weights_path;
  uint64_t parameters = 0, bytes = 0;
};

// Writes config.json and model.safetensors to `directory`, which must exist and hold neither. Matrices are uniform with
// standard deviation 1 / sqrt(k), so that activations neither vanish nor grow; norms are near 1. The same request gives
// the same bytes on every machine. Throws status_error.
tiny_model_files make_tiny_model(const std::string &directory, const tiny_model &request);

}  // namespace gonka
