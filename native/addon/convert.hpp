// JS values to C++ and back. Wrong types throw TypeError with code ERR_GK_INVALID_ARGUMENT that names the field.
#pragma once

#include <napi.h>

#include <cstdint>
#include <string>

#include "gonka_backend.h"

namespace gonka::addon {

// "ERR_GK_INVALID_ARGUMENT", ...
const char *status_code(gk_status status);
// All of them, in the order of gk_status, for lib/errors.ts to be compared with.
Napi::Value status_codes(Napi::Env env);

Napi::Error make_error(Napi::Env env, gk_status status, const std::string &message);
// "params.dim: expected an integer, got a string"
Napi::Error type_error(Napi::Env env, const std::string &field, const char *expected, const Napi::Value &got);

Napi::Object to_object(const Napi::Value &value, const char *field);
std::string get_string(const Napi::Object &from, const char *field);
double get_number(const Napi::Object &from, const char *field);
bool get_bool(const Napi::Object &from, const char *field);
// Integers within [low, high].
int64_t get_integer(const Napi::Object &from, const char *field, int64_t low, int64_t high);
// True if the field is there and not undefined or null.
bool has(const Napi::Object &from, const char *field);
std::string optional_string(const Napi::Object &from, const char *field, const std::string &fallback);
int64_t optional_integer(const Napi::Object &from, const char *field, int64_t low, int64_t high, int64_t fallback);

}  // namespace gonka::addon
