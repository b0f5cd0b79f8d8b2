# SPDX-License-Identifier: BSL-1.0
#
# Finds liburing, which ships no CMake package of its own.
#
#   Liburing::Liburing    the target to link (its headers count as system headers)
#   Liburing_FOUND, Liburing_VERSION
#   Liburing_INCLUDE_DIR, Liburing_LIBRARY    cache entries: set them to choose another liburing

find_package(PkgConfig QUIET)
if(PKG_CONFIG_FOUND)
  pkg_check_modules(PC_LIBURING QUIET liburing)
endif()

find_path(Liburing_INCLUDE_DIR liburing.h HINTS ${PC_LIBURING_INCLUDE_DIRS})
find_library(Liburing_LIBRARY uring HINTS ${PC_LIBURING_LIBRARY_DIRS})
mark_as_advanced(Liburing_INCLUDE_DIR Liburing_LIBRARY)

if(EXISTS "${Liburing_INCLUDE_DIR}/liburing/io_uring_version.h") # since 2.4
  file(READ "${Liburing_INCLUDE_DIR}/liburing/io_uring_version.h" _liburing_version)
  if(_liburing_version MATCHES "VERSION_MAJOR +([0-9]+).*VERSION_MINOR +([0-9]+)")
    set(Liburing_VERSION "${CMAKE_MATCH_1}.${CMAKE_MATCH_2}")
  endif()
elseif(PC_LIBURING_VERSION)
  set(Liburing_VERSION "${PC_LIBURING_VERSION}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Liburing
  REQUIRED_VARS Liburing_LIBRARY Liburing_INCLUDE_DIR
  VERSION_VAR Liburing_VERSION
  REASON_FAILURE_MESSAGE "rondo needs liburing 2.3 or newer. Install liburing-dev (Debian, Ubuntu), \
liburing-devel (Fedora, openSUSE) or liburing (Arch).")

if(Liburing_FOUND AND NOT TARGET Liburing::Liburing)
  add_library(Liburing::Liburing UNKNOWN IMPORTED)
  set_target_properties(Liburing::Liburing PROPERTIES
    IMPORTED_LOCATION "${Liburing_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${Liburing_INCLUDE_DIR}"
    INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${Liburing_INCLUDE_DIR}")
endif()
