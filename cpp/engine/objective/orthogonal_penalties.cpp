#include "engine/objective/orthogonal_penalties.h"

namespace rnncore {

template <class T>
void OrthogonalPenalties<T>::add(const RegularizerDescription& description, const Parameter& matrix, Room& room) {
  const int64_t rows = matrix.shape[0], columns = matrix.shape[1];
  Penalty penalty{matrix.trainable, matrix.offset};
  Orthogonality<T>& call = penalty.call;
  call.count = description.columns ? columns : rows;
  call.length = description.columns ? rows : columns;
  call.stride = description.columns ? 1 : columns;
  call.step = description.columns ? columns : 1;
  const double pairs = static_cast<double>(call.count) * static_cast<double>(call.count - 1) / 2;
  call.factor = pairs > 0 ? description.orthogonal / (2 * pairs) : 0;
  penalty.units_offset = room.take(matrix.size * static_cast<int64_t>(sizeof(T)));
  penalty.slopes_offset = room.take(matrix.size * static_cast<int64_t>(sizeof(T)));
  penalty.scales_offset = room.take(call.count * static_cast<int64_t>(sizeof(double)));
  penalty.sums_offset = room.take(call.count * static_cast<int64_t>(sizeof(double)));
  penalties_.push_back(penalty);
}

template <class T>
void OrthogonalPenalties<T>::bind(std::byte* memory, const T* parameters) {
  for (Penalty& penalty : penalties_) {
    penalty.call.w = parameters + penalty.offset;
    penalty.call.units = reinterpret_cast<T*>(memory + penalty.units_offset);
    penalty.call.slopes = reinterpret_cast<T*>(memory + penalty.slopes_offset);
    penalty.call.scales = reinterpret_cast<double*>(memory + penalty.scales_offset);
    penalty.call.sums = reinterpret_cast<double*>(memory + penalty.sums_offset);
  }
}

template <class T>
void OrthogonalPenalties<T>::evaluate(const Team& team) const {
  for (const Penalty& penalty : penalties_) kernels_.orthogonality(penalty.call, team);
}

template <class T>
void OrthogonalPenalties<T>::backward(T* gradients, const Team& team) const {
  for (const Penalty& penalty : penalties_) {
    if (!penalty.trainable) continue;
    team_barrier(team);  // after the penalties before, which share a matrix by other parts
    kernels_.orthogonality_backward(penalty.call, gradients + penalty.offset, team);
  }
}

template <class T>
double OrthogonalPenalties<T>::total() const {
  double total = 0;
  for (const Penalty& penalty : penalties_) {
    double sum = 0;
    for (int64_t i = 0; i < penalty.call.count; ++i) sum += penalty.call.sums[i];
    total += penalty.call.factor * sum;
  }
  return total;
}

template class OrthogonalPenalties<float>;
template class OrthogonalPenalties<double>;

}  // namespace rnncore
