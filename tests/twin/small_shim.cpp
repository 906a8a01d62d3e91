// SmallVector of the twin behind a C interface: two of them, and a script of what happens to them.
#include "twin/small.h"

using Vector = twin::SmallVector<int, 4>;

// Operations: 0 first.push_back(value), 1 first.pop_back(), 2 first.clear(), 3 second = first, 4 second = move(first),
// 5 first = copy of second, 6 first = moved copy of second, 7 last of first = value.
extern "C" int play(const int* operations, const int* values, int count, int* out) {
  Vector first, second;
  for (int i = 0; i < count; ++i) {
    switch (operations[i]) {
      case 0: first.push_back(values[i]); break;
      case 1: first.pop_back(); break;
      case 2: first.clear(); break;
      case 3: second = first; break;
      case 4: second = std::move(first); break;
      case 5: first = Vector(second); break;
      case 6: {
        Vector copy(second);
        first = Vector(std::move(copy));
        break;
      }
      default: first.back() = values[i];
    }
  }
  int* end = out;
  for (const int v : first) *end++ = v;
  for (size_t i = 0; i < second.size(); ++i) *end++ = second[i];
  return int(first.size());
}
