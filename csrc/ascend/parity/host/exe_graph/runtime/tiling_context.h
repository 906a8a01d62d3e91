#pragma once

#include "exe_graph/runtime/shape.h"

namespace fe {
class PlatFormInfos;
}

namespace gert {

class TilingData {
 public:
  void* GetData();
  size_t GetCapacity() const;
  void SetDataSize(const size_t size);
};

class TilingContext {
 public:
  const char* GetNodeName() const;
  const StorageShape* GetInputShape(const size_t index) const;
  const StorageShape* GetOptionalInputShape(const size_t ir_index) const;
  const StorageShape* GetOutputShape(const size_t index) const;
  const CompileTimeTensorDesc* GetInputDesc(const size_t index) const;
  const CompileTimeTensorDesc* GetOptionalInputDesc(const size_t ir_index) const;
  const RuntimeAttrs* GetAttrs() const;
  fe::PlatFormInfos* GetPlatformInfo() const;
  ge::graphStatus SetTilingKey(const uint64_t tiling_key);
  ge::graphStatus SetBlockDim(const uint32_t block_dim);
  ge::graphStatus SetScheduleMode(const uint32_t schedule_mode);
  size_t* GetWorkspaceSizes(const size_t workspace_count);
  TilingData* GetRawTilingData();
};

}  // namespace gert
