#include "convert.hpp"

#include <cmath>

namespace gonka::addon {
namespace {

struct code_row {
  gk_status status;
  const char *code;
};

constexpr code_row k_codes[] = {
    {GK_INVALID_ARGUMENT, "ERR_GK_INVALID_ARGUMENT"}, {GK_UNSUPPORTED, "ERR_GK_UNSUPPORTED"},
    {GK_OUT_OF_MEMORY, "ERR_GK_OUT_OF_MEMORY"},       {GK_DEVICE_ERROR, "ERR_GK_DEVICE_ERROR"},
    {GK_DEVICE_LOST, "ERR_GK_DEVICE_LOST"},           {GK_CANCELLED, "ERR_GK_CANCELLED"},
    {GK_SELFTEST_FAILED, "ERR_GK_SELFTEST_FAILED"},   {GK_INTERNAL, "ERR_GK_INTERNAL"}};

const char *kind_of(const Napi::Value &value) {
  switch (value.Type()) {
    case napi_undefined:
      return "nothing";
    case napi_null:
      return "null";
    case napi_boolean:
      return "a boolean";
    case napi_number:
      return "a number";
    case napi_string:
      return "a string";
    case napi_function:
      return "a function";
    case napi_bigint:
      return "a bigint";
    default:
      return "an object";
  }
}

Napi::Value field_of(const Napi::Object &from, const char *field) {
  return from.Get(field);
}

}  // namespace

const char *status_code(gk_status status) {
  for (const code_row &row : k_codes)
    if (row.status == status) return row.code;
  return "ERR_GK_INTERNAL";
}

Napi::Value status_codes(Napi::Env env) {
  Napi::Array out = Napi::Array::New(env);
  for (const code_row &row : k_codes) out[out.Length()] = Napi::String::New(env, row.code);
  return out;
}

Napi::Error make_error(Napi::Env env, gk_status status, const std::string &message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, status_code(status)));
  return error;
}

Napi::Error type_error(Napi::Env env, const std::string &field, const char *expected, const Napi::Value &got) {
  Napi::TypeError error = Napi::TypeError::New(env, field + ": expected " + expected + ", got " + kind_of(got));
  error.Set("code", Napi::String::New(env, status_code(GK_INVALID_ARGUMENT)));
  return error;
}

Napi::Object to_object(const Napi::Value &value, const char *field) {
  if (!value.IsObject() || value.IsFunction()) throw type_error(value.Env(), field, "an object", value);
  return value.As<Napi::Object>();
}

bool has(const Napi::Object &from, const char *field) {
  const Napi::Value value = field_of(from, field);
  return !value.IsUndefined() && !value.IsNull();
}

std::string get_string(const Napi::Object &from, const char *field) {
  const Napi::Value value = field_of(from, field);
  if (!value.IsString()) throw type_error(from.Env(), field, "a string", value);
  return value.As<Napi::String>().Utf8Value();
}

double get_number(const Napi::Object &from, const char *field) {
  const Napi::Value value = field_of(from, field);
  if (!value.IsNumber()) throw type_error(from.Env(), field, "a number", value);
  return value.As<Napi::Number>().DoubleValue();
}

bool get_bool(const Napi::Object &from, const char *field) {
  const Napi::Value value = field_of(from, field);
  if (!value.IsBoolean()) throw type_error(from.Env(), field, "a boolean", value);
  return value.As<Napi::Boolean>().Value();
}

int64_t get_integer(const Napi::Object &from, const char *field, int64_t low, int64_t high) {
  const double value = get_number(from, field);
  if (!(value >= double(low) && value <= double(high)) || value != std::floor(value))
    throw make_error(from.Env(), GK_INVALID_ARGUMENT,
                     std::string(field) + ": expected an integer from " + std::to_string(low) + " to " +
                         std::to_string(high) + ", got " + Napi::Number::New(from.Env(), value).ToString().Utf8Value());
  return int64_t(value);
}

std::string optional_string(const Napi::Object &from, const char *field, const std::string &fallback) {
  return has(from, field) ? get_string(from, field) : fallback;
}

int64_t optional_integer(const Napi::Object &from, const char *field, int64_t low, int64_t high, int64_t fallback) {
  return has(from, field) ? get_integer(from, field, low, high) : fallback;
}

}  // namespace gonka::addon
