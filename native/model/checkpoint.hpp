// The weights of a Hugging Face model directory: model.safetensors, or shards named by model.safetensors.index.json.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "safetensors.hpp"

namespace gonka {

// A tensor and the file it lives in; valid as long as the checkpoint.
struct checkpoint_tensor {
  const safetensors_file *file = nullptr;
  const tensor_info *info = nullptr;

  explicit operator bool() const { return info != nullptr; }
  const std::byte *data() const { return file->data(*info); }
};

// An entry of model.safetensors.index.json: a tensor and the file of the model's directory that holds it.
struct indexed_tensor {
  std::string name, shard;
};

// The weight_map of an index, in its order; it has at least one entry. Shards are plain names of .safetensors files:
// nothing that could lead out of the directory. Throws status_error(GK_INVALID_ARGUMENT) that begins with `name` (the
// index file's) and names tensor and cause.
std::vector<indexed_tensor> parse_shard_index(std::string_view text, const std::string &name);

class checkpoint {
 public:
  // Maps and checks every file. Throws status_error(GK_INVALID_ARGUMENT) naming file, tensor and cause. For an index:
  // shard names that are not plain file names, tensors that the named shard does not hold or that two shards hold, and
  // shards' tensors the index does not list.
  explicit checkpoint(const std::string &directory);

  const std::string &directory() const { return directory_; }
  // Empty if there is none of that name.
  checkpoint_tensor find(std::string_view name) const;
  // Throws if the tensor is missing or has another shape.
  checkpoint_tensor require(std::string_view name, const std::vector<int64_t> &shape) const;
  // All tensors, ordered by name.
  const std::map<std::string, checkpoint_tensor, std::less<>> &tensors() const { return tensors_; }

 private:
  void open_single(const std::string &path);
  void open_sharded(const std::string &index_path);

  std::string directory_;
  std::string source_;  // the file or index that names the tensors, for errors
  std::vector<std::unique_ptr<safetensors_file>> files_;
  std::map<std::string, checkpoint_tensor, std::less<>> tensors_;
};

}  // namespace gonka
