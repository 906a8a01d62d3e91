// The operators again, in double precision and plain loops: what the kernels are compared with where there is
// no NumPy (cross-compiled, under an emulator, with sanitizers). Nothing is shared with the kernels.
#pragma once

#include <math.h>
#include <stdint.h>

#include <vector>

namespace reference {

using Matrix = std::vector<double>;

// a (m x k) b (k x n); transposed operands are stored (k x m) and (n x k).
inline Matrix product(const Matrix& a, bool a_transposed, const Matrix& b, bool b_transposed, int64_t m,
                      int64_t n, int64_t k) {
  Matrix c(static_cast<size_t>(m * n));
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (int64_t l = 0; l < k; ++l) {
        sum +=
            a[size_t(a_transposed ? l * m + i : i * k + l)] * b[size_t(b_transposed ? j * k + l : l * n + j)];
      }
      c[size_t(i * n + j)] = sum;
    }
  }
  return c;
}

inline Matrix column_sums(const Matrix& x, int64_t rows, int64_t width) {
  Matrix sums(static_cast<size_t>(width));
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < width; ++j) sums[size_t(j)] += x[size_t(i * width + j)];
  }
  return sums;
}

inline double gelu(double x, bool tanh_form) {
  if (!tanh_form) return 0.5 * x * erfc(-x / sqrt(2.0));
  return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}
inline double gelu_slope(double x, bool tanh_form) {
  if (!tanh_form) return 0.5 * erfc(-x / sqrt(2.0)) + x * exp(-x * x / 2) / sqrt(2 * M_PI);
  const double t = tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x));
  return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * sqrt(2 / M_PI) * (1 + 3 * 0.044715 * x * x);
}

struct LayerNorm {
  Matrix y, mean, rstd;
};
inline LayerNorm layer_norm(const Matrix& x, const Matrix& gamma, const Matrix& beta, double epsilon,
                            int64_t rows, int64_t width) {
  LayerNorm r{Matrix(x.size()), Matrix(size_t(rows)), Matrix(size_t(rows))};
  for (int64_t i = 0; i < rows; ++i) {
    const double* const row = x.data() + i * width;
    double mean = 0, variance = 0;
    for (int64_t j = 0; j < width; ++j) mean += row[j] / double(width);
    for (int64_t j = 0; j < width; ++j) variance += (row[j] - mean) * (row[j] - mean) / double(width);
    r.mean[size_t(i)] = mean;
    r.rstd[size_t(i)] = 1 / sqrt(variance + epsilon);
    for (int64_t j = 0; j < width; ++j) {
      r.y[size_t(i * width + j)] = (row[j] - mean) * r.rstd[size_t(i)] * gamma[size_t(j)] + beta[size_t(j)];
    }
  }
  return r;
}

struct LayerNormGradient {
  Matrix dx, dgamma, dbeta;
};
inline LayerNormGradient layer_norm_backward(const Matrix& dy, const Matrix& x, const Matrix& gamma,
                                             const LayerNorm& saved, int64_t rows, int64_t width) {
  LayerNormGradient g{Matrix(x.size()), Matrix(size_t(width)), Matrix(size_t(width))};
  for (int64_t i = 0; i < rows; ++i) {
    const double mean = saved.mean[size_t(i)], rstd = saved.rstd[size_t(i)];
    double mean_g = 0, mean_gn = 0;
    for (int64_t j = 0; j < width; ++j) {
      const size_t at = size_t(i * width + j);
      const double n = (x[at] - mean) * rstd, d = dy[at] * gamma[size_t(j)];
      mean_g += d / double(width);
      mean_gn += d * n / double(width);
      g.dgamma[size_t(j)] += dy[at] * n;
      g.dbeta[size_t(j)] += dy[at];
    }
    for (int64_t j = 0; j < width; ++j) {
      const size_t at = size_t(i * width + j);
      g.dx[at] = rstd * (dy[at] * gamma[size_t(j)] - mean_g - (x[at] - mean) * rstd * mean_gn);
    }
  }
  return g;
}

struct Attention {
  Matrix out, lse, dqkv;
};
// qkv (batch, tokens, 3, heads, dim), dout (batch, tokens, heads, dim); forward and gradient at once.
inline Attention attention(const Matrix& qkv, const Matrix& dout, double scale, int64_t batch, int64_t tokens,
                           int64_t heads, int64_t dim) {
  Attention r{Matrix(dout.size()), Matrix(size_t(batch * heads * tokens)), Matrix(qkv.size())};
  const auto at = [&](int64_t b, int64_t n, int64_t part, int64_t h, int64_t d) {
    return size_t((((b * tokens + n) * 3 + part) * heads + h) * dim + d);
  };
  const auto out_at = [&](int64_t b, int64_t n, int64_t h, int64_t d) {
    return size_t(((b * tokens + n) * heads + h) * dim + d);
  };
  Matrix p(static_cast<size_t>(tokens));
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t h = 0; h < heads; ++h) {
      for (int64_t i = 0; i < tokens; ++i) {
        double top = -INFINITY, sum = 0, delta = 0;
        for (int64_t j = 0; j < tokens; ++j) {
          double s = 0;
          for (int64_t d = 0; d < dim; ++d) s += qkv[at(b, i, 0, h, d)] * qkv[at(b, j, 1, h, d)];
          p[size_t(j)] = s * scale;
          top = fmax(top, p[size_t(j)]);
        }
        for (double& x : p) sum += x = exp(x - top);
        for (double& x : p) x /= sum;
        r.lse[size_t((b * heads + h) * tokens + i)] = top + log(sum);
        for (int64_t d = 0; d < dim; ++d) {
          double o = 0;
          for (int64_t j = 0; j < tokens; ++j) o += p[size_t(j)] * qkv[at(b, j, 2, h, d)];
          r.out[out_at(b, i, h, d)] = o;
          delta += o * dout[out_at(b, i, h, d)];
        }
        for (int64_t j = 0; j < tokens; ++j) {
          double dp = 0;
          for (int64_t d = 0; d < dim; ++d) dp += dout[out_at(b, i, h, d)] * qkv[at(b, j, 2, h, d)];
          const double ds = p[size_t(j)] * (dp - delta) * scale;
          for (int64_t d = 0; d < dim; ++d) {
            r.dqkv[at(b, i, 0, h, d)] += ds * qkv[at(b, j, 1, h, d)];
            r.dqkv[at(b, j, 1, h, d)] += ds * qkv[at(b, i, 0, h, d)];
            r.dqkv[at(b, j, 2, h, d)] += p[size_t(j)] * dout[out_at(b, i, h, d)];
          }
        }
      }
    }
  }
  return r;
}

}  // namespace reference
