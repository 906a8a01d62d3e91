#include "twin/registry.h"

#include <stdexcept>

namespace twin {

namespace {
std::map<std::string, Op>& Table() {
  static std::map<std::string, Op> table;
  return table;
}
}  // namespace

bool RegisterOp(const char* name, PlanFn plan, EntryFn entry) {
  Table()[name] = Op{name, plan, entry};
  return true;
}

const Op* FindOp(const std::string& name) {
  const auto it = Table().find(name);
  return it == Table().end() ? nullptr : &it->second;
}

std::vector<std::string> OpNames() {
  std::vector<std::string> names;
  for (const auto& [name, op] : Table()) names.push_back(name);
  return names;
}

size_t DtypeBytes(const std::string& dtype) {
  static const std::map<std::string, size_t> kBytes = {{"float32", 4}, {"float16", 2}, {"bfloat16", 2}, {"int32", 4},
                                                       {"uint8", 1},   {"int8", 1},    {"int64", 8},    {"uint32", 4},
                                                       {"int16", 2},   {"uint16", 2},  {"uint64", 8}};
  const auto it = kBytes.find(dtype);
  if (it == kBytes.end()) {
    std::string known;
    for (const auto& [name, bytes] : kBytes) known += (known.empty() ? "" : ", ") + name;
    throw std::invalid_argument("dtype '" + dtype + "' is unknown; expected one of " + known);
  }
  return it->second;
}

}  // namespace twin
