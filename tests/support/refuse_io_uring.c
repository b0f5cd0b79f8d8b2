// SPDX-License-Identifier: BSL-1.0

// refuse_io_uring EPERM|ENOSYS|EACCES COMMAND [ARGUMENT...]
//
// Runs COMMAND with the three system calls of io_uring failing with the given error, as under the
// seccomp profile of a container (EPERM) or on a kernel without io_uring (ENOSYS). Needs no rights.

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { first_call = 425, last_call = 427 };  // io_uring_setup, _enter, _register, everywhere

int main(int argc, char** argv) {
  unsigned error = 0;
  if (argc > 2 && strcmp(argv[1], "EPERM") == 0) error = EPERM;
  if (argc > 2 && strcmp(argv[1], "ENOSYS") == 0) error = ENOSYS;
  if (argc > 2 && strcmp(argv[1], "EACCES") == 0) error = EACCES;
  if (error == 0) {
    fprintf(stderr, "usage: refuse_io_uring EPERM|ENOSYS|EACCES COMMAND [ARGUMENT...]\n");
    return 2;
  }
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, first_call, 0, 2),
      BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, last_call, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    perror("refuse_io_uring: seccomp");
    return 2;
  }
  execvp(argv[2], argv + 2);
  perror(argv[2]);
  return 2;
}
