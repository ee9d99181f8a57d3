// Sums over listed neighbours of float32 or float64, as REAL says: y[t] = sum over edges e = (s, t) of weight[e] *
// x[s], with a weight for each of several slices of the channels (heads); and the gradient to the weights, x[s] . y[t].
//
// x [n, channels], weight [edges, heads], senders and targets int32 [edges], y [targets, channels]. An edge with an end
// out of range is padding. Edges are sorted by target at each call, by counting, unless they lie so already: that reads
// them twice, which is little beside the rows of x. The sum at a target is in the order of its edges, whatever the
// threads.

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "threads.h"

namespace {

using real = REAL;
constexpr int kSize = sizeof(real), kLine = 64;
template <int W>
struct Vector {
  typedef real type __attribute__((vector_size(W * sizeof(real))));
};
template <class L>
L load(const real* p) {
  L value;
  std::memcpy(&value, p, sizeof value);
  return value;
}
constexpr int kLanes = 64 / kSize;
constexpr int64_t kAhead = 12;  // edges whose rows are fetched before they are needed

thread_local Scratch<int32_t> start_scratch, order_scratch;

void fetch(const real* row, int64_t channels) {
  for (int64_t c = 0; c < channels; c += kLine / kSize) __builtin_prefetch(row + c);
}

// y[0 .. W * V) = sum over edges of weight * x[sender], in registers.
template <int W, int V>
void sum_block(const real* x, int64_t channels, const real* weight, int64_t heads, const int32_t* senders,
               const int32_t* order, int64_t first, int64_t last, int64_t all, bool leads, real* y) {
  using L = typename Vector<W>::type;
  L acc[V] = {};
  for (int64_t i = first; i < last; ++i) {
    const int64_t e = order ? order[i] : i;
    if (leads && i + kAhead < all) {
      const int64_t next = order ? order[i + kAhead] : i + kAhead;
      fetch(x + static_cast<int64_t>(senders[next]) * channels, channels);
    }
    const real* row = x + static_cast<int64_t>(senders[e]) * channels;
    const real w = weight[e * heads];
    for (int v = 0; v < V; ++v) acc[v] += w * load<L>(row + v * W);
  }
  for (int v = 0; v < V; ++v) std::memcpy(y + v * W, &acc[v], sizeof acc[v]);
}

// All channels of a head, in blocks of at most eight vectors, then narrower ones.
template <class F>
void over_channels(int64_t channels, const F& block) {
  int64_t c = 0;
  for (; channels - c >= 8 * kLanes; c += 8 * kLanes) block.template operator()<kLanes, 8>(c);
  for (; channels - c >= 4 * kLanes; c += 4 * kLanes) block.template operator()<kLanes, 4>(c);
  for (; channels - c >= 2 * kLanes; c += 2 * kLanes) block.template operator()<kLanes, 2>(c);
  for (; channels - c >= kLanes; c += kLanes) block.template operator()<kLanes, 1>(c);
  for (; channels - c >= kLanes / 2; c += kLanes / 2) block.template operator()<kLanes / 2, 1>(c);
  for (; channels - c >= kLanes / 4; c += kLanes / 4) block.template operator()<kLanes / 4, 1>(c);
  for (; c < channels; ++c) block.template operator()<1, 1>(c);
}

using Real = ffi::Buffer<sizeof(real) == 4 ? ffi::F32 : ffi::F64>;
using Result = ffi::ResultBuffer<sizeof(real) == 4 ? ffi::F32 : ffi::F64>;
using Index = ffi::Buffer<ffi::S32>;

ffi::Error neighbour_sum(ffi::ThreadPool pool, Real x, Real weight, Index senders, Index targets, Result y) {
  const int64_t nodes = x.dimensions()[0], channels = x.dimensions()[1], heads = weight.dimensions()[1];
  const int64_t edges = senders.dimensions()[0], size = y->dimensions()[0], wide = channels / heads;
  const int32_t *from = senders.typed_data(), *to = targets.typed_data();
  const auto real_edge = [&](int64_t e) { return from[e] >= 0 && from[e] < nodes && to[e] >= 0 && to[e] < size; };
  int32_t* start = start_scratch.get(size + 1);
  std::memset(start, 0, (size + 1) * sizeof(int32_t));
  bool sorted = true;
  for (int64_t e = 0, before = 0; e < edges; ++e) {
    const bool counts = real_edge(e);
    if (counts) ++start[to[e] + 1];
    sorted &= counts && to[e] >= before;
    before = to[e];
  }
  for (int64_t t = 0; t < size; ++t) start[t + 1] += start[t];
  int32_t* order = nullptr;
  if (!sorted) {
    order = order_scratch.get(edges);
    for (int64_t e = 0; e < edges; ++e)
      if (real_edge(e)) order[start[to[e]]++] = e;
    for (int64_t t = size; t > 0; --t) start[t] = start[t - 1];  // each had moved to the next one's
    start[0] = 0;
  }
  const int64_t all = start[size];
  // Parts of about as many edges and targets, each at least worth handing over.
  const int64_t work = (all + size) * channels;
  const int64_t parts = std::clamp<int64_t>(work / 65536, 1, 16 * pool.num_threads());
  const auto bound = [&](int64_t part) {  // the first target of a part
    if (part == parts) return size;
    int64_t low = 0, high = size;
    while (low < high) {
      const int64_t middle = (low + high) / 2;
      (start[middle] + middle) * parts < (all + size)* part ? low = middle + 1 : high = middle;
    }
    return low;
  };
  const real *rows = x.typed_data(), *weights = weight.typed_data();
  real* out = y->typed_data();
  parallel(pool, parts, [&](int64_t part) {
    for (int64_t t = bound(part), end = bound(part + 1); t < end; ++t)
      for (int64_t h = 0; h < heads; ++h)
        over_channels(wide, [&]<int W, int V>(int64_t c) {
          sum_block<W, V>(rows + h * wide + c, channels, weights + h, heads, from, order, start[t], start[t + 1], all,
                          h + c == 0, out + t * channels + h * wide + c);
        });
  });
  return ffi::Error::Success();
}

ffi::Error neighbour_dot(ffi::ThreadPool pool, Real x, Real y, Index senders, Index targets, Result z) {
  const int64_t nodes = x.dimensions()[0], size = y.dimensions()[0], channels = x.dimensions()[1];
  const int64_t edges = senders.dimensions()[0], heads = z->dimensions()[1], wide = channels / heads;
  const int32_t *from = senders.typed_data(), *to = targets.typed_data();
  const real *left = x.typed_data(), *right = y.typed_data();
  real* out = z->typed_data();
  const int64_t parts = std::clamp<int64_t>(edges * channels / 65536, 1, 16 * pool.num_threads());
  const auto real_edge = [&](int64_t e) { return from[e] >= 0 && from[e] < nodes && to[e] >= 0 && to[e] < size; };
  parallel(pool, parts, [&](int64_t part) {
    for (int64_t e = edges * part / parts; e < edges * (part + 1) / parts; ++e) {
      if (e + kAhead < edges && real_edge(e + kAhead)) {
        fetch(left + from[e + kAhead] * channels, channels);
        fetch(right + to[e + kAhead] * channels, channels);
      }
      if (!real_edge(e)) {
        std::memset(out + e * heads, 0, heads * kSize);
        continue;
      }
      for (int64_t h = 0; h < heads; ++h) {
        const real *a = left + from[e] * channels + h * wide, *b = right + to[e] * channels + h * wide;
        real total = 0;
        over_channels(wide, [&]<int W, int V>(int64_t c) {
          using L = typename Vector<W>::type;
          L sum = {};
          for (int v = 0; v < V; ++v) sum += load<L>(a + c + v * W) * load<L>(b + c + v * W);
          for (int w = 0; w < W; ++w) total += sum[w];
        });
        out[e * heads + h] = total;
      }
    }
  });
  return ffi::Error::Success();
}

}  // namespace

#define HANDLER(name, function)  \
  XLA_FFI_DEFINE_HANDLER_SYMBOL( \
      name, function,            \
      ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<Real>().Arg<Real>().Arg<Index>().Arg<Index>().Ret<Real>())
HANDLER(convzoo_neighbour_sum, neighbour_sum);
HANDLER(convzoo_neighbour_dot, neighbour_dot);
