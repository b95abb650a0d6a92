// A certificate with its key, and the key of another. They guard nothing.
#pragma once

namespace portcullis::config {

inline constexpr char certificate_pem[] = R"(-----BEGIN CERTIFICATE-----
MIIBczCCARmgAwIBAgIUfjD4pxD5hpLY16+1qQ/SIQa+CPUwCgYIKoZIzj0EAwIw
DjEMMAoGA1UEAwwDZ3cxMCAXDTI2MTEyNjIxMzcwOFoYDzIxMjYxMTAyMjEzNzA4
WjAOMQwwCgYDVQQDDANndzEwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQzmB1M
npTY4bBK1aG8/ZNVt2eAy0vtOVGLNFa85rxU/1wxBr4eVbyVXO+WfVilljHPkgoX
bieX90BZBc5d2mA2o1MwUTAdBgNVHQ4EFgQULRBDdp7dKmUGJfTClBMEH5KEkLIw
HwYDVR0jBBgwFoAULRBDdp7dKmUGJfTClBMEH5KEkLIwDwYDVR0TAQH/BAUwAwEB
/zAKBggqhkjOPQQDAgNIADBFAiEA1KBSm9LDj2XLKhX+cFSj6cfgwFKJUyr44nf4
NOtsnv8CIB5xSYpQUG4lv2uXyA5C5DRBk//mmn+c0WZIesZaw6SY
-----END CERTIFICATE-----
)";

inline constexpr char key_pem[] = R"(-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgoL3gFdLCc+RKaBSt
KfKpeR0zHK13P7ONc+81HGan9a2hRANCAAQzmB1MnpTY4bBK1aG8/ZNVt2eAy0vt
OVGLNFa85rxU/1wxBr4eVbyVXO+WfVilljHPkgoXbieX90BZBc5d2mA2
-----END PRIVATE KEY-----
)";

inline constexpr char other_key_pem[] = R"(-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgWwIOwK8P5EOoOzN9
c9EU1Y9OxYk/0K6VZHI/g0/IlOChRANCAAQL6d/rH9r1XIh7gq7qfgLWFnSmA2mL
XcnER6OifsjjT64kPH58QOe5kZy+tE52pVX0vxTBg0y2f/hsmnYpP7OD
-----END PRIVATE KEY-----
)";

}  // namespace portcullis::config
