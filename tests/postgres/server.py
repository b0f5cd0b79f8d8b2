#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""server.py FOLDER TEMPLATE: a PostgreSQL of its own, as an ordinary user, with its data in FOLDER.

It listens on a free port of the loopback and on a socket in FOLDER, and prints "PORT" when it is
ready. With openssl installed it speaks TLS as well. Roles: postgres (trusted), and guarded, with
the password "secret" (scram-sha-256, TCP only). TEMPLATE is a folder where a fresh cluster is kept,
as small as can be, since each test has a copy of its own. Then one command a line on standard
input, each answered by a line:

    kill      ends all of the server's processes at once, as a crash does
    start     starts it again, on the same port
    stop      stops it in order, hanging up on everybody
    freeze    stops all of its processes in their tracks, as a lost network does
    thaw      lets them go on

The server ends with standard input.
"""
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

OPTIONS = """
listen_addresses = '127.0.0.1'
fsync = off
full_page_writes = off
max_connections = 60
max_wal_senders = 0
wal_level = minimal
shared_buffers = 4MB
wal_recycle = off
autovacuum = off
max_logical_replication_workers = 0
log_min_messages = fatal
"""
# Nobody creates a database here, so nobody needs those to copy from. Vacuuming leaves fewer files.
CONTENTS = b"""
create role guarded login password 'secret'
update pg_database set datistemplate = false
drop database template0
drop database template1
vacuum full
"""
CERTIFICATE = """
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=localhost \\
  -keyout server.key -out server.crt && chmod 600 server.key && echo ssl = on >> postgresql.conf
"""
ACCESS = """
local all all trust
host all guarded 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
"""


def programs():
    """The folder with the newest server's programs."""
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"),
                   key=lambda p: float(p.parts[-3]))
    if not found and shutil.which("postgres"):
        found.append(pathlib.Path(shutil.which("postgres")))
    if not found:
        sys.exit("PostgreSQL's server is not installed")
    return found[-1].parent


def ordinary_user():
    """PostgreSQL does not run as root."""
    return dict(user="nobody", group="nogroup", extra_groups=[]) if os.geteuid() == 0 else {}


def give_to_the_user(folder):
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody", "nogroup")


def copy(folder, to):
    subprocess.run(["cp", "-a", "--reflink=auto", folder, to], check=True)


def make_template(template):
    """Made beside its place and renamed, because several tests may start at the same time."""
    if template.exists():
        return
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        give_to_the_user(scratch)
        subprocess.run([programs() / "initdb", "-D", scratch / "data", "-U", "postgres", "-E", "UTF8",
                        "--locale=C.UTF-8", "--auth=trust", "--wal-segsize=1", "--no-sync",
                        "--no-instructions"],
                       check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       cwd="/", **ordinary_user())
        (scratch / "data" / "pg_hba.conf").write_text(ACCESS)
        with open(scratch / "data" / "postgresql.conf", "a") as file:
            file.write(OPTIONS)
        subprocess.run([programs() / "postgres", "--single", "-D", scratch / "data", "postgres"],
                       input=CONTENTS, check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, cwd="/", **ordinary_user())
        if shutil.which("openssl"):
            subprocess.run(["sh", "-ec", CERTIFICATE], cwd=scratch / "data", check=True,
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, **ordinary_user())
        mine = pathlib.Path(tempfile.mkdtemp(dir=template.parent))
        copy(scratch / "data", mine)
    try:
        mine.rename(template)
    except OSError:  # somebody else was faster
        shutil.rmtree(mine)


def is_alive(pid):
    """A process that nobody has waited for yet is not."""
    with contextlib.suppress(OSError):
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] not in "ZX"
    return False


class server:
    def __init__(self, folder):
        self.folder = folder
        self.data = folder / "data"
        self.process = None
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [programs() / "postgres", "-D", self.data, "-p", str(self.port), "-k", self.folder],
                cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                **ordinary_user())
        while self.status() != "ready":
            if self.process.poll() is not None:
                sys.exit((self.folder / "log").read_text())
            time.sleep(0.01)

    def status(self):
        with contextlib.suppress(OSError, IndexError):
            return (self.data / "postmaster.pid").read_text().splitlines()[7].strip()
        return ""

    def everybody(self, number):
        """The processes are leaders of groups of their own. Gives their numbers."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        pids = [self.process.pid, *map(int, children.read_text().split())]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return pids

    def kill(self):
        segment = (self.data / "postmaster.pid").read_text().splitlines()[6].split()[-1]
        self.everybody(signal.SIGSTOP)  # so that none is started meanwhile
        for pid in self.everybody(signal.SIGKILL):
            while is_alive(pid):  # until then its sockets are open
                time.sleep(0.001)
        self.process.wait()
        subprocess.run(["ipcrm", "-m", segment], stderr=subprocess.DEVNULL)
        (self.data / "postmaster.pid").unlink()

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait()

    def freeze(self):
        self.everybody(signal.SIGSTOP)

    def thaw(self):
        self.everybody(signal.SIGCONT)

    def end(self):
        if self.process and self.process.poll() is None:
            self.thaw()
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait()


def main(folder, template):
    folder, template = pathlib.Path(folder), pathlib.Path(template)
    make_template(template)
    copy(template / "data", folder)
    give_to_the_user(folder)
    it = server(folder)
    try:
        it.start()
        print(it.port, flush=True)
        for line in sys.stdin:
            getattr(it, line.strip())()
            print("done", flush=True)
    finally:
        it.end()


if __name__ == "__main__":
    main(*sys.argv[1:])
