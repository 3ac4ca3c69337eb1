// Members of enumerations by the names in a table that is in their order.
#pragma once

#include <iterator>
#include <optional>
#include <string_view>

#include "core/recurrent/sequence.h"

namespace rnncore {

inline std::string_view name_of(const char* name) { return name; }
inline std::string_view name_of(const CellFacts& cell) { return cell.name; }

template <class Member, class Table>
std::optional<Member> find_member(const Table& table, std::string_view name) {
  for (size_t i = 0; i < std::size(table); ++i)
    if (name == name_of(table[i])) return static_cast<Member>(i);
  return std::nullopt;
}

inline std::optional<Cell> find_cell(std::string_view name) { return find_member<Cell>(kCells, name); }

}  // namespace rnncore
