#include "control/store/sqlite.h"

namespace portcullis::store {

Statement::Statement(sqlite3* connection, const char* sql) {
  sqlite3_stmt* handle = nullptr;
  sqlite3_prepare_v3(connection, sql, -1, SQLITE_PREPARE_PERSISTENT, &handle, nullptr);
  handle_.reset(handle);
}

bool Statement::bind(int parameter, std::string_view bytes) {
  // SQLITE_STATIC: the caller keeps the bytes alive.
  return sqlite3_bind_blob64(handle_.get(), parameter, bytes.data(), bytes.size(), nullptr) == SQLITE_OK;
}

void Statement::reset() {
  sqlite3_reset(handle_.get());
  sqlite3_clear_bindings(handle_.get());
}

std::string_view Statement::bytes(int column) const {
  const auto* data = static_cast<const char*>(sqlite3_column_blob(handle_.get(), column));
  return {data, data == nullptr ? 0 : static_cast<size_t>(sqlite3_column_bytes(handle_.get(), column))};
}

Connection::Connection(const std::string& path, const std::string& vfs) {
  sqlite3* handle = nullptr;
  constexpr int flags =
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  result_ = sqlite3_open_v2(path.c_str(), &handle, flags, vfs.empty() ? nullptr : vfs.c_str());
  handle_.reset(handle);
}

}  // namespace portcullis::store
