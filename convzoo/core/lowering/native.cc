// Convolution of channels-last arrays of float32 or float64, as REAL says: y[r] = sum_t x[stride * r + dilation * t -
// before] @ kernel[t].
//
// x [n, d, h, w, c], kernel [kd, kh, kw, c / groups, o], y [n, od, oh, ow, o]; fewer axes are leading ones of size 1.
// Results are added up in registers: some places along w times some vectors of channels (the idea of Georganas et al.
// 2018, arXiv:1808.05567, left to a compiler). To be built with -fno-ivopts, or GCC keeps one pointer for each place.

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <utility>

#include "threads.h"

namespace {

using real = REAL;

#if defined(__AVX512F__)
constexpr int kBytes = 64, kRegisters = 32;
#elif defined(__AVX2__)
constexpr int kBytes = 32, kRegisters = 16;
#elif defined(__ARM_NEON)
constexpr int kBytes = 16, kRegisters = 32;
#else
constexpr int kBytes = 16, kRegisters = 16;
#endif
constexpr int kSize = sizeof(real), kLanes = kBytes / kSize;
constexpr int most_places(int vectors) { return std::min(14, (kRegisters - 4) / vectors); }

constexpr int64_t kMostTaps = 4096;  // as native.py has it

template <int W>
struct Vector {
  typedef real type __attribute__((vector_size(W * sizeof(real))));
};
using Lanes = Vector<kLanes>::type;

thread_local Scratch<real> rows_scratch, packed_scratch, sums_scratch;

// --- geometry --------------------------------------------------------------------------------------------------------

struct Axis {
  int64_t in, out, window, stride, before, dilation;
  // Of a dilated input (a transposed convolution), one phase is computed at a time: the taps tap + k * tap_step of all,
  // to the places place + k * place_step of all.
  int64_t taps = window, tap = 0, tap_step = 1, places = out, place = 0, place_step = 1;
  int64_t span() const { return (window - 1) * dilation + 1; }
  bool inside() const { return before == 0 && (out - 1) * stride + span() <= in; }
  // Phase p of an input dilated by i: the outputs p, p + i, ... and the taps that do not fall between its places.
  Axis phase(int64_t i, int64_t p) const {
    Axis a = *this;
    if (i == 1) return a;
    a.out = p < out ? (out - p + i - 1) / i : 0;
    a.tap_step = i / std::gcd(dilation, i);
    for (a.tap = 0; a.tap < a.tap_step && (p + dilation * a.tap - before) % i; ++a.tap) {
    }
    a.window = a.tap < std::min(a.tap_step, window) ? (window - a.tap + a.tap_step - 1) / a.tap_step : 0;
    a.before = -(p + dilation * a.tap - before) / i;
    a.dilation = dilation * a.tap_step / i;
    a.place = p;
    a.place_step = i;
    return a;
  }
  // The taps [first, last) of output place o that meet the input.
  int64_t first(int64_t o) const {
    const int64_t at = o * stride - before;
    return at >= 0 ? 0 : std::min(window, (-at + dilation - 1) / dilation);
  }
  int64_t last(int64_t o) const {
    const int64_t at = o * stride - before;
    return at >= in ? 0 : std::min(window, (in - 1 - at) / dilation + 1);
  }
  // The output places [from, to) at which tap t meets the input.
  int64_t from(int64_t t) const {
    const int64_t at = t * dilation - before;
    return at >= 0 ? 0 : std::min(out, (-at + stride - 1) / stride);
  }
  int64_t to(int64_t t) const {
    const int64_t at = t * dilation - before;
    return at >= in ? 0 : std::min(out, (in - 1 - at) / stride + 1);
  }
};

struct Shape {
  int64_t batch, channels, outer, groups;
  Axis d, h, w;
  int64_t taps() const { return d.window * h.window * w.window; }
  // Where nothing but the batch and one axis is left, all places are one row.
  void flatten() {
    for (const Axis* a : {&d, &h, &w})
      if (a->taps != 1 || a->window != 1 || a->stride != 1 || a->before != 0 || a->in != a->places) return;
    w.in = w.out = w.places = batch * d.in * h.in * w.in;
    batch = d.in = d.out = d.places = h.in = h.out = h.places = 1;
  }
  Shape phase(const std::array<int64_t, 3>& dilated, int64_t index) const {
    Shape s = *this;
    s.w = w.phase(dilated[2], index % dilated[2]);
    s.h = h.phase(dilated[1], index / dilated[2] % dilated[1]);
    s.d = d.phase(dilated[0], index / dilated[2] / dilated[1]);
    return s;
  }
  // Which row of the kernel, and which place of y, counted without channels.
  int64_t tap(int64_t a, int64_t b, int64_t c) const {
    return ((d.tap + a * d.tap_step) * h.taps + h.tap + b * h.tap_step) * w.taps + w.tap + c * w.tap_step;
  }
  int64_t place(int64_t n, int64_t od, int64_t oh, int64_t ow) const {
    const int64_t row = (n * d.places + d.place + od * d.place_step) * h.places + h.place + oh * h.place_step;
    return row * w.places + w.place + ow * w.place_step;
  }
};

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Byte offset of place p from the registers step * {1, 3, 5, ..., 13} and what addressing multiplies by: 1, 2, 4, 8.
struct Steps {
  int64_t odd[7];
  explicit Steps(int64_t step) {
    for (int i = 0; i < 7; ++i) odd[i] = step * (2 * i + 1);
  }
  template <int P>
  __attribute__((always_inline)) int64_t at() const {
    constexpr int power = P & -P;
    if constexpr (P == 0)
      return 0;
    else
      return odd[P / power / 2] * power;
  }
};

template <int N, class F>
__attribute__((always_inline)) inline void unrolled(const F& f) {
  [&]<int... I>(std::integer_sequence<int, I...>)
      __attribute__((always_inline)) { (f.template operator()<I>(), ...); }(std::make_integer_sequence<int, N>{});
}
#define EACH(I, N) unrolled<N>([&]<int I>() __attribute__((always_inline))

template <class T>
__attribute__((always_inline)) inline T load(const void* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}
template <class T>
__attribute__((always_inline)) inline void store(void* at, const T& value) {
  std::memcpy(at, &value, sizeof value);
}

// The rows of a tile, of which only the first `valid` channels exist.
template <int P, int V>
__attribute__((always_inline)) inline void store_tile(const Lanes (&acc)[P][V], real* y, int64_t y_step,
                                                      int64_t valid) {
  if (valid == V * kLanes) {
    EACH(p, P) {
      EACH(v, V) { store(y + p * y_step + v * kLanes, acc[p][v]); });
    });
  } else {
    EACH(p, P) {
      Lanes out[V];
      EACH(v, V) { out[v] = acc[p][v]; });
      std::memcpy(y + p * y_step, out, valid * kSize);
    });
  }
}

// Calls f<width in lanes, vectors>(first channel) for blocks that cover all channels.
template <class F>
void over_channels(int64_t channels, const F& f) {
  int64_t c = 0;
  for (; c + 4 * kLanes <= channels; c += 4 * kLanes) f.template operator()<kLanes, 4>(c);
  if (c + 2 * kLanes <= channels) {
    f.template operator()<kLanes, 2>(c);
    c += 2 * kLanes;
  }
  if (c + kLanes <= channels) {
    f.template operator()<kLanes, 1>(c);
    c += kLanes;
  }
  if constexpr (kLanes > 8)
    if (c + 8 <= channels) {
      f.template operator()<8, 1>(c);
      c += 8;
    }
  if constexpr (kLanes > 4)
    if (c + 4 <= channels) {
      f.template operator()<4, 1>(c);
      c += 4;
    }
  for (; c < channels; ++c) f.template operator()<1, 1>(c);
}

// --- what follows the sum --------------------------------------------------------------------------------------------

enum Activation : int64_t { kNone, kRelu, kRelu6, kHardSwish, kSilu, kGelu };  // as native.py has them

// 0 below -87, infinite above 88.4; the remainder of the series is below float32's rounding.
template <class T, class I>
__attribute__((always_inline)) inline T exponential(T x) {
  x = x < -87.f ? T{} - 87.f : x > 89.f ? T{} + 89.f : x;
  const T whole = (x * 1.44269504f + 12582912.f) - 12582912.f;  // the nearest integer, by the rounding of a large sum
  const T r = x - whole * 0.693359375f + whole * 2.12194440e-4f;
  const T series =
      1.f + r * (1.f + r * (1.f / 2 + r * (1.f / 6 + r * (1.f / 24 + r * (1.f / 120 + r * (1.f / 720 + r / 5040.f))))));
  const I power = (__builtin_convertvector(whole, I) + 127) << 23;
  return series * load<T>(&power);
}

// erf(z), by a quotient fitted to 2e-8 on [-3.92, 3.92], beyond which it is 1 in float32.
template <class T>
__attribute__((always_inline)) inline T error_function(T z) {
  z = z < -3.92f ? T{} - 3.92f : z > 3.92f ? T{} + 3.92f : z;
  const T t = z * z;
  const T above = 1.128378987312317f +
                  t * (0.19276264309883118f +
                       t * (0.05306031182408333f +
                            t * (0.00386827252805233f + t * (0.00028747902251780033f + t * 2.034755880231387e-06f))));
  const T below =
      1.f + t * (0.5041630864143372f +
                 t * (0.11508405208587646f +
                      t * (0.015172184444963932f + t * (0.0011881034588441253f + t * 3.807084067375399e-05f))));
  return z * above / below;
}

template <int A, int W>
__attribute__((always_inline)) inline typename Vector<W>::type activate(typename Vector<W>::type v) {
  using T = typename Vector<W>::type;
  if constexpr (A == kRelu) return v < 0 ? T{} : v;
  if constexpr (A == kRelu6) return v < 0 ? T{} : v > 6 ? T{} + 6 : v;
  if constexpr (A == kHardSwish) return v * activate<kRelu6, W>(v + 3) / 6;
  if constexpr (sizeof(real) == 4 && A == kSilu) {
    typedef int32_t Integers __attribute__((vector_size(W * sizeof(int32_t))));
    return v / (1 + exponential<T, Integers>(-v));
  }
  if constexpr (sizeof(real) == 4 && A == kGelu) return v * (0.5f + 0.5f * error_function(v * 0.70710678f));
  return v;
}

// y = activation(y * scale + bias + residual), as a tile leaves the registers, while it lies in the cache.
struct Finish {
  const real *scale = nullptr, *bias = nullptr, *residual = nullptr;  // [out], [out], as y; or none
  int64_t activation = kNone;
  bool any() const { return scale || bias || residual || activation != kNone; }

  // Of `places` rows of y, `step` apart, from `offset` on: the channels [channel, channel + valid).
  void run(real* y, int64_t offset, int64_t places, int64_t step, int64_t channel, int64_t valid) const {
    switch (activation) {
      case kRelu:
        return over<kRelu>(y, offset, places, step, channel, valid);
      case kRelu6:
        return over<kRelu6>(y, offset, places, step, channel, valid);
      case kHardSwish:
        return over<kHardSwish>(y, offset, places, step, channel, valid);
      case kSilu:
        return over<kSilu>(y, offset, places, step, channel, valid);
      case kGelu:
        return over<kGelu>(y, offset, places, step, channel, valid);
      default:
        return over<kNone>(y, offset, places, step, channel, valid);
    }
  }

 private:
  template <int A>
  void over(real* y, int64_t offset, int64_t places, int64_t step, int64_t channel, int64_t valid) const {
    over_channels(valid, [&]<int W, int V>(int64_t c) {
      using T = typename Vector<W>::type;
      T factor[V], shift[V];
      EACH(v, V) {
        factor[v] = scale ? load<T>(scale + channel + c + v * W) : T{} + 1;
        shift[v] = bias ? load<T>(bias + channel + c + v * W) : T{};
      });
      for (int64_t p = 0; p < places; ++p) {
        const int64_t at = offset + p * step + c;
        EACH(v, V) {
          T value = load<T>(y + at + v * W) * factor[v] + shift[v];
          if (residual) value += load<T>(residual + at + v * W);
          store(y + at + v * W, activate<A, W>(value));
        });
      }
    });
  }
};

// --- all channels of a group at once ---------------------------------------------------------------------------------

// sums[p][v] = sum over runs and their elements i of x[runs + p * step + i] * kernel[v * block + i].
template <int P, int V>
void product_tile(const real* x, int64_t step, const int64_t* runs, int64_t count, int64_t length, const real* kernel,
                  int64_t block, int64_t ahead, real* y, int64_t y_step, int64_t valid) {
  Lanes acc[P][V];
  EACH(p, P) {
    EACH(v, V) { acc[p][v] = Lanes{}; });
  });
  const Steps steps(step * kSize);
  const char* k = reinterpret_cast<const char*>(kernel);
  const int64_t b1 = block * kSize, b3 = b1 * 3;
  for (int64_t r = 0; r < count; ++r) {
    const char* at = reinterpret_cast<const char*>(x + runs[r]);
    for (const char* end = at + length * kSize; at != end; at += kSize, k += kLanes * kSize) {
      __builtin_prefetch(k + ahead);
      Lanes row[V];
      EACH(v, V) { row[v] = load<Lanes>(k + (v == 0 ? 0 : v == 1 ? b1 : v == 2 ? b1 * 2 : b3)); });
      EACH(p, P) {
        const real value = load<real>(at + steps.at<p>());
        EACH(v, V) { acc[p][v] += value * row[v]; });
      });
    }
  }
  store_tile<P, V>(acc, y, y_step, valid);
}

using ProductTile = void (*)(const real*, int64_t, const int64_t*, int64_t, int64_t, const real*, int64_t, int64_t,
                             real*, int64_t, int64_t);
template <int V, int... P>
constexpr auto product_row(std::integer_sequence<int, P...>) {
  return std::array<ProductTile, sizeof...(P)>{product_tile<P + 1, V>...};
}
template <int V>
constexpr auto product_tiles = product_row<V>(std::make_integer_sequence<int, most_places(V)>{});

void run_products(int vectors, int64_t places, const real* x, int64_t step, const int64_t* runs, int64_t count,
                  int64_t length, const real* kernel, int64_t block, real* y, int64_t offset, int64_t y_step,
                  int64_t channel, int64_t valid, bool fetch, const Finish& finish) {
  auto& tiles1 = product_tiles<1>;
  auto& tiles2 = product_tiles<2>;
  auto& tiles4 = product_tiles<4>;
  const int64_t most = most_places(vectors), turns = ceil_div(places, most);
  for (int64_t turn = 0, p = 0; turn < turns; ++turn) {
    const int64_t wide = ceil_div(places - p, turns - turn);
    const ProductTile tile = vectors == 4 ? tiles4[wide - 1] : vectors == 2 ? tiles2[wide - 1] : tiles1[wide - 1];
    const int64_t at = offset + p * y_step;
    for (int64_t i = 0; i < wide; ++i)  // the lines that the tile will store come while it is computed
      for (int64_t c = 0; c < valid; c += 64 / kSize) __builtin_prefetch(y + at + i * y_step + c, 1);
    // One line for each row of the kernel: of the next places, as many as there are, or of the kernel itself.
    const int64_t ahead =
        fetch ? reinterpret_cast<const char*>(x + (p + wide) * step) - reinterpret_cast<const char*>(kernel) : 512;
    tile(x + p * step, step, runs, count, length, kernel, block, ahead, y + at, y_step, valid);
    if (finish.any()) finish.run(y, at, wide, y_step, channel, valid);
    p += wide;
  }
}

void product_conv(ffi::ThreadPool& pool, const real* x, const real* kernel, real* y, Shape s, const Finish& finish) {
  s.flatten();
  const int64_t inner = s.channels / s.groups, outer = s.outer / s.groups, depth = s.taps() * inner;
  const int64_t blocks = ceil_div(outer, kLanes), block = depth * kLanes;
  real* packed = packed_scratch.get(s.groups * blocks * block);
  parallel(pool, s.groups * blocks, [&](int64_t i) {
    const int64_t first = i % blocks * kLanes, valid = std::min<int64_t>(kLanes, outer - first);
    real* to = packed + i * block;
    for (int64_t a = 0; a < s.d.window; ++a)
      for (int64_t b = 0; b < s.h.window; ++b)
        for (int64_t c = 0; c < s.w.window; ++c) {
          const real* from = kernel + s.tap(a, b, c) * inner * s.outer + i / blocks * outer + first;
          for (int64_t r = 0; r < inner; ++r, from += s.outer, to += kLanes) {
            if (valid == kLanes) {
              store(to, load<Lanes>(from));
            } else {
              for (int64_t l = 0; l < kLanes; ++l) to[l] = l < valid ? from[l] : 0;
            }
          }
        }
  });

  // Places of an item: enough to make use of each kernel row many times, few enough that their inputs stay in the
  // cache.
  const int64_t budget = 65536, most = most_places(2);
  int64_t columns = s.w.out, rows = 1;
  const int64_t wanted = std::clamp<int64_t>(
      budget / std::max<int64_t>(1, s.channels * s.w.stride * s.h.stride * s.d.stride), 2 * most, 16 * most);
  if (columns > wanted)
    columns = wanted / most * most;
  else
    rows = std::min(s.h.out, std::max<int64_t>(1, wanted / columns));
  // Places that lie a multiple of a page apart share eight lines of the first cache: more are copied farther apart.
  const bool clash = s.w.stride * s.channels * kSize % 4096 == 0 && columns > 8 && blocks > 2;
  const int64_t pixel = s.channels + (clash ? kLanes : 0);
  const bool direct = !clash && s.d.inside() && s.h.inside() && s.w.inside();
  const bool merged = s.w.dilation == 1 && s.groups == 1 && !(clash && s.w.window > 1);
  const int64_t across = ceil_div(s.w.out, columns), down = ceil_div(s.h.out, rows);
  const int64_t tiles = s.batch * s.d.out * down * across;
  // Four vectors where few places lie in a row.
  const int vectors = blocks == 1 ? 1 : blocks >= 4 && columns <= most_places(4) ? 4 : 2;
  const int64_t threads = pool.num_threads(), sets = ceil_div(blocks, vectors);
  const int64_t parts = std::clamp<int64_t>(ceil_div(4 * threads, tiles), 1, sets);

  parallel(pool, tiles * parts, [&](int64_t i) {
    const int64_t part = i % parts;
    i /= parts;
    const int64_t c0 = i % across * columns;
    i /= across;
    const int64_t r0 = i % down * rows;
    i /= down;
    const int64_t od = i % s.d.out, n = i / s.d.out;
    const int64_t c1 = std::min(c0 + columns, s.w.out), r1 = std::min(r0 + rows, s.h.out);
    const real* source;
    int64_t row_step, plane_step;
    if (direct) {
      row_step = s.w.in * s.channels;
      plane_step = s.h.in * row_step;
      source =
          x + ((n * s.d.in + od * s.d.stride) * s.h.in + r0 * s.h.stride) * row_step + c0 * s.w.stride * s.channels;
    } else {
      const int64_t wide = (c1 - c0 - 1) * s.w.stride + s.w.span(), high = (r1 - r0 - 1) * s.h.stride + s.h.span();
      row_step = wide * pixel;
      plane_step = high * row_step;
      real* to = rows_scratch.get(s.d.span() * plane_step);
      source = to;
      const int64_t left = c0 * s.w.stride - s.w.before;
      const int64_t begin = std::clamp<int64_t>(-left, 0, wide), end = std::clamp<int64_t>(s.w.in - left, begin, wide);
      for (int64_t a = 0; a < s.d.span(); ++a)
        for (int64_t b = 0; b < high; ++b, to += row_step) {
          const int64_t z = od * s.d.stride - s.d.before + a, v = r0 * s.h.stride - s.h.before + b;
          if (z < 0 || z >= s.d.in || v < 0 || v >= s.h.in) {
            std::memset(to, 0, row_step * kSize);
            continue;
          }
          const real* from = x + (((n * s.d.in + z) * s.h.in + v) * s.w.in + left) * s.channels;
          std::memset(to, 0, begin * pixel * kSize);
          if (!clash) std::memcpy(to + begin * pixel, from + begin * pixel, (end - begin) * pixel * kSize);
          for (int64_t w = begin; clash && w < end; ++w)
            std::memcpy(to + w * pixel, from + w * s.channels, s.channels * kSize);
          std::memset(to + end * pixel, 0, (wide - end) * pixel * kSize);
        }
    }
    int64_t count = 0, runs[kMostTaps];
    for (int64_t a = 0; a < s.d.window; ++a)
      for (int64_t b = 0; b < s.h.window; ++b) {
        const int64_t at = a * s.d.dilation * plane_step + b * s.h.dilation * row_step;
        if (merged) {
          runs[count++] = at;
          continue;
        }
        for (int64_t c = 0; c < s.w.window; ++c) runs[count++] = at + c * s.w.dilation * pixel;
      }
    const int64_t length = merged ? s.w.window * inner : inner;
    for (int64_t g = 0; g < s.groups; ++g)
      for (int64_t set = sets * part / parts; set < sets * (part + 1) / parts; ++set) {
        const int64_t first = set * vectors;
        int64_t have = std::min<int64_t>(vectors, blocks - first);
        for (int64_t done = 0; done < have;) {
          const int now = have - done >= 4 ? 4 : have - done >= 2 ? 2 : 1;
          const int64_t b = first + done;
          const int64_t valid = std::min<int64_t>(now * kLanes, outer - b * kLanes);
          for (int64_t row = r0; row < r1; ++row)
            run_products(now, c1 - c0, source + (row - r0) * s.h.stride * row_step + g * inner, s.w.stride * pixel,
                         runs, count, length, packed + (g * blocks + b) * block, block, y,
                         s.place(n, od, row, c0) * s.outer + g * outer + b * kLanes, s.w.place_step * s.outer,
                         g * outer + b * kLanes, valid, direct && s.taps() == 1 && b == 0, finish);
          done += now;
        }
      }
  });
}

// --- one channel a group ---------------------------------------------------------------------------------------------

template <int W, int P, int V>
void channel_tile(const real* x, int64_t step, int64_t row_step, int64_t tap_step, int64_t rows, int64_t taps,
                  const real* kernel, int64_t k_row, int64_t k_step, real* y, int64_t y_step, bool first) {
  using T = typename Vector<W>::type;
  T acc[P][V];
  EACH(p, P) {
    EACH(v, V) { acc[p][v] = first ? T{} : load<T>(y + p * y_step + v * W); });
  });
  const Steps steps(step * kSize);
  for (int64_t r = 0; r < rows; ++r) {
    const char* at = reinterpret_cast<const char*>(x + r * row_step);
    const real* k = kernel + r * k_row;
    for (int64_t t = 0; t < taps; ++t, at += tap_step * kSize, k += k_step) {
      EACH(v, V) {
        const T value = load<T>(k + v * W);
        EACH(p, P) { acc[p][v] += load<T>(at + steps.at<p>() + v * W * kSize) * value; });
      });
    }
  }
  EACH(p, P) {
    EACH(v, V) { store(y + p * y_step + v * W, acc[p][v]); });
  });
}

using ChannelTile = void (*)(const real*, int64_t, int64_t, int64_t, int64_t, int64_t, const real*, int64_t, int64_t,
                             real*, int64_t, bool);
template <int W, int V>
constexpr int channel_places = V == 1 ? 8 : std::min(8, most_places(V));
template <int W, int V, int... P>
constexpr auto channel_row(std::integer_sequence<int, P...>) {
  return std::array<ChannelTile, sizeof...(P)>{channel_tile<W, P + 1, V>...};
}

template <int W, int V>
struct ChannelBlock {
  static constexpr auto tiles = channel_row<W, V>(std::make_integer_sequence<int, channel_places<W, V>>{});
  static constexpr int64_t width = W * V;
  static void run(const Shape& s, const real* x, const real* kernel, real* y, int64_t n, int64_t od, int64_t r0,
                  int64_t r1, int64_t c, const Finish& finish) {
    const int64_t pixel = s.channels, row = s.w.in * pixel, left = s.w.from(0),
                  right = std::max(left, s.w.to(s.w.window - 1));
    for (int64_t oh = r0; oh < r1; ++oh) {
      real* out = y + s.place(n, od, oh, 0) * pixel + c;
      const int64_t out_step = s.w.place_step * pixel;
      const int64_t h0 = s.h.first(oh), h1 = s.h.last(oh), a0 = s.d.first(od), a1 = s.d.last(od);
      for (int64_t w = 0; w < s.w.out; ++w)  // places that perhaps no tap reaches
        if (a1 <= a0 || h1 <= h0 || w < left || w >= right) std::memset(out + w * out_step, 0, width * kSize);
      for (int64_t a = a0; a < a1; ++a) {
        const int64_t z = od * s.d.stride - s.d.before + a * s.d.dilation,
                      v = oh * s.h.stride - s.h.before + h0 * s.h.dilation;
        const real* in = x + ((n * s.d.in + z) * s.h.in + v) * row + c;
        const real* k = kernel + s.tap(a, h0, 0) * pixel + c;
        auto at = [&](int64_t w, int64_t places, int64_t t0, int64_t t1) {
          if (t1 <= t0 || h1 <= h0) return;
          const int64_t u = w * s.w.stride - s.w.before + t0 * s.w.dilation;
          tiles[places - 1](in + u * pixel, s.w.stride * pixel, s.h.dilation * row, s.w.dilation * pixel, h1 - h0,
                            t1 - t0, k + t0 * s.w.tap_step * pixel, s.h.tap_step * s.w.taps * pixel,
                            s.w.tap_step * pixel, out + w * out_step, out_step, a == a0);
        };
        int64_t w = 0;
        for (; w < std::min(left, s.w.out); ++w) at(w, 1, s.w.first(w), s.w.last(w));
        const int64_t inner = std::max<int64_t>(0, right - w),
                      turns = ceil_div(inner, static_cast<int64_t>(tiles.size()));
        for (int64_t turn = 0, end = w + inner; turn < turns; ++turn) {
          const int64_t places = ceil_div(end - w, turns - turn);
          at(w, places, 0, s.w.window);
          w += places;
        }
        for (; w < s.w.out; ++w) at(w, 1, s.w.first(w), s.w.last(w));
      }
      if (finish.any()) finish.run(y, out - y, s.w.out, out_step, c, width);
    }
  }
};

void channel_conv(ffi::ThreadPool& pool, const real* x, const real* kernel, real* y, Shape s, const Finish& finish) {
  const int64_t rows = std::clamp<int64_t>(65536 / std::max<int64_t>(1, s.w.in * s.channels * s.h.stride), 1, s.h.out);
  const int64_t down = ceil_div(s.h.out, rows);
  parallel(pool, s.batch * s.d.out * down, [&](int64_t i) {
    const int64_t r0 = i % down * rows, od = i / down % s.d.out, n = i / down / s.d.out;
    over_channels(s.channels, [&]<int W, int V>(int64_t c) {
      ChannelBlock<W, V>::run(s, x, kernel, y, n, od, r0, std::min(r0 + rows, s.h.out), c, finish);
    });
  });
}

// --- the gradient to the kernel --------------------------------------------------------------------------------------

// z[p][v] += sum over rows and places of x[place * step + p] * y[place * y_step + v].
template <int P, int V>
void outer_tile(const real* x, int64_t step, int64_t row_step, const real* y, int64_t y_step, int64_t y_row,
                int64_t rows, int64_t places, int64_t x_ahead, int64_t y_ahead, real* z, int64_t z_step,
                int64_t valid) {
  Lanes acc[P][V];
  if (valid == V * kLanes) {
    EACH(p, P) {
      EACH(v, V) { acc[p][v] = load<Lanes>(z + p * z_step + v * kLanes); });
    });
  } else {
    EACH(p, P) {
      Lanes in[V] = {};
      std::memcpy(in, z + p * z_step, valid * kSize);
      EACH(v, V) { acc[p][v] = in[v]; });
    });
  }
  for (int64_t r = 0; r < rows; ++r) {
    const real *at = x + r * row_step, *yt = y + r * y_row;
    for (int64_t i = 0; i < places; ++i, at += step, yt += y_step) {
      __builtin_prefetch(at + x_ahead);
      __builtin_prefetch(yt + y_ahead);
      if constexpr (V == 2) __builtin_prefetch(yt + y_ahead + kLanes);
      Lanes row[V];
      EACH(v, V) { row[v] = load<Lanes>(yt + v * kLanes); });
      EACH(p, P) {
        const real value = at[p];
        EACH(v, V) { acc[p][v] += value * row[v]; });
      });
    }
  }
  store_tile<P, V>(acc, z, z_step, valid);
}
using OuterTile = void (*)(const real*, int64_t, int64_t, const real*, int64_t, int64_t, int64_t, int64_t, int64_t,
                           int64_t, real*, int64_t, int64_t);
template <int V, int... P>
constexpr auto outer_row(std::integer_sequence<int, P...>) {
  return std::array<OuterTile, sizeof...(P)>{outer_tile<P + 1, V>...};
}
template <int V>
constexpr auto outer_tiles = outer_row<V>(std::make_integer_sequence<int, most_places(V)>{});

void product_kernel_grad(ffi::ThreadPool& pool, const real* x, const real* y, real* z, Shape s) {
  s.flatten();
  const int64_t inner = s.channels / s.groups, outer = s.outer / s.groups, taps = s.taps();
  const int64_t most = most_places(2), turns = ceil_div(inner, most), units = s.groups * taps * turns;
  const int64_t tail = outer % (2 * kLanes), full = outer - tail, tail_wide = ceil_div(tail, kLanes) * kLanes;
  // Places of a tile: their inputs and cotangents stay in the second cache while all taps and channels use them.
  const int64_t wanted = std::clamp<int64_t>(98304 / (s.channels * s.w.stride * s.h.stride + s.outer), 32, 2048);
  const int64_t columns = std::min(s.w.out, wanted), rows = std::clamp<int64_t>(wanted / columns, 1, s.h.out);
  const int64_t parts = std::min<int64_t>(units, 2 * pool.num_threads());
  // How far the next tile lies: its inputs and cotangents come while this one is computed.
  const int64_t x_next =
      columns < s.w.out ? columns * s.w.stride * s.channels : rows * s.h.stride * s.w.in * s.channels;
  const int64_t y_next = (columns < s.w.out ? columns : rows * s.w.out) * s.outer;
  parallel(pool, parts, [&](int64_t part) {
    const int64_t u0 = units * part / parts, u1 = units * (part + 1) / parts;
    const auto place = [&](int64_t u, int64_t& g, int64_t& t, int64_t& c, int64_t& size) {
      // Units of a tap lie together, its channels in equal blocks.
      g = u / (taps * turns);
      t = u / turns % taps;
      const int64_t turn = u % turns;
      c = inner * turn / turns;
      size = inner * (turn + 1) / turns - c;
    };
    for (int64_t u = u0; u < u1; ++u) {
      int64_t g, t, c, size;
      place(u, g, t, c, size);
      for (int64_t p = 0; p < size; ++p) std::memset(z + (t * inner + c + p) * s.outer + g * outer, 0, outer * kSize);
    }
    real* ends = tail ? sums_scratch.get(s.groups * rows * columns * tail_wide) : nullptr;
    for (int64_t n = 0; n < s.batch; ++n)
      for (int64_t od = 0; od < s.d.out; ++od)
        for (int64_t r0 = 0; r0 < s.h.out; r0 += rows)
          for (int64_t c0 = 0; c0 < s.w.out; c0 += columns) {
            const int64_t r1 = std::min(r0 + rows, s.h.out), c1 = std::min(c0 + columns, s.w.out);
            const real* yt = y + ((n * s.d.out + od) * s.h.out * s.w.out) * s.outer;
            if (tail)  // a vector that reaches beyond its group would read beyond the array
              for (int64_t g = 0; g < s.groups; ++g)
                for (int64_t r = r0; r < r1; ++r)
                  for (int64_t w = c0; w < c1; ++w)
                    std::memcpy(ends + ((g * rows + r - r0) * columns + w - c0) * tail_wide,
                                yt + (r * s.w.out + w) * s.outer + g * outer + full, tail * kSize);
            for (int64_t u = u0; u < u1; ++u) {
              int64_t g, t, c, size;
              place(u, g, t, c, size);
              const int64_t kw = t % s.w.window, kh = t / s.w.window % s.h.window, kd = t / s.w.window / s.h.window;
              if (od < s.d.from(kd) || od >= s.d.to(kd)) continue;
              const int64_t ra = std::max(r0, s.h.from(kh)), rb = std::min(r1, s.h.to(kh));
              const int64_t ca = std::max(c0, s.w.from(kw)), cb = std::min(c1, s.w.to(kw));
              if (ra >= rb || ca >= cb) continue;
              const int64_t row = s.w.in * s.channels;
              const real* xt = x +
                               ((n * s.d.in + od * s.d.stride - s.d.before + kd * s.d.dilation) * s.h.in +
                                ra * s.h.stride - s.h.before + kh * s.h.dilation) *
                                   row +
                               (ca * s.w.stride - s.w.before + kw * s.w.dilation) * s.channels + g * inner + c;
              real* zt = z + (t * inner + c) * s.outer + g * outer;
              for (int64_t o = 0; o < full; o += 2 * kLanes)
                outer_tiles<2>[size - 1](xt, s.w.stride* s.channels, s.h.stride* row,
                                         yt + (ra* s.w.out + ca)* s.outer + g* outer + o, s.outer, s.w.out* s.outer,
                                         rb - ra, cb - ca, o == 0 && u - u0 < turns ? x_next : 0, u == u0 ? y_next : 0,
                                         zt + o, s.outer, 2 * kLanes);
              if (tail)
                (tail > kLanes ? outer_tiles<2>[size - 1] : outer_tiles<1>[size - 1])(
                    xt, s.w.stride * s.channels, s.h.stride * row,
                    ends + ((g * rows + ra - r0) * columns + ca - c0) * tail_wide, tail_wide, columns * tail_wide,
                    rb - ra, cb - ca, 0, 0, zt + full, s.outer, tail);
            }
          }
  });
}

// z[t][v] += sum over places of x[place * step + t * tap_step + v] * y[place * y_step + v].
template <int W, int T, int V>
void tap_tile(const real* x, int64_t step, int64_t tap_step, const real* y, int64_t y_step, int64_t places, real* z) {
  using L = typename Vector<W>::type;
  L acc[T][V];
  EACH(t, T) {
    EACH(v, V) { acc[t][v] = load<L>(z + (t * V + v) * W); });
  });
  const Steps steps(tap_step * kSize);
  const char* at = reinterpret_cast<const char*>(x);
  for (int64_t i = 0; i < places; ++i, at += step * kSize, y += y_step) {
    EACH(v, V) {
      const L value = load<L>(y + v * W);
      EACH(t, T) { acc[t][v] += load<L>(at + steps.at<t>() + v * W * kSize) * value; });
    });
  }
  EACH(t, T) {
    EACH(v, V) { store(z + (t * V + v) * W, acc[t][v]); });
  });
}
using TapTile = void (*)(const real*, int64_t, int64_t, const real*, int64_t, int64_t, real*);
template <int W, int V, int... T>
constexpr auto tap_row(std::integer_sequence<int, T...>) {
  return std::array<TapTile, sizeof...(T)>{tap_tile<W, T + 1, V>...};
}
template <int W, int V>
struct TapBlock {
  static constexpr auto tiles = tap_row<W, V>(std::make_integer_sequence<int, std::min(7, most_places(4))>{});
};

void channel_kernel_grad(ffi::ThreadPool& pool, const real* x, const real* y, real* z, Shape s) {
  const int64_t taps = s.taps(), strip = 4 * kLanes, strips = ceil_div(s.channels, strip);
  const int64_t parts = std::min<int64_t>(s.batch, 8);  // whatever the threads are, so that sums round alike
  real* sums = packed_scratch.get(parts * taps * s.channels);
  const int64_t wide = (s.w.out - 1) * s.w.stride + s.w.span(),
                rows = std::clamp<int64_t>(32768 / (wide * strip * s.h.stride), 1, s.h.out);
  parallel(pool, strips * parts, [&](int64_t i) {
    const int64_t first = i % strips * strip, part = i / strips, width = std::min(strip, s.channels - first);
    // A strip of channels of some rows, padded: every place then meets every tap.
    const int64_t high = (rows - 1) * s.h.stride + s.h.span(), row = wide * width;
    real* block = rows_scratch.get(high * row);
    real* own = sums_scratch.get(taps * width);
    std::memset(own, 0, taps * width * kSize);
    for (int64_t n = s.batch * part / parts; n < s.batch * (part + 1) / parts; ++n)
      for (int64_t od = 0; od < s.d.out; ++od)
        for (int64_t a = s.d.first(od); a < s.d.last(od); ++a)
          for (int64_t r0 = 0; r0 < s.h.out; r0 += rows) {
            const int64_t r1 = std::min(r0 + rows, s.h.out), used = (r1 - r0 - 1) * s.h.stride + s.h.span();
            const int64_t plane = n * s.d.in + od * s.d.stride - s.d.before + a * s.d.dilation;
            for (int64_t b = 0; b < used; ++b) {
              const int64_t v = r0 * s.h.stride - s.h.before + b;
              real* to = block + b * row;
              if (v < 0 || v >= s.h.in) {
                std::memset(to, 0, row * kSize);
                continue;
              }
              const real* from = x + (plane * s.h.in + v) * s.w.in * s.channels + first;
              for (int64_t w = 0; w < wide; ++w) {
                const int64_t u = w - s.w.before;
                if (u < 0 || u >= s.w.in)
                  std::memset(to + w * width, 0, width * kSize);
                else
                  std::memcpy(to + w * width, from + u * s.channels, width * kSize);
              }
            }
            over_channels(width, [&]<int W, int V>(int64_t c) {
              constexpr auto& tiles = TapBlock<W, V>::tiles;
              for (int64_t kh = 0; kh < s.h.window; ++kh)
                for (int64_t k0 = 0; k0 < s.w.window;) {
                  const int64_t left = s.w.window - k0,
                                count = ceil_div(left, ceil_div(left, static_cast<int64_t>(tiles.size())));
                  real* total = own + ((a * s.h.window + kh) * s.w.window + k0) * width + c * count;
                  // Sums of these taps lie together while they are added to: see the copy below.
                  for (int64_t r = r0; r < r1; ++r)
                    tiles[count - 1](
                        block + ((r - r0) * s.h.stride + kh * s.h.dilation) * row + k0 * s.w.dilation * width + c,
                        s.w.stride * width, s.w.dilation * width,
                        y + (((n * s.d.out + od) * s.h.out + r) * s.w.out) * s.channels + first + c, s.channels,
                        s.w.out, total);
                  k0 += count;
                }
            });
          }
    over_channels(width, [&]<int W, int V>(int64_t c) {
      const int64_t most = TapBlock<W, V>::tiles.size();
      for (int64_t q = 0; q < s.d.window * s.h.window; ++q)
        for (int64_t k0 = 0; k0 < s.w.window;) {
          const int64_t left = s.w.window - k0, count = ceil_div(left, ceil_div(left, most));
          for (int64_t t = 0; t < count; ++t)
            std::memcpy(sums + (part * taps + q * s.w.window + k0 + t) * s.channels + first + c,
                        own + (q * s.w.window + k0) * width + c * count + t * W * V, W * V * kSize);
          k0 += count;
        }
    });
  });
  for (int64_t i = 0; i < taps * s.channels; ++i) {
    real total = 0;
    for (int64_t part = 0; part < parts; ++part) total += sums[part * taps * s.channels + i];
    z[i] = total;
  }
}

// --- what XLA calls --------------------------------------------------------------------------------------------------

// geometry: batch, in, out channels, groups; in, out, window, stride, before, dilation of each of three axes; and by
// what the input of each is dilated.
Shape shape_of(ffi::Span<const int64_t> g) {
  auto axis = [&](int i) { return Axis{g[i], g[i + 1], g[i + 2], g[i + 3], g[i + 4], g[i + 5]}; };
  return {g[0], g[1], g[2], g[3], axis(4), axis(10), axis(16)};
}

using Input = ffi::Buffer<sizeof(real) == 4 ? ffi::F32 : ffi::F64>;
using Output = ffi::ResultBuffer<sizeof(real) == 4 ? ffi::F32 : ffi::F64>;

// finish: whether there is a scale, a bias, a residual, which follow in this order; and the activation.
ffi::Error conv(ffi::ThreadPool pool, Input x, Input kernel, ffi::RemainingArgs more, ffi::Span<const int64_t> geometry,
                ffi::Span<const int64_t> finish, Output y) {
  const Shape s = shape_of(geometry);
  Finish then{.activation = finish[3]};
  const real** const operands[] = {&then.scale, &then.bias, &then.residual};
  for (size_t i = 0, given = 0; i < 3; ++i) {
    if (!finish[i]) continue;
    auto operand = more.get<Input>(given++);
    if (operand.has_error()) return operand.error();
    *operands[i] = operand->typed_data();
  }
  const bool single = s.groups == s.channels && s.outer == s.channels && s.groups > 1;
  const int64_t i = geometry[22], j = geometry[23], k = geometry[24];
  const std::array<int64_t, 3> dilated{i, j, k};
  for (int64_t phase = 0; phase < i * j * k; ++phase)
    if (s.phase(dilated, phase).taps() == 0) {  // outputs that no tap reaches
      std::memset(y->typed_data(), 0, y->size_bytes());
      break;
    }
  for (int64_t phase = 0; phase < i * j * k; ++phase) {
    const Shape part = s.phase(dilated, phase);
    if (part.taps() * part.d.out * part.h.out * part.w.out > 0)
      (single ? channel_conv : product_conv)(pool, x.typed_data(), kernel.typed_data(), y->typed_data(), part, then);
  }
  return ffi::Error::Success();
}

ffi::Error kernel_grad(ffi::ThreadPool pool, Input x, Input y, ffi::Span<const int64_t> geometry, Output z) {
  const Shape s = shape_of(geometry);
  const bool single = s.groups == s.channels && s.outer == s.channels && s.groups > 1;
  (single ? channel_kernel_grad : product_kernel_grad)(pool, x.typed_data(), y.typed_data(), z->typed_data(), s);
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(convzoo_conv, conv,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Input>()
                                  .Arg<Input>()
                                  .RemainingArgs()
                                  .Attr<ffi::Span<const int64_t>>("geometry")
                                  .Attr<ffi::Span<const int64_t>>("finish")
                                  .Ret<Input>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(convzoo_kernel_grad, kernel_grad,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Input>()
                                  .Arg<Input>()
                                  .Attr<ffi::Span<const int64_t>>("geometry")
                                  .Ret<Input>());
