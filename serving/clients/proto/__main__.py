"""Generate the message modules and their stubs from the .proto files, here or into the given folder.

    python -m serving.clients.proto [FOLDER]

Needs grpcio-tools, a development dependency.
"""

from __future__ import annotations

import sys
from pathlib import Path

from grpc_tools import protoc

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


def generate(folder: Path) -> int:
    """Write the modules to serving/clients/proto below ``folder``; return protoc's exit code."""
    # protobuf's process-wide pool names a file by its path. The path from the root is unique among packages.
    files = [str(file.relative_to(ROOT)) for file in sorted(HERE.glob("*.proto"))]
    included = Path(protoc.__file__).parent / "_proto"  # google/protobuf/*.proto
    return protoc.main(
        ["protoc", f"-I{ROOT}", f"-I{included}", f"--python_out={folder}", f"--pyi_out={folder}", *files]
    )


if __name__ == "__main__":
    sys.exit(generate(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT))
