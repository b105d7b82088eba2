// SHA-256: FIPS 180-4 examples, every length around the block borders, every way to split a message.
#include "sha256.hpp"

#include <string>

#include "check.hpp"

using namespace gonka;

int main() {
  CHECK_EQ(to_hex(sha256_of("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK_EQ(to_hex(sha256_of("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK_EQ(to_hex(sha256_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
           "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK_EQ(to_hex(sha256_of("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrl"
                            "mnopqrsmnopqrstnopqrstu")),
           "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
  CHECK_EQ(to_hex(sha256_of(std::string(1000000, 'a'))),
           "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");

  // The hash of all digests of the first 300 prefixes of a 251-periodic pattern, computed with Python's hashlib.
  std::string pattern;
  for (int i = 0; i < 300; ++i) pattern += char(i % 251);
  sha256 all;
  for (size_t length = 0; length <= 300; ++length) {
    const sha256_digest whole = sha256_of(std::string_view(pattern).substr(0, length));
    all.update(whole);
    for (size_t split = 0; split <= length; ++split) {
      sha256 pieces;
      pieces.update(std::string_view(pattern).substr(0, split));
      pieces.update(std::string_view(pattern).substr(split, length - split));
      if (pieces.finish() != whole) CHECK(!"a split changes the digest");
    }
  }
  CHECK_EQ(to_hex(all.finish()), "b90e35153500e9a471591550ee25a954527c6b4448afff95f7949a2ca93300ce");
  return check_summary();
}
