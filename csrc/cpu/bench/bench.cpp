// Times the kernels at ViT shapes and compares the products with the machine's multiply-add peak.
//
//   vit_cpu_bench [model [batch [threads]]]     model: tiny, small, base (default), large; batch 8; threads 1
//
// With one thread the clock is the thread's CPU time, so other programs on the machine disturb little; with
// more it is wall-clock time. Every figure is the best of several repetitions. The peak is measured in the
// same run, before each table line, by a loop of independent multiply-adds; percentages are of that.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "vit_cpu.h"

namespace {

int g_threads = 1;

double seconds() {
  timespec t;
  clock_gettime(g_threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double best_time(const std::function<void()>& f) {
  f();
  double best = 1e30, spent = 0;
  for (int i = 0; i < 3 || (i < 30 && spent < 0.6); ++i) {
    const double start = seconds();
    f();
    const double t = seconds() - start;
    best = std::min(best, t);
    spent += t;
  }
  return best;
}

// Multiply-adds per second and thread, times 2: the loop that no kernel can beat. It has to use the widest
// registers of the instruction set in use, hence one clone per set.
template <class Vector>
__attribute__((always_inline)) inline float multiply_add_loop(int64_t rounds) {
  Vector a[10], b = Vector{} + 0.999f, c = Vector{} + 0.001f, sum{};
  for (int i = 0; i < 10; ++i) a[i] = Vector{} + static_cast<float>(rounds % (i + 7));  // or they are one sum
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 10
    for (int j = 0; j < 10; ++j) a[j] = a[j] * b + c;
  }
  for (int i = 0; i < 10; ++i) sum += a[i];
  return sum[0];
}
template <int kLanes>
struct Lanes {
  typedef float Vector __attribute__((vector_size(4 * kLanes)));
};
#if defined(__x86_64__)
__attribute__((target("avx512f"))) float loop16(int64_t n) { return multiply_add_loop<Lanes<16>::Vector>(n); }
__attribute__((target("avx2,fma"))) float loop8(int64_t n) { return multiply_add_loop<Lanes<8>::Vector>(n); }
#endif
float loop4(int64_t n) { return multiply_add_loop<Lanes<4>::Vector>(n); }

double peak() {  // per thread
  float (*loop)(int64_t) = loop4;
  int lanes = 4;
#if defined(__x86_64__)
  if (!strcmp(vit_cpu_isa(), "avx512")) loop = loop16, lanes = 16;
  if (!strcmp(vit_cpu_isa(), "avx2")) loop = loop8, lanes = 8;
#endif
  const int64_t rounds = 1000000;
  volatile float sink = 0;
  const int threads = g_threads;
  g_threads = 1;
  const double t = best_time([&] { sink = loop(rounds); });
  g_threads = threads;
  return 20.0 * lanes * static_cast<double>(rounds) / t;
}

struct Array {
  std::vector<float> storage;
  explicit Array(int64_t n) : storage(static_cast<size_t>(n) + 16) {
    for (size_t i = 0; i < storage.size(); ++i) {
      storage[i] = static_cast<float>((i * 2654435761u >> 8) % 2001) * 1e-3f - 1.0f;
    }
  }
  float* data() { return storage.data() + 4; }  // 16 modulo 64 or so, as MindSpore's buffers are
};

void report(const char* name, int64_t multiply_adds, const std::function<void()>& f) {
  const double top = peak(), t = best_time(f);
  const double rate = 2.0 * static_cast<double>(multiply_adds) / t;
  printf("%-34s %9.3f ms %8.1f GFLOP/s %6.1f %% of peak\n", name, t * 1e3, rate * 1e-9,
         100 * rate / (top * g_threads));
  fflush(stdout);
}
void report_bytes(const char* name, int64_t floats, const std::function<void()>& f) {
  const double t = best_time(f);
  printf("%-34s %9.3f ms %8.1f GB/s\n", name, t * 1e3, 4e-9 * static_cast<double>(floats) / t);
  fflush(stdout);
}

void bench_linear(const char* name, int64_t m, int64_t in, int64_t out) {
  Array x(m * in), w(out * in), b(out), r(m * out), y(m * out), dx(m * in), dw(out * in), db(out);
  char line[80];
  snprintf(line, sizeof line, "%s fwd %dx%dx%d", name, int(m), int(out), int(in));
  report(line, m * in * out,
         [&] { vit_linear_forward(x.data(), w.data(), b.data(), r.data(), nullptr, y.data(), m, in, out); });
  snprintf(line, sizeof line, "%s bwd", name);
  report(line, 2 * m * in * out, [&] {
    vit_linear_backward(y.data(), x.data(), w.data(), b.data(), nullptr, dx.data(), dw.data(), db.data(),
                        nullptr, m, in, out);
  });
}

void bench_mlp(int64_t m, int64_t c, int64_t f) {
  Array x(m * c), w1(f * c), b1(f), w2(c * f), b2(c), y(m * c), h(m * f), dx(m * c), dw1(f * c), db1(f),
      dw2(c * f), db2(c);
  report("mlp inference", 2 * m * c * f, [&] {
    vit_gelu_mlp_forward(x.data(), w1.data(), b1.data(), w2.data(), b2.data(), y.data(), nullptr, m, c, f, c,
                         0);
  });
  report("mlp training fwd", 2 * m * c * f, [&] {
    vit_gelu_mlp_forward(x.data(), w1.data(), b1.data(), w2.data(), b2.data(), y.data(), h.data(), m, c, f, c,
                         0);
  });
  report("mlp bwd", 4 * m * c * f, [&] {
    vit_gelu_mlp_backward(y.data(), x.data(), h.data(), w1.data(), w2.data(), dx.data(), dw1.data(),
                          db1.data(), dw2.data(), db2.data(), m, c, f, c, 0);
  });
}

void bench_attention(int64_t batch, int64_t tokens, int64_t heads, int64_t dim) {
  const int64_t size = batch * tokens * heads * dim, pairs = batch * heads * tokens * tokens * dim;
  Array qkv(3 * size), out(size), lse(batch * heads * tokens), dout(size), dqkv(3 * size);
  report("attention fwd", 2 * pairs, [&] {
    vit_attention_forward(qkv.data(), 0.125f, out.data(), lse.data(), batch, tokens, heads, dim);
  });
  report("attention bwd", 5 * pairs, [&] {
    vit_attention_backward(dout.data(), qkv.data(), out.data(), lse.data(), 0.125f, dqkv.data(), batch,
                           tokens, heads, dim);
  });
}

void bench_layer_norm(int64_t rows, int64_t width) {
  Array x(rows * width), r(rows * width), s(rows * width), y(rows * width), g(width), b(width), mean(rows),
      rstd(rows);
  Array dx(rows * width), dg(width), db(width);
  report_bytes("layer_norm fwd", 2 * rows * width, [&] {
    vit_layer_norm_forward(x.data(), g.data(), b.data(), 1e-6f, y.data(), mean.data(), rstd.data(), rows,
                           width);
  });
  report_bytes("add_layer_norm fwd", 4 * rows * width, [&] {
    vit_add_layer_norm_forward(x.data(), r.data(), g.data(), b.data(), 1e-6f, s.data(), y.data(), mean.data(),
                               rstd.data(), rows, width);
  });
  report_bytes("add_layer_norm bwd", 4 * rows * width, [&] {
    vit_add_layer_norm_backward(r.data(), y.data(), s.data(), g.data(), mean.data(), rstd.data(), dx.data(),
                                dg.data(), db.data(), rows, width);
  });
}

struct Model {
  const char* name;
  int64_t width, heads;
};
constexpr Model kModels[] = {{"tiny", 192, 3}, {"small", 384, 6}, {"base", 768, 12}, {"large", 1024, 16}};

}  // namespace

int main(int argc, char** argv) {
  const Model* model = &kModels[2];
  for (const Model& m : kModels) {
    if (argc > 1 && !strcmp(argv[1], m.name)) model = &m;
  }
  const int64_t batch = argc > 2 ? atoi(argv[2]) : 8, tokens = 197, c = model->width, rows = batch * tokens;
  g_threads = argc > 3 ? atoi(argv[3]) : 1;
  vit_cpu_set_threads(g_threads);
  printf("ViT-%s, batch %d, %s, %d thread(s), peak %.1f GFLOP/s per thread\n", model->name, int(batch),
         vit_cpu_isa(), g_threads, peak() * 1e-9);
  bench_linear("qkv", rows, c, 3 * c);
  bench_linear("proj", rows, c, c);
  bench_linear("fc1", rows, c, 4 * c);
  bench_linear("fc2", rows, 4 * c, c);
  bench_mlp(rows, c, 4 * c);
  bench_attention(batch, tokens, model->heads, 64);
  bench_layer_norm(rows, c);
  return 0;
}
