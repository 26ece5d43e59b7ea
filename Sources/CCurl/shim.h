// libcurl for Swift: its option and info calls are variadic, which Swift cannot import.

#ifndef EXECBOX_CCURL_SHIM_H
#define EXECBOX_CCURL_SHIM_H

#include <curl/curl.h>
#include <stddef.h>

// The shape of CURLOPT_WRITEFUNCTION, CURLOPT_HEADERFUNCTION and CURLOPT_READFUNCTION.
typedef size_t (*execbox_curl_data_function)(char *data, size_t size, size_t count, void *context);
// The shape of CURLOPT_CLOSESOCKETFUNCTION.
typedef int (*execbox_curl_close_function)(void *context, curl_socket_t socket);
// The shape of CURLOPT_OPENSOCKETFUNCTION.
typedef curl_socket_t (*execbox_curl_open_function)(void *context, curlsocktype purpose, struct curl_sockaddr *address);
// The shape of CURLOPT_SOCKOPTFUNCTION.
typedef int (*execbox_curl_socket_function)(void *context, curl_socket_t socket, curlsocktype purpose);

static inline CURLcode execbox_curl_set_long(CURL *handle, CURLoption option, long value) {
    return curl_easy_setopt(handle, option, value);
}
static inline CURLcode execbox_curl_set_offset(CURL *handle, CURLoption option, long long value) {
    return curl_easy_setopt(handle, option, (curl_off_t)value);
}
static inline CURLcode execbox_curl_set_string(CURL *handle, CURLoption option, const char *value) {
    return curl_easy_setopt(handle, option, value);
}
static inline CURLcode execbox_curl_set_pointer(CURL *handle, CURLoption option, void *value) {
    return curl_easy_setopt(handle, option, value);
}
static inline CURLcode execbox_curl_set_data_function(CURL *handle, CURLoption option, execbox_curl_data_function value) {
    return curl_easy_setopt(handle, option, value);
}
static inline CURLcode execbox_curl_set_close_function(CURL *handle, execbox_curl_close_function value) {
    return curl_easy_setopt(handle, CURLOPT_CLOSESOCKETFUNCTION, value);
}
static inline CURLcode execbox_curl_set_socket_function(CURL *handle, execbox_curl_socket_function value) {
    return curl_easy_setopt(handle, CURLOPT_SOCKOPTFUNCTION, value);
}
static inline CURLcode execbox_curl_set_open_function(CURL *handle, execbox_curl_open_function value) {
    return curl_easy_setopt(handle, CURLOPT_OPENSOCKETFUNCTION, value);
}
static inline CURLcode execbox_curl_get_long(CURL *handle, CURLINFO info, long *value) {
    return curl_easy_getinfo(handle, info, value);
}
static inline CURLMcode execbox_curl_multi_set_long(CURLM *multi, CURLMoption option, long value) {
    return curl_multi_setopt(multi, option, value);
}
// CURLMsg hides the result in a union.
static inline CURLcode execbox_curl_message_result(const CURLMsg *message) { return message->data.result; }

// Casts of integer macros, which the importer skips or types unhelpfully.
static inline curl_socket_t execbox_curl_bad_socket(void) { return CURL_SOCKET_BAD; }
static inline size_t execbox_curl_read_abort(void) { return CURL_READFUNC_ABORT; }
static inline size_t execbox_curl_read_pause(void) { return CURL_READFUNC_PAUSE; }
static inline size_t execbox_curl_write_pause(void) { return CURL_WRITEFUNC_PAUSE; }
static inline long execbox_curl_global_all(void) { return CURL_GLOBAL_ALL; }

#endif
