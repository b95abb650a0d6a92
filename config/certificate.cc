#include "config/certificate.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <memory>

namespace portcullis::config {
namespace {

template <auto release>
struct Free {
  template <typename T>
  void operator()(T* object) const {
    release(object);
  }
};
using Bio = std::unique_ptr<BIO, Free<BIO_free_all>>;
using Certificate = std::unique_ptr<X509, Free<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;

Bio reader(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

Certificate first_certificate(const std::string& pem) {
  return Certificate(PEM_read_bio_X509(reader(pem).get(), nullptr, nullptr, nullptr));
}

// Instead of a question on the terminal.
int no_passphrase(char*, int, int, void*) {
  return -1;
}

}  // namespace

std::string certificate_fault(const std::string& pem) {
  return first_certificate(pem) ? "" : "holds no certificate in PEM";
}

std::string key_fault(const std::string& pem, const std::string& certificate_pem) {
  const Key key(PEM_read_bio_PrivateKey(reader(pem).get(), nullptr, no_passphrase, nullptr));
  if (!key) return "holds no private key in PEM, without a passphrase";
  const Certificate certificate = first_certificate(certificate_pem);
  if (certificate && X509_check_private_key(certificate.get(), key.get()) != 1)
    return "holds a key that is not that of the certificate";
  return {};
}

}  // namespace portcullis::config
