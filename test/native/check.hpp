// Assertions for native tests. A test program defines `int main() { ...; return check_summary(); }`.
// Failures print file, line, expression and values, and the program goes on to the next check.
#pragma once

#include <cstdio>
#include <sstream>
#include <string>

inline int g_checks_passed = 0;
inline int g_checks_failed = 0;

inline bool check_report(bool ok, const char *file, int line, const std::string &text) {
  if (ok) {
    ++g_checks_passed;
  } else {
    ++g_checks_failed;
    std::fprintf(stderr, "%s:%d: check failed: %s\n", file, line, text.c_str());
  }
  return ok;
}

template <class A, class B>
bool check_equal(const A &a, const B &b, const char *text, const char *file, int line) {
  if (a == b) return check_report(true, file, line, text);
  std::ostringstream message;
  message.precision(17);
  message << text << ": got " << a << ", want " << b;
  return check_report(false, file, line, message.str());
}

#define CHECK(expression) check_report(bool(expression), __FILE__, __LINE__, #expression)
#define CHECK_EQ(got, want) check_equal((got), (want), #got " == " #want, __FILE__, __LINE__)

inline int check_summary() {
  std::printf("%d checks passed, %d failed\n", g_checks_passed, g_checks_failed);
  return g_checks_failed != 0 || g_checks_passed == 0;
}
