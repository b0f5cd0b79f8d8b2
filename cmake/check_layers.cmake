# SPDX-License-Identifier: BSL-1.0
#
# Dependencies between the folders of include/rondo point down only. This script compares every
# #include with the table below and names each line that breaks it.
#
#   cmake -D ROOT=<directory that holds include/> -P cmake/check_layers.cmake
#
# The layer of include/rondo/net/tcp.hpp is `net`, that of include/rondo/http.hpp is `http`, and
# config.hpp, fwd.hpp and detail/ together are `base`.
cmake_minimum_required(VERSION 3.25)

# layer | the layers it may include besides itself | os: system headers too | libraries of its own
set(users fs net streams process threads debug)
string(REPLACE ";" " " users "${users}")
set(below "base core compose sync loop time io")
set(table
  "base    |                                |    |"
  "core    | base                           |    |"
  "compose | base core                      |    |"
  "sync    | base core                      |    |"
  "loop    | base core                      | os |"
  "time    | base core compose loop         |    |"
  "io      | base core loop                 | os |"
  "fs      | ${below} ${users}              | os |"
  "net     | ${below} ${users}              | os |"
  "streams | ${below} ${users}              | os |"
  "process | ${below} ${users}              | os |"
  "threads | ${below} ${users}              | os |"
  "debug   | ${below} ${users}              | os |"
  "rondo   | ${below} ${users}              |    |" # the header that includes all of the core
  "testing | ${below} ${users} rondo        | os |"
  "http    | ${below} ${users} rondo        | os | curl nlohmann"
  "tls     | ${below} ${users} rondo        | os | openssl"
  "postgres| ${below} ${users} rondo        | os | libpq-fe.h"
  "fmt     | ${below} ${users} rondo        |    | fmt")

# Too heavy for the headers that every user compiles.
set(heavy_layers base core)
set(heavy iostream format regex functional)

foreach(row IN LISTS table)
  string(REPLACE "|" ";" row "${row}")
  list(GET row 0 layer)
  list(GET row 1 allowed)
  list(GET row 2 os)
  list(GET row 3 own)
  string(STRIP "${layer}" layer)
  string(STRIP "${os}" os_${layer})
  separate_arguments(allowed)
  separate_arguments(own)
  set(allowed_${layer} ${layer} ${allowed})
  set(own_${layer} ${own})
  list(APPEND layers ${layer})
endforeach()

# The layer of a path under include/rondo, such as io/ops/net.hpp.
function(layer_of path result)
  string(REGEX REPLACE "(/.*|\\.hpp)$" "" layer "${path}")
  if(layer MATCHES "^(config|fwd|detail)$")
    set(layer base)
  endif()
  set(${result} "${layer}" PARENT_SCOPE)
endfunction()

set(problems "")
macro(problem text)
  string(APPEND problems "include/rondo/${header}:${number}: ${text}\n")
endmacro()

set(include "${ROOT}/include/rondo")
file(GLOB_RECURSE headers RELATIVE "${include}" "${include}/*.hpp")
list(LENGTH headers count)
if(count EQUAL 0)
  message(FATAL_ERROR "no headers under ${include}")
endif()

foreach(header IN LISTS headers)
  set(number 1)
  layer_of("${header}" layer)
  if(NOT layer IN_LIST layers)
    problem("the folder '${layer}' has no layer: add it to the table in cmake/check_layers.cmake")
    continue()
  endif()

  file(READ "${include}/${header}" text)
  string(REGEX REPLACE "[][;\\]" "_" text "${text}") # characters that CMake lists are cut at
  string(REPLACE "\n" ";" lines "${text}")
  set(number 0)
  foreach(line IN LISTS lines)
    math(EXPR number "${number} + 1")
    if(NOT line MATCHES "^[ \t]*#[ \t]*include[ \t]*([<\"])([^>\"]+)[>\"]")
      continue()
    endif()
    set(style "${CMAKE_MATCH_1}")
    set(name "${CMAKE_MATCH_2}")

    set(target "")
    if(name MATCHES "^rondo/(.+)$")
      set(target "${CMAKE_MATCH_1}")
    elseif(style STREQUAL "\"")
      get_filename_component(target "${include}/${header}" DIRECTORY)
      get_filename_component(target "${target}/${name}" ABSOLUTE)
      file(RELATIVE_PATH target "${include}" "${target}")
    endif()

    if(target)
      layer_of("${target}" other)
      if(NOT EXISTS "${include}/${target}")
        problem("'${name}' does not exist")
      elseif(NOT other IN_LIST allowed_${layer})
        list(JOIN allowed_${layer} ", " may)
        problem("${layer} must not include ${other} ('${name}'), it may include ${may}")
      endif()
    elseif(name MATCHES "^liburing")
      if(NOT header STREQUAL "loop/liburing.hpp")
        problem("liburing is included through rondo/loop/liburing.hpp only")
      endif()
    elseif(name MATCHES "^sanitizer/")
      # offered by the compiler itself
    elseif(name MATCHES "^[a-z_0-9]+$")
      if(layer IN_LIST heavy_layers AND name IN_LIST heavy)
        problem("<${name}> is too heavy for ${layer}, which every user compiles")
      endif()
    else()
      string(REGEX REPLACE "/.*$" "" library "${name}")
      if(library IN_LIST own_${layer})
        # the library that this integration is for
      elseif(library MATCHES "^(curl|nlohmann|openssl|libpq-fe\\.h|fmt)$")
        problem("${layer} must not use ${library} ('${name}'): it belongs to an integration")
      elseif(NOT os_${layer})
        problem("${layer} must not include system headers ('${name}')")
      endif()
    endif()
  endforeach()
endforeach()

if(problems)
  message(FATAL_ERROR "Layers are broken:\n${problems}")
endif()
message(STATUS "${count} headers keep to their layers")
