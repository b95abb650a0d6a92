// What is wrong with PEM text that a file holds; empty if nothing is. Nothing is asked of time: a gateway
// with an expired certificate still has packets to forward.
#pragma once

#include <string>

namespace portcullis::config {

// Said of the file: "holds no certificate in PEM".
[[nodiscard]] std::string certificate_fault(const std::string& pem);
[[nodiscard]] std::string key_fault(const std::string& pem, const std::string& certificate_pem);

}  // namespace portcullis::config
