// Checks every kernel on every instruction set of this machine against reference.h, without Python:
// for cross-compiled builds under an emulator (scripts/test-neon.sh) and for sanitizer builds.
//
// Arrays are allocated to the element, so AddressSanitizer sees any access beyond one, and start at an
// address that is 4 modulo 16. Outputs are filled with NaN first. Every case runs with one and with three
// threads and must give the same bits. Exit code 0 when all is well.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <random>
#include <string>

#include "reference.h"
#include "vit_cpu.h"

namespace {

using reference::Matrix;

int g_failures = 0;
int g_checks = 0;
std::mt19937 g_random(20240501);

// A float array of exactly `size` elements, misaligned; double() is the same values for the reference.
class Array {
 public:
  explicit Array(int64_t size) : size_(size), raw_(malloc(size_t(size) * 4 + 4)) {
    for (int64_t i = 0; i < size; ++i) data()[i] = NAN;
  }
  static Array random(int64_t size, double spread = 1.0) {
    Array a(size);
    std::normal_distribution<double> normal(0, spread);
    for (int64_t i = 0; i < size; ++i) a.data()[i] = float(normal(g_random));
    return a;
  }
  Array(const Array& other) : Array(other.size_) { memcpy(data(), other.data(), bytes()); }
  Array& operator=(const Array&) = delete;
  ~Array() { free(raw_); }
  float* data() const { return static_cast<float*>(raw_) + 1; }
  int64_t size() const { return size_; }
  size_t bytes() const { return size_t(size_) * 4; }
  Matrix wide() const { return Matrix(data(), data() + size_); }

 private:
  int64_t size_;
  void* raw_;
};

void fail(const char* what, const char* why, double value) {
  printf("FAILED  %s %s: %s %g\n", vit_cpu_isa(), what, why, value);
  ++g_failures;
}

// Largest difference relative to the largest element, or to the size of the terms where those cancel; fp32
// rounding of sums over ~1000 terms stays below 1e-5.
void compare(const char* what, const Array& got, const Matrix& expected, double terms = 1e-3) {
  double worst = 0, largest = terms;
  for (int64_t i = 0; i < got.size(); ++i) {
    const double d = fabs(got.data()[i] - expected[size_t(i)]);
    worst = d <= worst ? worst : d;  // NaN sticks
    largest = fmax(largest, fabs(expected[size_t(i)]));
  }
  ++g_checks;
  if (!(worst <= 1e-5 * largest)) fail(what, "relative error", worst / largest);
}

// Runs `f` with one and three threads into fresh copies of its outputs and requires equal bits.
template <class F>
void run(const char* what, std::initializer_list<Array*> outputs, F f) {
  vit_cpu_set_threads(1);
  const int code = f();
  if (code != VIT_OK) fail(what, "error code", code);
  std::vector<Array> first;
  for (Array* a : outputs) first.push_back(*a);
  vit_cpu_set_threads(3);
  f();
  size_t i = 0;
  for (Array* a : outputs) {
    ++g_checks;
    if (memcmp(a->data(), first[i++].data(), a->bytes()) != 0) fail(what, "differs with three threads", 0);
  }
}

void check_layer_norm(int64_t rows, int64_t width) {
  const Array x = Array::random(rows * width), residual = Array::random(rows * width);
  const Array gamma = Array::random(width), beta = Array::random(width);
  const Array dy = Array::random(rows * width), dsum = Array::random(rows * width);
  Array sum(rows * width), y(rows * width), mean(rows), rstd(rows);
  run("add_layer_norm forward", {&sum, &y, &mean, &rstd}, [&] {
    return vit_add_layer_norm_forward(x.data(), residual.data(), gamma.data(), beta.data(), 1e-5f, sum.data(),
                                      y.data(), mean.data(), rstd.data(), rows, width);
  });
  Matrix total = x.wide();
  for (size_t i = 0; i < total.size(); ++i) total[i] += residual.data()[i];
  const auto saved = reference::layer_norm(total, gamma.wide(), beta.wide(), 1e-5, rows, width);
  compare("add_layer_norm sum", sum, total);
  compare("add_layer_norm y", y, saved.y);
  compare("add_layer_norm mean", mean, saved.mean);
  compare("add_layer_norm rstd", rstd, saved.rstd);

  Array dx(rows * width), dgamma(width), dbeta(width);
  run("add_layer_norm backward", {&dx, &dgamma, &dbeta}, [&] {
    return vit_add_layer_norm_backward(dsum.data(), dy.data(), sum.data(), gamma.data(), mean.data(),
                                       rstd.data(), dx.data(), dgamma.data(), dbeta.data(), rows, width);
  });
  auto gradient = reference::layer_norm_backward(dy.wide(), total, gamma.wide(), saved, rows, width);
  compare("layer_norm dgamma", dgamma, gradient.dgamma);
  compare("layer_norm dbeta", dbeta, gradient.dbeta);
  run("layer_norm backward", {&dx}, [&] {
    return vit_layer_norm_backward(dy.data(), sum.data(), gamma.data(), mean.data(), rstd.data(), dx.data(),
                                   dgamma.data(), dbeta.data(), rows, width);
  });
  double terms = 0;  // of a row of one element everything cancels
  for (const double r : saved.rstd) terms = fmax(terms, r);
  compare("layer_norm dx", dx, gradient.dx, terms);
}

void check_attention(int64_t batch, int64_t tokens, int64_t heads, int64_t dim) {
  const int64_t size = batch * tokens * heads * dim;
  const float scale = float(1 / sqrt(double(dim)));
  const Array qkv = Array::random(3 * size, 1.5), dout = Array::random(size);
  Array out(size), lse(batch * heads * tokens), dqkv(3 * size);
  run("attention forward", {&out, &lse}, [&] {
    return vit_attention_forward(qkv.data(), scale, out.data(), lse.data(), batch, tokens, heads, dim);
  });
  run("attention backward", {&dqkv}, [&] {
    return vit_attention_backward(dout.data(), qkv.data(), out.data(), lse.data(), scale, dqkv.data(), batch,
                                  tokens, heads, dim);
  });
  const auto expected =
      reference::attention(qkv.wide(), dout.wide(), double(scale), batch, tokens, heads, dim);
  compare("attention out", out, expected.out);
  compare("attention lse", lse, expected.lse);
  compare("attention dqkv", dqkv, expected.dqkv);
}

void check_linear(int64_t rows, int64_t in, int64_t out, bool with_bias, bool with_residual,
                  bool with_scale) {
  const Array x = Array::random(rows * in), w = Array::random(out * in), b = Array::random(out);
  const Array residual = Array::random(rows * out), s = Array::random(out), dy = Array::random(rows * out);
  const float* const bias = with_bias ? b.data() : nullptr;
  const float* const scale = with_scale ? s.data() : nullptr;
  Array y(rows * out), dx(rows * in), dw(out * in), db(out), ds(out);
  run("linear forward", {&y}, [&] {
    return vit_linear_forward(x.data(), w.data(), bias, with_residual ? residual.data() : nullptr, scale,
                              y.data(), rows, in, out);
  });
  Matrix expected = reference::product(x.wide(), false, w.wide(), true, rows, out, in);
  for (int64_t i = 0; i < rows * out; ++i) {
    const int64_t j = i % out;
    expected[size_t(i)] = (expected[size_t(i)] + (bias ? bias[j] : 0.0f)) * (scale ? scale[j] : 1.0f) +
                          (with_residual ? residual.data()[i] : 0.0f);
  }
  compare("linear y", y, expected);

  run("linear backward", {&dx, &dw, &db}, [&] {
    return vit_linear_backward(dy.data(), x.data(), w.data(), bias, scale, dx.data(), dw.data(), db.data(),
                               scale ? ds.data() : nullptr, rows, in, out);
  });
  Matrix scaled = dy.wide(), g = reference::product(dy.wide(), true, x.wide(), false, out, in, rows);
  Matrix sums = reference::column_sums(dy.wide(), rows, out), dscale(static_cast<size_t>(out));
  for (size_t i = 0; i < scaled.size(); ++i) scaled[i] *= scale ? scale[int64_t(i) % out] : 1.0f;
  for (int64_t j = 0; j < out; ++j) {
    dscale[size_t(j)] = bias ? bias[j] * sums[size_t(j)] : 0.0;
    for (int64_t k = 0; k < in; ++k) {
      dscale[size_t(j)] += w.data()[j * in + k] * g[size_t(j * in + k)];
      g[size_t(j * in + k)] *= scale ? scale[j] : 1.0f;
    }
    sums[size_t(j)] *= scale ? scale[j] : 1.0f;
  }
  compare("linear dx", dx, reference::product(scaled, false, w.wide(), false, rows, in, out));
  compare("linear dw", dw, g);
  compare("linear db", db, sums);
  if (scale) compare("linear dscale", ds, dscale);
}

void check_mlp(int64_t rows, int64_t in, int64_t hidden, int64_t out, bool tanh_form) {
  const Array x = Array::random(rows * in), dy = Array::random(rows * out);
  const Array w1 = Array::random(hidden * in, 1 / sqrt(double(in))), b1 = Array::random(hidden);
  const Array w2 = Array::random(out * hidden, 1 / sqrt(double(hidden))), b2 = Array::random(out);
  Array y(rows * out), h(rows * hidden), y_inference(rows * out);
  run("gelu_mlp forward", {&y, &h}, [&] {
    return vit_gelu_mlp_forward(x.data(), w1.data(), b1.data(), w2.data(), b2.data(), y.data(), h.data(),
                                rows, in, hidden, out, tanh_form);
  });
  run("gelu_mlp inference", {&y_inference}, [&] {
    return vit_gelu_mlp_forward(x.data(), w1.data(), b1.data(), w2.data(), b2.data(), y_inference.data(),
                                nullptr, rows, in, hidden, out, tanh_form);
  });
  Matrix pre = reference::product(x.wide(), false, w1.wide(), true, rows, hidden, in), active(pre.size());
  for (size_t i = 0; i < pre.size(); ++i) {
    pre[i] += b1.data()[int64_t(i) % hidden];
    active[i] = reference::gelu(pre[i], tanh_form);
  }
  Matrix expected = reference::product(active, false, w2.wide(), true, rows, out, hidden);
  for (size_t i = 0; i < expected.size(); ++i) expected[i] += b2.data()[int64_t(i) % out];
  compare("gelu_mlp h", h, pre);
  compare("gelu_mlp y", y, expected);
  compare("gelu_mlp inference y", y_inference, expected);

  Array dx(rows * in), dw1(hidden * in), db1(hidden), dw2(out * hidden), db2(out);
  run("gelu_mlp backward", {&dx, &dw1, &db1, &dw2, &db2}, [&] {
    return vit_gelu_mlp_backward(dy.data(), x.data(), h.data(), w1.data(), w2.data(), dx.data(), dw1.data(),
                                 db1.data(), dw2.data(), db2.data(), rows, in, hidden, out, tanh_form);
  });
  Matrix dh = reference::product(dy.wide(), false, w2.wide(), false, rows, hidden, out);
  for (size_t i = 0; i < dh.size(); ++i) dh[i] *= reference::gelu_slope(pre[i], tanh_form);
  compare("gelu_mlp dx", dx, reference::product(dh, false, w1.wide(), false, rows, in, hidden));
  compare("gelu_mlp dw1", dw1, reference::product(dh, true, x.wide(), false, hidden, in, rows));
  compare("gelu_mlp db1", db1, reference::column_sums(dh, rows, hidden));
  compare("gelu_mlp dw2", dw2, reference::product(dy.wide(), true, active, false, out, hidden, rows));
  compare("gelu_mlp db2", db2, reference::column_sums(dy.wide(), rows, out));
}

void check_adamw(int64_t size) {
  const Array gradient = Array::random(size), w0 = Array::random(size), m0 = Array::random(size);
  Array v0 = Array::random(size), w(size), m(size), v(size);
  for (int64_t i = 0; i < size; ++i) v0.data()[i] *= v0.data()[i];
  run("adamw", {&w, &m, &v}, [&] {
    std::copy_n(w0.data(), size, w.data());
    std::copy_n(m0.data(), size, m.data());
    std::copy_n(v0.data(), size, v.data());
    return vit_adamw(w.data(), m.data(), v.data(), gradient.data(), 0.01f, 0.3f, 0.1f, 0.001f, 1e-8f, 0.19f,
                     0.2f, size);
  });
  Matrix we = w0.wide(), me = m0.wide(), ve = v0.wide(), g = gradient.wide();
  for (size_t i = 0; i < we.size(); ++i) {
    me[i] += 0.1 * (g[i] - me[i]);
    ve[i] += 0.001 * (g[i] * g[i] - ve[i]);
    we[i] -= 0.01 * (0.3 * we[i] + me[i] / 0.19 / (sqrt(ve[i]) / 0.2 + 1e-8));
  }
  compare("adamw w", w, we);
  compare("adamw m", m, me);
  compare("adamw v", v, ve);
}

void check_all() {
  for (int64_t width : {1, 3, 16, 33, 192, 301}) check_layer_norm(37, width);
  check_layer_norm(300, 64);
  check_layer_norm(0, 8);

  check_attention(1, 1, 1, 8);
  check_attention(2, 50, 2, 16);
  check_attention(1, 197, 1, 64);
  check_attention(1, 577, 1, 24);
  check_attention(1, 33, 3, 5);
  check_attention(1, 40, 1, 128);
  check_attention(0, 9, 1, 8);

  for (int variant = 0; variant < 8; ++variant)
    check_linear(29, 45, 37, variant & 1, variant & 2, variant & 4);
  check_linear(1, 1, 1, true, true, true);
  check_linear(100, 1030, 65, true, false, false);  // two blocks of the summation
  check_linear(2020, 5, 9, true, false, true);      // two blocks of rows
  check_linear(3, 4, 3075, true, false, false);     // two blocks of columns
  check_linear(0, 6, 5, true, true, true);

  for (bool tanh_form : {false, true}) {
    check_mlp(31, 24, 96, 24, tanh_form);
    check_mlp(5, 7, 11, 3, tanh_form);
  }
  check_mlp(110, 20, 800, 33, false);  // two slices of the hidden layer, two row blocks
  check_mlp(0, 4, 6, 4, false);

  for (int64_t size : {0, 1, 5, 16, 100, 40000}) check_adamw(size);
}

}  // namespace

int main() {
  std::string list = vit_cpu_isa_list();
  for (size_t at = 0; at < list.size();) {
    const size_t end = std::min(list.find(',', at), list.size());
    const std::string isa = list.substr(at, end - at);
    at = end + 1;
    if (vit_cpu_set_isa(isa.c_str()) != VIT_OK) fail(isa.c_str(), "cannot be selected", 0);
    const int before = g_failures;
    g_checks = 0;
    check_all();
    printf("%-8s %d checks, %d failures\n", isa.c_str(), g_checks, g_failures - before);
  }
  return g_failures ? 1 : 0;
}
