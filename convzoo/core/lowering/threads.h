// Work shared among XLA's threads, and memory that a thread keeps.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <new>

#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

namespace {  // or the libraries for two dtypes would share what they must not

// Runs item(i) for i < count on XLA's threads and this one. What an item computes does not depend on its thread. A
// worker that starts late finds nothing to do, so nobody waits for one that has not started.
template <class F>
void parallel(ffi::ThreadPool& pool, int64_t count, const F& item) {
  const int64_t threads = std::min<int64_t>(pool.num_threads(), count);
  if (threads <= 1) {
    for (int64_t i = 0; i < count; ++i) item(i);
    return;
  }
  struct State {
    std::atomic<int64_t> next{0}, done{0};
  };
  auto state = std::make_shared<State>();
  auto work = [state, function = &item, count] {
    for (int64_t i; (i = state->next.fetch_add(1)) < count;) {
      (*function)(i);
      if (state->done.fetch_add(1) + 1 == count) state->done.notify_all();
    }
  };
  for (int64_t t = 1; t < threads; ++t) pool.Schedule(decltype(work)(work));
  work();
  for (int spin = 0; spin < 4000 && state->done.load() < count; ++spin) asm volatile("" ::: "memory");
  for (int64_t done; (done = state->done.load()) < count;) state->done.wait(done);
}

// Memory that a thread keeps from call to call.
template <class T>
class Scratch {
 public:
  ~Scratch() { release(); }
  T* get(int64_t wanted) {
    if (wanted > size_) {
      release();
      data_ = static_cast<T*>(::operator new[](wanted * sizeof(T), std::align_val_t(64)));
      size_ = wanted;
    }
    return data_;
  }

 private:
  void release() {
    if (data_) ::operator delete[](data_, std::align_val_t(64));
  }
  T* data_ = nullptr;
  int64_t size_ = 0;
};

}  // namespace
