"""``ssh_server.py ADDRESS FOLDER``: an SSH server for tests and trials, where there is no sshd.

It runs each command as sshd does: in a shell, its standard streams over the channel, pipes closed when the
connection breaks, no signal. Keys are those of FOLDER (``make_keys``); it prints its port.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncssh


def make_keys(folder: Path) -> None:
    """The keys of a host and of a user, and the file that admits the user."""
    host, user = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    host.write_private_key(folder / "host_key")
    user.write_private_key(folder / "user_key")
    (folder / "user_key").chmod(0o600)
    user.write_public_key(folder / "authorized")
    (folder / "host_key.pub").write_bytes(host.export_public_key())


def ssh_config(folder: Path, hosts: dict[str, tuple[str, int]]) -> Path:
    """A configuration file for ``ssh``: name -> (address, port), the host's key known."""
    known = (folder / "host_key.pub").read_text().split()[:2]
    lines, keys = [], []
    for name, (address, port) in hosts.items():
        lines += [f"Host {name}", f"  HostName {address}", f"  Port {port}"]
        keys.append(f"[{address}]:{port} {' '.join(known)}\n")
    (folder / "known_hosts").write_text("".join(keys))
    lines += ["Host *", f"  IdentityFile {folder / 'user_key'}", "  IdentitiesOnly yes", "  User nobody"]
    lines += [f"  UserKnownHostsFile {folder / 'known_hosts'}", "  StrictHostKeyChecking yes"]
    file = folder / "ssh_config"
    file.write_text("\n".join(lines) + "\n")
    return file


async def _pump(source: Any, target: Any) -> None:
    with suppress(OSError, asyncssh.Error):  # who should read is gone
        while data := await source.read(2**18):
            target.write(data)
            await target.drain()


async def _run(process: asyncssh.SSHServerProcess[bytes]) -> None:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    child = await asyncio.create_subprocess_shell(process.command or "exit 1", **pipes)

    async def feed() -> None:
        await _pump(process.stdin, child.stdin)
        child.stdin.close()

    feeding = asyncio.create_task(feed())
    await asyncio.gather(_pump(child.stdout, process.stdout), _pump(child.stderr, process.stderr))
    code = await child.wait()
    feeding.cancel()
    process.exit(code if code >= 0 else 128 - code)


async def _serve(address: str, folder: Path) -> None:
    server = await asyncssh.listen(
        address,
        0,
        server_host_keys=[str(folder / "host_key")],
        authorized_client_keys=str(folder / "authorized"),
        process_factory=_run,
        encoding=None,
    )
    print(server.get_port(), flush=True)
    await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], Path(sys.argv[2])))
