#include "checkpoint.hpp"

#include <sys/stat.h>

#include <utility>

#include "device.hpp"
#include "json_document.hpp"

namespace gonka {
namespace {

constexpr const char *k_single_name = "model.safetensors";
constexpr const char *k_index_name = "model.safetensors.index.json";

[[noreturn]] void refuse(const std::string &file, const std::string &what) {
  throw status_error(GK_INVALID_ARGUMENT, file + ": " + what);
}

[[noreturn]] void refuse_tensor(const std::string &file, std::string_view tensor, const std::string &what) {
  refuse(file, "tensor \"" + json::printable(tensor) + "\": " + what);
}

bool exists(const std::string &path) {
  struct stat status;
  return ::stat(path.c_str(), &status) == 0;
}

// A shard is a file of the model's own directory; anything that could lead elsewhere is not a shard.
bool plain_shard_name(std::string_view name) {
  constexpr std::string_view suffix = ".safetensors";
  return name.size() > suffix.size() && name.size() <= 255 && name.ends_with(suffix) && name[0] != '.' &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos;
}

}  // namespace

checkpoint::checkpoint(const std::string &directory) : directory_(directory) {
  const std::string single = directory + '/' + k_single_name;
  const std::string index = directory + '/' + k_index_name;
  const bool has_single = exists(single), has_index = exists(index);
  if (has_single && has_index)
    refuse(directory, std::string("holds both ") + k_single_name + " and " + k_index_name +
                          "; remove the one that does not belong to the model");
  if (has_single)
    open_single(single);
  else if (has_index)
    open_sharded(index);
  else
    refuse(directory, std::string("holds neither ") + k_single_name + " nor " + k_index_name);
}

void checkpoint::open_single(const std::string &path) {
  source_ = path;
  files_.push_back(std::make_unique<safetensors_file>(path));
  for (const tensor_info &tensor : files_.back()->tensors())
    tensors_.emplace(tensor.name, checkpoint_tensor{files_.back().get(), &tensor});
}

std::vector<indexed_tensor> parse_shard_index(std::string_view text, const std::string &name) {
  const json::value index = json::parse(text, name);
  if (index.as_object() == nullptr) refuse(name, "expected an object, got " + index.describe());
  const json::value *map = json::find(*index.as_object(), "weight_map");
  if (map == nullptr) refuse(name, "\"weight_map\" is missing");
  if (map->as_object() == nullptr) refuse(name, "weight_map is " + map->describe() + "; expected an object");
  if (map->as_object()->empty()) refuse(name, "weight_map is empty");
  std::vector<indexed_tensor> tensors;
  for (const json::member &entry : *map->as_object()) {
    const std::string *shard = entry.held.as_string();
    if (shard == nullptr || !plain_shard_name(*shard))
      refuse_tensor(name, entry.key,
                    "shard " + entry.held.describe() + " is not a plain file name that ends in .safetensors");
    tensors.push_back({entry.key, *shard});
  }
  return tensors;
}

void checkpoint::open_sharded(const std::string &index_path) {
  source_ = index_path;
  const mapped_file index_file(index_path);
  std::map<std::string, const safetensors_file *> opened;
  for (const indexed_tensor &entry : parse_shard_index(index_file.text(), index_path)) {
    const safetensors_file *&file = opened[entry.shard];
    if (file == nullptr) {
      files_.push_back(std::make_unique<safetensors_file>(directory_ + '/' + entry.shard));
      file = files_.back().get();
    }
    const tensor_info *tensor = file->find(entry.name);
    if (tensor == nullptr)
      refuse_tensor(index_path, entry.name, "is not in " + entry.shard + ", where weight_map says it is");
    tensors_.emplace(entry.name, checkpoint_tensor{file, tensor});
  }
  for (const auto &file : files_)
    for (const tensor_info &tensor : file->tensors()) {
      const auto listed = tensors_.find(tensor.name);
      if (listed == tensors_.end())
        refuse_tensor(file->path(), tensor.name, std::string("is not listed in ") + k_index_name);
      if (listed->second.file != file.get())
        refuse_tensor(file->path(), tensor.name, "is also in " + listed->second.file->path());
    }
}

checkpoint_tensor checkpoint::find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? checkpoint_tensor{} : found->second;
}

checkpoint_tensor checkpoint::require(std::string_view name, const std::vector<int64_t> &shape) const {
  const checkpoint_tensor found = find(name);
  if (!found) refuse_tensor(source_, name, "is missing; the configuration asks for it");
  if (found.info->shape != shape) {
    tensor_info wanted;
    wanted.shape = shape;
    refuse_tensor(
        found.file->path(), name,
        "has shape " + found.info->describe_shape() + "; the configuration asks for " + wanted.describe_shape());
  }
  return found;
}

}  // namespace gonka
