// Instruction set, threads, scratch memory and fork detection; see runtime.h.
#include "runtime.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <atomic>
#include <mutex>
#include <string>
#include <vector>

#include "kernels.h"
#include "vit_cpu.h"

namespace vit {
namespace {

// --- instruction sets ---

std::vector<const Kernels*> usable_kernels() {
  std::vector<const Kernels*> list;
#if defined(__x86_64__)
  __builtin_cpu_init();
  list.push_back(&baseline::kKernels);
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    list.push_back(&avx2::kKernels);
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
      list.push_back(&avx512::kKernels);
    }
  }
#elif defined(__aarch64__)
  list.push_back(&neon::kKernels);
#else
  list.push_back(&baseline::kKernels);
#endif
  return list;
}

struct Isa {
  std::vector<const Kernels*> usable = usable_kernels();
  std::atomic<const Kernels*> active{usable.back()};
  std::string names, error;

  Isa() {
    for (const Kernels* k : usable) names += (names.empty() ? "" : ",") + std::string(k->isa);
    const char* const wanted = getenv("VIT_KERNELS_ISA");
    if (wanted && *wanted && !select(wanted)) {
      error = "VIT_KERNELS_ISA=" + std::string(wanted) +
              " is not available on this machine; use one of: " + names;
    }
  }
  bool select(const char* name) {
    for (const Kernels* k : usable) {
      if (strcmp(k->isa, name) == 0) {
        active = k;
        return true;
      }
    }
    return false;
  }
};
Isa& isa() {
  static Isa instance;
  return instance;
}

// --- threads ---

// A variable of the environment the process was started with. Importing MindSpore sets OMP_NUM_THREADS=1 for
// the libraries it brings along; that is not something the user asked for, and getenv cannot tell.
std::string started_with(const char* name) {
  FILE* const file = fopen("/proc/self/environ", "rb");
  if (!file) {
    const char* const value = getenv(name);
    return value ? value : "";
  }
  const std::string prefix = std::string(name) + "=";
  std::string entry, value;
  for (int c; (c = getc(file)) != EOF;) {
    if (c != 0) {
      entry += static_cast<char>(c);
      continue;
    }
    if (entry.compare(0, prefix.size(), prefix) == 0) value = entry.substr(prefix.size());
    entry.clear();
  }
  fclose(file);
  return value;
}

int default_threads() {
  const int asked = atoi(started_with("OMP_NUM_THREADS").c_str());
  if (asked > 0) return asked;
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return CPU_COUNT(&set);
  return 1;
}
std::atomic<int>& thread_count() {
  static std::atomic<int> count{default_threads()};
  return count;
}

// Multiply-adds below which waking a thread costs more than it gives: some 5 microseconds of one core.
constexpr int64_t kWorkPerThread = 256 * 1024;

// --- fork ---

std::atomic<bool> g_forked{false};
__attribute__((constructor)) void watch_forks() {
  pthread_atfork(nullptr, nullptr, [] { g_forked = true; });
}

// --- scratch ---

// What is kept between calls is at most kKeptBlocks blocks, none larger than kKeptBytes.
constexpr size_t kKeptBlocks = 4;
constexpr size_t kKeptBytes = size_t{128} << 20;
constexpr size_t kHugePage = size_t{2} << 20;

struct Block {
  float* data = nullptr;
  size_t bytes = 0;
  bool busy = false;
};
constexpr int kMaxBlocks = 256;  // calls that may overlap in time; one more is told there is no memory
struct Pool {
  std::mutex mutex;
  Block blocks[kMaxBlocks];
};
Pool& pool() {
  static Pool* const instance = new Pool;  // never destroyed: a call may outlive static destructors
  return *instance;
}

// Large blocks start on a huge page and ask for them: packed panels are streamed, and with 4 KiB pages the
// address translations of a GEMM's working set do not fit the first-level TLB.
float* allocate(size_t bytes) {
  const size_t alignment = bytes >= kHugePage ? kHugePage : 64;
  void* const p = aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (p && alignment == kHugePage) madvise(p, bytes, MADV_HUGEPAGE);
  return static_cast<float*>(p);
}

}  // namespace

const Kernels& active_kernels() { return *isa().active.load(std::memory_order_relaxed); }

int threads() { return thread_count(); }
void set_threads(int count) { thread_count() = count > 0 ? count : default_threads(); }
int threads_for(int64_t work) {
  const int64_t useful = work / kWorkPerThread;
  const int most = threads();
  return useful >= most ? most : useful < 1 ? 1 : static_cast<int>(useful);
}

bool forked() { return g_forked; }

Scratch::Scratch(size_t floats) : data_(nullptr), slot_(-1) {
  const size_t bytes = padded(floats > 0 ? floats : 1) * sizeof(float);
  Pool& p = pool();
  const std::lock_guard<std::mutex> lock(p.mutex);
  // The smallest idle block that is large enough, else the largest idle one, to be replaced. Slots without a
  // block count as idle blocks of size zero.
  int best = -1;
  for (int i = 0; i < kMaxBlocks; ++i) {
    if (p.blocks[i].busy) continue;
    const size_t size = p.blocks[i].bytes, best_size = best < 0 ? 0 : p.blocks[best].bytes;
    const bool better =
        size >= bytes ? best_size < bytes || size < best_size : best_size < bytes && size > best_size;
    if (best < 0 || better) best = i;
  }
  if (best < 0) return;
  Block& b = p.blocks[best];
  if (b.bytes < bytes) {
    free(b.data);
    b.data = allocate(bytes);
    b.bytes = b.data ? bytes : 0;
    if (!b.data) return;
  }
  b.busy = true;
  data_ = b.data;
  slot_ = best;
}

Scratch::~Scratch() {
  if (slot_ < 0) return;
  Pool& p = pool();
  const std::lock_guard<std::mutex> lock(p.mutex);
  Block& mine = p.blocks[slot_];
  mine.busy = false;
  size_t kept = 0;
  for (const Block& b : p.blocks) kept += !b.busy && b.data != nullptr;
  if (kept > kKeptBlocks || mine.bytes > kKeptBytes) {
    free(mine.data);
    mine.data = nullptr;
    mine.bytes = 0;
  }
}

size_t scratch_bytes() {
  Pool& p = pool();
  const std::lock_guard<std::mutex> lock(p.mutex);
  size_t total = 0;
  for (const Block& b : p.blocks) total += b.bytes;
  return total;
}

}  // namespace vit

extern "C" {

const char* vit_cpu_version(void) { return VIT_KERNELS_VERSION; }
const char* vit_cpu_isa(void) { return vit::active_kernels().isa; }
const char* vit_cpu_isa_list(void) { return vit::isa().names.c_str(); }
int vit_cpu_set_isa(const char* isa) { return isa && vit::isa().select(isa) ? VIT_OK : VIT_ERROR_ISA; }
const char* vit_cpu_error(void) { return vit::isa().error.c_str(); }
int vit_cpu_threads(void) { return vit::threads(); }
void vit_cpu_set_threads(int threads) { vit::set_threads(threads); }
size_t vit_cpu_scratch_bytes(void) { return vit::forked() ? 0 : vit::scratch_bytes(); }

}  // extern "C"
