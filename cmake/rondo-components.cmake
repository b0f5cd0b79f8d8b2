# SPDX-License-Identifier: BSL-1.0
#
# The optional components of rondo: which libraries each needs and which package has them.
# Used when rondo itself is built and, installed, by find_package(rondo COMPONENTS ...).

set(RONDO_COMPONENTS http tls postgres fmt)

# package to find | target it gives | packages of Debian and Ubuntu | Fedora | openSUSE | Arch
set(RONDO_COMPONENT_http
  "CURL|CURL::libcurl|libcurl4-openssl-dev|libcurl-devel|libcurl-devel|curl"
  "nlohmann_json|nlohmann_json::nlohmann_json|nlohmann-json3-dev|json-devel|nlohmann_json-devel|nlohmann-json")
set(RONDO_COMPONENT_tls
  "OpenSSL|OpenSSL::SSL|libssl-dev|openssl-devel|libopenssl-devel|openssl")
set(RONDO_COMPONENT_postgres
  "PostgreSQL|PostgreSQL::PostgreSQL|libpq-dev|libpq-devel|postgresql-devel|postgresql-libs")
set(RONDO_COMPONENT_fmt
  "fmt|fmt::fmt|libfmt-dev|fmt-devel|fmt-devel|fmt")

# Finds what `component` needs: its targets in `libraries`; `missing` is a sentence, or empty.
function(rondo_find_component component libraries missing)
  set(targets "")
  set(sentence "")
  foreach(row IN LISTS RONDO_COMPONENT_${component})
    string(REPLACE "|" ";" row "${row}")
    list(GET row 0 package)
    list(GET row 1 target)
    find_package(${package} QUIET)
    if(TARGET ${target})
      list(APPEND targets ${target})
    else()
      list(GET row 2 debian)
      list(GET row 3 fedora)
      list(GET row 4 opensuse)
      list(GET row 5 arch)
      string(APPEND sentence "rondo::${component} needs ${package}, which was not found. Install ${debian} "
        "(Debian, Ubuntu), ${fedora} (Fedora), ${opensuse} (openSUSE) or ${arch} (Arch). ")
    endif()
  endforeach()
  set(${libraries} "${targets}" PARENT_SCOPE)
  set(${missing} "${sentence}" PARENT_SCOPE)
endfunction()
